"""Labelled images of another kind, made ready as a model takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kerafer.class_names import column_order
from kerafer.console import console, track
from kerafer.datasets import Dataset, load
from kerafer.evaluation.other_images import OtherImages
from kerafer.faces.crops import crop_faces
from kerafer.faces.detector import FaceDetector
from kerafer.faces.detectors import make_detector
from kerafer.images import fit


def find_other_images(
    folder: Path,
    subject_pattern: str | None,
    class_names: tuple[str, ...],
    shape: tuple[int, int, int],
    margin: float | None,
) -> OtherImages:
    """Read a folder of classes and cut the faces out as prediction does.

    Args:
        folder: As the data set `folder` takes it, or a .zip.
        subject_pattern: As the data set `folder` takes it.
        class_names: In the model's order. The folder's mean the same.
        shape: Height, width and channels that the model takes.
        margin: Around a detector's box, as a part of its longer side; `None`
            takes images whole.

    Raises:
        UserError: Without images, with other classes, or where no face is
            found on any image.
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
        f"{'taken whole' if margin is None else 'with a face'}"
    )
    dataset = dataset.select(found)
    return OtherImages(
        folder.stem,
        np.stack([image for image in images if image is not None]),
        labels=order[dataset.labels],
        subjects=dataset.manifest["subject"].to_numpy(object)
        if dataset.has_subjects
        else None,
        searched=len(paths),
        how="taken whole"
        if margin is None
        else "each its largest face, cut out",
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
