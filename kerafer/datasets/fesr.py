"""Facial expressions of students in real class."""

from __future__ import annotations

from pathlib import Path

from kerafer.datasets import scan
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.specs import FESR, FESR_AT_KAGGLE
from kerafer.errors import UserError
from kerafer.extras import extra_for

CLASSES = ("surprise", "joy", "neutral", "bored", "upset")


def read_fesr(root: Path, verify: bool = True) -> Dataset:
    """Read FESR: `<split>/<class>/*`, or `<class>/*`.

    The classes are surprise, joy, neutral, bored and upset; capitals, the
    plural and words like "surprised" or "happy" are understood.

    Args:
        root: Folder with the folders of the splits or of the classes.
        verify: Whether every image is decoded once. Defaults to `True`.

    Raises:
        UserError: If there is no image, or a folder of another name.
    """
    folders = scan.class_folders(root)
    manifest, strange = scan.tree_manifest(
        root, folders, scan.folder_labels(folders, CLASSES)
    )
    if manifest.empty:
        raise FESR.missing(f"{root} has no folder of a class with images")
    dataset = Dataset(
        **FESR.facts,
        manifest=manifest,
        class_names=tuple(CLASSES),
        root=root,
        left_out=strange,
    )
    return scan.verify(dataset) if verify else dataset


def download_fesr() -> Path:
    """Fetch FESR from Kaggle into the folder that `kagglehub` keeps.

    Raises:
        UserError: Without `kagglehub`, or if Kaggle does not hand it out.
    """
    with extra_for("To download FESR"):
        import kagglehub
    try:
        return Path(kagglehub.dataset_download(FESR_AT_KAGGLE))
    # No network, no account, no such set: requests', Kaggle's and own errors.
    except Exception as error:
        raise UserError(
            "FESR could not be downloaded from Kaggle "
            f"({FESR_AT_KAGGLE}): {error}"
        ) from error
