"""The folder that a training leaves behind."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import yaml

from kerafer.errors import ConfigError, UserError
from kerafer.files import locked, output_folder, write_text
from kerafer.settings import read_yaml
from kerafer.training.config import TrainingConfig
from kerafer.versions import versions

_LOCK = ".lock"


class RunFolder:
    """Where a run's files are.

    Args:
        path: The folder.

    Attributes:
        best: `best.keras`, the model of the lowest validation loss.
        split: `split.csv`, which image was in which part.
        history: `history.csv`, one row an epoch.
        answers: `answers.json`, what was done to that model's answers.
        metrics: `metrics.json`, the scores on the test part; it is written
            when everything else is, so a run that has it is over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.versions = path / "versions.yaml"
        self.split = path / "split.csv"
        self.history = path / "history.csv"
        self.best = path / "best.keras"
        self.answers = path / "answers.json"
        self.metrics = path / "metrics.json"
        self.curves = path / "curves.png"
        self.confusion = path / "confusion.png"
        self.report = path / "report.md"
        self.predictions = path / "predictions.csv"

    @classmethod
    def create(
        cls, config: TrainingConfig, out: str | os.PathLike[str] | None
    ) -> RunFolder:
        """Make a folder and write the configuration and versions into it.

        Args:
            config: Of the run.
            out: The folder, which is new or empty. `None` makes
                `runs/<arch>-<dataset>-<time>`.

        Raises:
            UserError: Where `out` has something in it.
        """
        if out is None:
            now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
            stem = Path("runs") / f"{config.arch}-{config.dataset}-{now}"
            path, count = stem, 1
            while path.exists():
                count += 1
                path = stem.with_name(f"{stem.name}-{count}")
        else:
            path = Path(out)
        cls.check_free(path)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path)
        text = yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)
        write_text(run.config, text)
        write_text(run.versions, yaml.safe_dump(versions(), sort_keys=False))
        return run

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder, so that no other process trains in it.

        Half a file that a process left which was killed goes.

        Raises:
            UserError: Where one does.
        """
        with locked(self.path / _LOCK, f"The run {self.path}"):
            for half in self.path.glob(".[0-9]*.*"):
                half.unlink(missing_ok=True)
            yield

    @property
    def is_over(self) -> bool:
        """Whether the run was trained and tested to its end."""
        return self.metrics.is_file()

    def check_broken_off(self) -> None:
        """Refuse a run that is over.

        Raises:
            UserError: If it is.
        """
        if self.is_over:
            raise UserError(
                f"Only an interrupted run can go on. {self.path} is over; see "
                f"{self.report}.\nTo train its model further: "
                f"{self.train_further()}"
            )

    def train_further(self, *flags: str) -> str:
        """Return the command that starts a new run with this one's weights."""
        words = ["--config", str(self.config), "--init-from", str(self.path)]
        return shlex.join(["kerafer", "train", *words, *flags])

    @staticmethod
    def check_free(path: str | os.PathLike[str]) -> None:
        """Refuse what can't be a run's folder.

        Raises:
            UserError: If it has something in it, or can't be written.
        """
        path = output_folder(path)
        if path.is_dir() and any(p.name != _LOCK for p in path.iterdir()):
            raise ConfigError(
                f"A run's folder is new or empty. There is something in {path}."
                "\nAn interrupted run goes on with `resume`."
            )

    @classmethod
    def open(
        cls, path: str | os.PathLike[str]
    ) -> tuple[RunFolder, TrainingConfig]:
        """The folder of an earlier run, and its configuration.

        Raises:
            UserError: Where it is no run's folder.
        """
        run = cls(Path(path))
        if not run.config.is_file():
            raise UserError(
                f"A run's folder has a config.yaml. There is none in {path}."
            )
        values = read_yaml(TrainingConfig, run.config)
        return run, TrainingConfig(**values)
