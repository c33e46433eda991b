"""Plan the trainings of a reproduction, and find those done before."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from kerafer.datasets.specs import find_spec
from kerafer.reproduction.ablations import Variant
from kerafer.training.config import TrainingConfig
from kerafer.training.run import Run


@dataclasses.dataclass(frozen=True)
class Training:
    """A run that a table or figure needs, with its settings and folder."""

    config: TrainingConfig
    folder: Path

    @property
    def is_done(self) -> bool:
        """Whether it was trained and tested."""
        return (self.folder / "metrics.json").is_file()

    @property
    def is_begun(self) -> bool:
        """Whether its folder is that of a training."""
        return (self.folder / "config.yaml").is_file()

    @property
    def name(self) -> str:
        """Model, options, split if set, and seed."""
        config = self.config
        words = [config.arch, config.options or "", config.split or ""]
        return " ".join(filter(None, words)) + f", seed {config.seed}"

    @property
    def log(self) -> Path:
        """The file for its output."""
        return self.folder.with_name(f"{self.folder.name}.log")


class Plan:
    """The trainings of models, each once.

    A run in the folder with the same settings is used, whatever its name.

    Args:
        variants: The models.
        base: All other settings.
        runs: Number of runs of each, with the seeds `base.seed`, ...
        folder: Of all runs.

    Attributes:
        base: See above.
        trainings: Seed by seed, so that a plan that is interrupted leaves
            whole comparisons.
    """

    def __init__(
        self,
        variants: Iterable[Variant],
        base: TrainingConfig,
        runs: int,
        folder: Path,
    ) -> None:
        self.base = base
        existing = _find_runs(folder)
        known: dict[TrainingConfig, Training] = {}
        self._of: dict[Variant, list[Training]] = {v: [] for v in variants}
        for seed in range(base.seed, base.seed + runs):
            for variant, its_trainings in self._of.items():
                config = dataclasses.replace(
                    base,
                    arch=variant.arch,
                    options=variant.options or base.options,
                    split=variant.split or base.split,
                    seed=seed,
                )
                key = _key(config)
                if key not in known:
                    path = existing.get(key) or folder / _folder_name(key)
                    known[key] = Training(config, path)
                its_trainings.append(known[key])
        self.trainings = list(known.values())

    def finished(self, variant: Variant) -> list[Training]:
        """Return the finished trainings of a model, by seed."""
        return [t for t in self._of.get(variant, []) if t.is_done]


def _find_runs(folder: Path) -> dict[TrainingConfig, Path]:
    """Return the run in a folder for each settings, a finished one if any."""
    files = folder.glob("*/config.yaml") if folder.is_dir() else ()
    runs = [Run.open(file.parent) for file in sorted(files)]
    runs.sort(key=lambda run: run.is_over)
    return {_key(run.config): run.path for run in runs}


def _key(config: TrainingConfig) -> TrainingConfig:
    """Return what makes two trainings equal: not the place of the images."""
    split = config.split or find_spec(config.dataset).split
    return dataclasses.replace(config, data_dir=None, split=split)


def _folder_name(key: TrainingConfig) -> str:
    words = re.sub(r"[^\w.]+", "-", Training(key, Path()).name)
    return f"{words}-{hashlib.sha256(repr(key).encode()).hexdigest()[:6]}"
