"""Test images of another kind than those that a model was trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from kerafer import markdown
from kerafer.class_names import column_order
from kerafer.console import console, track
from kerafer.datasets import load
from kerafer.evaluation.predictions import checked_probabilities
from kerafer.evaluation.report import scores_section
from kerafer.evaluation.scores import score
from kerafer.faces.crops import crop_faces
from kerafer.faces.detectors import make_detector
from kerafer.images import fit


@dataclasses.dataclass(frozen=True)
class ExternalTest:
    """Labelled images that neither trained nor calibrated a model.

    Args:
        name: Name of their folder.
        images: uint8, `(images, height, width, channels)`, as the model takes
            them.
        labels: Class index of each, in the model's order.
        subjects: Who is on each, if known.
        searched: Number of images in the folder; those that are not among
            `images` have no face.
        how: How they were prepared, such as `"used whole"`.
        note: A remark on the images and their labels.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray | None
    searched: int
    how: str
    note: str = ""

    @classmethod
    def load(
        cls,
        folder: Path,
        subject_pattern: str | None,
        class_names: tuple[str, ...],
        shape: tuple[int, int, int],
        margin: float | None,
        note: str = "",
    ) -> ExternalTest:
        """Read a folder of classes and crop the faces as prediction does.

        Args:
            folder: As for the data set `folder`, or a .zip.
            subject_pattern: As for the data set `folder`.
            class_names: In the model's order. The folder may have fewer.
            shape: Height, width and channels that the model takes.
            margin: Added to a face's box on each side, as a fraction of its
                longer side; `None` takes whole images.
            note: A remark on the images and their labels. Default: none.

        Raises:
            UserError: If there is no image, no face, or another class.
        """
        dataset = load("folder", folder, subject_pattern=subject_pattern)
        order = column_order(class_names, dataset.class_names, all_shown=False)
        detector = None if margin is None else make_detector()
        images: list[np.ndarray | None] = []
        for path in track(dataset.manifest["path"], folder.stem, len(dataset)):
            faces = [dataset.read_image(path)]
            if detector is not None and margin is not None:
                boxes = [face.box for face in detector.detect(faces[0])[:1]]
                faces = crop_faces(faces[0], boxes, margin)
            images.append(fit(faces[0], shape) if faces else None)
        found = np.array([image is not None for image in images])
        how = "each cropped to its largest face" if detector else "used whole"
        console.print(
            f"{folder.name}: {found.sum():,} of {len(dataset):,} images to "
            f"test on, {how}"
        )
        seen = dataset.select(found)
        return cls(
            folder.stem,
            np.stack([image for image in images if image is not None]),
            labels=order[seen.labels],
            subjects=seen.manifest["subject"].to_numpy(object)
            if seen.has_subjects
            else None,
            searched=len(dataset),
            how=how,
            note=note,
        )

    def measure(
        self, probabilities: np.ndarray, class_names: tuple[str, ...]
    ) -> dict[str, Any]:
        """Score a model's probabilities of `images`.

        Returns:
            As `Scores.as_dict`, with `folder`, `how`, `searched` and `note`.
        """
        probabilities = checked_probabilities(
            probabilities, "the exported file"
        )
        scores = score(self.labels, probabilities, class_names, self.subjects)
        return {
            "folder": self.name,
            "how": self.how,
            "searched": self.searched,
            "note": self.note,
            **scores.as_dict(),
        }


def external_test_section(file: str, scores: dict[str, Any] | None) -> str:
    """Write the section of a model card.

    Args:
        file: The file that was tested.
        scores: As from `ExternalTest.measure`, or `None`.
    """
    return markdown.render(
        "evaluation/templates/external_test.md.j2",
        file=file,
        scores=scores,
        section=scores_section(scores) if scores else "",
    )
