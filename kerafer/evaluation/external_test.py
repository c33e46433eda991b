"""Test images of another kind than those that a model was trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from kerafer.class_names import column_order
from kerafer.console import console, track
from kerafer.datasets import Dataset, load
from kerafer.evaluation.predictions import checked_probabilities
from kerafer.evaluation.report import scores_section
from kerafer.evaluation.scores import score
from kerafer.faces.crops import crop_faces
from kerafer.faces.detector import FaceDetector
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
        how: How they were prepared, such as `"cropped to the largest face"`.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray | None
    searched: int
    how: str

    @classmethod
    def load(
        cls,
        folder: Path,
        subject_pattern: str | None,
        class_names: tuple[str, ...],
        shape: tuple[int, int, int],
        margin: float | None,
    ) -> ExternalTest:
        """Read a folder of classes and crop the faces as prediction does.

        Args:
            folder: As for the data set `folder`, or a .zip.
            subject_pattern: As for the data set `folder`.
            class_names: In the model's order. The folder may have fewer.
            shape: Height, width and channels that the model takes.
            margin: Added to a face's box on each side, as a fraction of its
                longer side; `None` takes whole images.

        Raises:
            UserError: If there is no image, no face, or another class.
        """
        dataset = load("folder", folder, subject_pattern=subject_pattern)
        order = column_order(class_names, dataset.class_names, all_shown=False)
        detector = None if margin is None else make_detector()
        paths = dataset.manifest["path"]
        images = [
            _face(dataset, path, detector, margin, shape)
            for path in track(paths, f"Images of {folder.stem}", len(paths))
        ]
        found = np.array([image is not None for image in images])
        console.print(
            f"{folder.name}: {len(paths):,} images to test on, {found.sum():,} "
            f"{'used whole' if margin is None else 'with a face'}"
        )
        dataset = dataset.select(found)
        return cls(
            folder.stem,
            np.stack([image for image in images if image is not None]),
            labels=order[dataset.labels],
            subjects=dataset.manifest["subject"].to_numpy(object)
            if dataset.has_subjects
            else None,
            searched=len(paths),
            how="used whole"
            if margin is None
            else "each cropped to its largest face",
        )

    def measure(
        self, probabilities: np.ndarray, class_names: tuple[str, ...]
    ) -> dict[str, Any]:
        """Score a model's probabilities of `images`.

        Returns:
            As `Scores.as_dict`, with `folder`, `how` and `searched`.
        """
        probabilities = checked_probabilities(
            probabilities, "the exported file"
        )
        scores = score(self.labels, probabilities, class_names, self.subjects)
        return {
            "folder": self.name,
            "how": self.how,
            "searched": self.searched,
            **scores.as_dict(),
        }


def external_test_section(file: str, scores: dict[str, Any] | None) -> str:
    """Write the section of a model card.

    Args:
        file: The file that was tested.
        scores: As from `ExternalTest.measure`, or `None`.
    """
    if scores is None:
        return (
            "## On other images\n\nThe scores above hold for images such as "
            "those tested. Other faces, cameras and light were not tested "
            "(`kerafer export --external-test DIR` does so).\n"
        )
    lost = scores["searched"] - scores["n_images"]
    told = "All are in the scores."
    if lost:
        right = scores["accuracy"] * scores["n_images"] / scores["searched"]
        told = (
            f"On {lost:,} no face was found; the scores are of the other "
            f"{scores['n_images']:,}. With those {lost:,} counted as mistakes, "
            f"the accuracy is {right:.1%}."
        )
    return (
        f"## How well `{file}` does on other images\n\n"
        f"{scores['searched']:,} labelled images of `{scores['folder']}`, "
        "which neither trained nor calibrated it, "
        f"{scores['how']}. {told}\n\n{scores_section(scores)}"
    )


def _face(
    dataset: Dataset,
    path: str,
    detector: FaceDetector | None,
    margin: float | None,
    shape: tuple[int, int, int],
) -> np.ndarray | None:
    image = dataset.read_image(path)
    if detector is not None and margin is not None:
        boxes = [face.box for face in detector.detect(image)[:1]]
        if not boxes:
            return None
        (image,) = crop_faces(image, boxes, margin)
    return fit(image, shape)
