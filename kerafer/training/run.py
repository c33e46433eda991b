"""The folder of a training."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kerafer.errors import ConfigError, UserError
from kerafer.files import locked, output_folder, write_text
from kerafer.settings import read_yaml
from kerafer.training.config import TrainingConfig
from kerafer.untrusted import read_json
from kerafer.versions import versions

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from kerafer.datasets.pipeline import Batches
    from kerafer.evaluation import Predictions

_LOCK = ".lock"


class Run:
    """A training's folder and results.

        run = kerafer.Run.open("runs/my-run")
        probabilities = run.model.predict(run.test_dataset())

    Args:
        path: The folder.
        config: The settings.

    Attributes:
        path: The folder. `best.keras` is the model of the lowest validation
            loss; `metrics.json` is written last.
        config: The settings.
    """

    def __init__(self, path: Path, config: TrainingConfig) -> None:
        self.path = path
        self.config = config

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Open the folder of an earlier training.

        Raises:
            UserError: If there is no config.yaml in it.
        """
        file = Path(path) / "config.yaml"
        if not file.is_file():
            raise UserError(
                f"Not the folder of a run: {os.fspath(path)} has no "
                "config.yaml."
            )
        values = read_yaml(TrainingConfig, file)
        return cls(Path(path), TrainingConfig(**values))

    @classmethod
    def new(
        cls, config: TrainingConfig, out: str | os.PathLike[str] | None
    ) -> Run:
        """Name the folder of a new run, without making it.

        Args:
            config: The settings.
            out: The folder, new or empty. Default:
                `runs/<arch>-<dataset>-<time>`.

        Raises:
            ConfigError: If `out` is not empty.
            UserError: If it cannot be written.
        """
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        default = f"runs/{config.arch}-{config.dataset}-{now}"
        path = output_folder(out, default)
        count = 1
        while out is None and path.exists():
            count += 1
            path = Path(f"{default}-{count}")
        if path.is_dir() and any(p.name != _LOCK for p in path.iterdir()):
            raise ConfigError(
                f"The folder of a new run must be empty: {path} is not. Choose "
                "another `out`, or continue an interrupted run with `resume`."
            )
        return cls(path, config)

    @property
    def is_over(self) -> bool:
        """Whether it was trained and tested to the end."""
        return (self.path / "metrics.json").is_file()

    @contextlib.contextmanager
    def begin(self) -> Iterator[None]:
        """Make the folder, and keep other processes from training in it.

        Writes the settings and versions if they are not there.

        Raises:
            UserError: If another process trains in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / _LOCK, f"Run {self.path}"):
            for part in self.path.glob(".[0-9]*.*"):
                # Left behind by a killed process.
                part.unlink(missing_ok=True)
            if not (self.path / "config.yaml").is_file():
                for name, values in (
                    ("versions", versions()),
                    ("config", dataclasses.asdict(self.config)),
                ):
                    text = yaml.safe_dump(values, sort_keys=False)
                    write_text(self.path / f"{name}.yaml", text)
            yield

    def train_further(self, *flags: str) -> str:
        """Return the command that starts a new run with this one's weights."""
        config = str(self.path / "config.yaml")
        words = ["--config", config, "--init-from", str(self.path), *flags]
        return shlex.join(["kerafer", "train", *words])

    @functools.cached_property
    def model(self) -> keras.Model:
        """The model of the lowest validation loss, not compiled."""
        from kerafer.models import load_model

        return load_model(self.path / "best.keras")

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch: losses, metrics, seconds, images per second."""
        import pandas as pd

        return pd.read_csv(self._existing("history.csv"))

    @property
    def split(self) -> pd.DataFrame:
        """The path of every image, its label and its split, as text."""
        from kerafer.tables import read_table

        return read_table(self._existing("split.csv"))

    @property
    def predictions(self) -> Predictions:
        """The predictions for the test images."""
        from kerafer.evaluation import Predictions

        return Predictions.read(self._existing("predictions.csv"))

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Scores on the test images in `"test"`, and facts of the training."""
        return read_json(self._existing("metrics.json"))

    def test_dataset(self) -> Batches:
        """Read the test images again.

        Returns:
            Batches of uint8 images, `(batch, height, width, channels)`, and
            float32 targets, `(batch, classes)`.

        Raises:
            UserError: If the images are no longer there.
        """
        from kerafer.datasets.decoded import decode_as
        from kerafer.datasets.loading import load_data
        from kerafer.datasets.pipeline import Batches

        data = load_data(self.config, self._existing("split.csv"))
        return Batches(
            decode_as(data, self.config).pixels,
            data.targets,
            self.config.batch_size,
            data.indices("test"),
        )

    def _existing(self, name: str) -> Path:
        if (self.path / name).is_file():
            return self.path / name
        raise UserError(
            f"The run {self.path} has no {name}: it is not finished. Resume "
            f"it with `kerafer train --resume {self.path}`."
        )


def find_run(path: Path) -> Run | None:
    """Open the run in a folder, if it is one."""
    return Run.open(path) if (path / "config.yaml").is_file() else None
