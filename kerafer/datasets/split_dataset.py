"""Data set, split and decoded images, as the flags of a command say."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pandas as pd

from kerafer.datasets import Dataset
from kerafer.datasets.config import DataConfig
from kerafer.datasets.loading import load_data
from kerafer.faces import MARGIN


@dataclasses.dataclass(frozen=True)
class SplitDataset:
    """A data set that is divided."""

    dataset: Dataset

    @property
    def split(self) -> pd.Series:
        """The part of each row."""
        return self.dataset.manifest["split"]

    @property
    def split_name(self) -> str:
        """How it was split."""
        return self.dataset.split_name

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the split."""
        return self.dataset.notes

    def rows(self, part: str) -> np.ndarray:
        """Indices of the images of one part of the split."""
        return self.dataset.indices(part)

    def decode(
        self, config: DataConfig, margin: float | None = None
    ) -> np.ndarray:
        """All images, uint8, of the size that the configuration names."""
        from kerafer.datasets.decoded import decode

        if margin is None:
            margin = config.face_margin
        images = decode(
            self.dataset,
            config.image_size,
            config.channels,
            config.face_crop,
            MARGIN if margin is None else margin,
            config.without_face,
        ).images
        if images is None:
            raise RuntimeError("Images are decoded.")
        return images


def find_data(
    config: DataConfig,
    split_file: str | os.PathLike[str] | None = None,
    decoded: bool = True,
) -> SplitDataset:
    """Load and divide what the configuration names."""
    return SplitDataset(load_data(config, split_file, decoded))
