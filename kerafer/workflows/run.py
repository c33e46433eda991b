"""A training that is over, or was broken off, to read."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerafer.errors import UserError
from kerafer.training.config import TrainingConfig
from kerafer.training.run_folder import RunFolder
from kerafer.untrusted import read_json

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from kerafer.datasets.pipeline import Batches
    from kerafer.evaluation import Predictions
    from kerafer.workflows.split_dataset import SplitDataset


class Run:
    """What a training left in its folder, read when it is asked for.

        run = kerafer.Run.open("runs/my-run")
        probabilities = run.model.predict(run.test_dataset())

    Args:
        folder: Where its files are.
        config: Its settings.

    Attributes:
        path: The folder.
        config: The settings.
    """

    def __init__(self, folder: RunFolder, config: TrainingConfig) -> None:
        self._folder = folder
        self.path = folder.path
        self.config = config

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """The run in a folder.

        Args:
            path: Of the folder, as `kerafer.train` had it for `out`.

        Raises:
            UserError: Where it is no run's folder.
        """
        return cls(*RunFolder.open(path))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def is_over(self) -> bool:
        """Whether it was trained and tested to its end."""
        return self._folder.is_over

    @functools.cached_property
    def model(self) -> keras.Model:
        """The model of the lowest validation loss, not compiled."""
        from kerafer.models import load_model

        return load_model(self._folder.best)

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: losses, metrics, seconds, images a second."""
        import pandas as pd

        return pd.read_csv(self._existing(self._folder.history))

    @property
    def split(self) -> pd.DataFrame:
        """The path of every image, its label and its split."""
        import pandas as pd

        return pd.read_csv(self._existing(self._folder.split))

    @property
    def predictions(self) -> Predictions:
        """The model's, for the test split."""
        from kerafer.evaluation import Predictions

        return Predictions.read(self._existing(self._folder.predictions))

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Scores on the test split, and facts of the training.

        `accuracy` and the macro averages are in its `"test"`.
        """
        return read_json(self._existing(self._folder.metrics))

    def test_dataset(self) -> Batches:
        """The images of the test split and their targets, in batches.

        Images are uint8, `(batch, height, width, channels)`, as the model
        takes them; targets are a share for each class, `(batch, classes)`.
        They are found and decoded anew, where the run's settings name them.

        Raises:
            UserError: Where they are no longer there.
        """
        from kerafer.datasets.pipeline import Batches

        data = self._data
        return Batches(
            data.decode(self.config),
            data.dataset.targets,
            self.config.batch_size,
            data.rows("test"),
        )

    @functools.cached_property
    def _data(self) -> SplitDataset:
        from kerafer.workflows.split_dataset import find_data

        split = os.fspath(self._existing(self._folder.split))
        return find_data(self.config, split)

    def _existing(self, file: Path) -> Path:
        if file.is_file():
            return file
        raise UserError(
            f"A run that is over has a {file.name}. There is none in "
            f"{self.path}; it broke off, or is still going on."
        )
