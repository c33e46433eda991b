"""Plan the trainings of a reproduction, and find those done before."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from kerafer.datasets.specs import find_spec
from kerafer.errors import UserError
from kerafer.reproduction.ablations import Variant
from kerafer.training.config import TrainingConfig
from kerafer.training.run import Run

# Where the images are does not change a training.
_PLACE = ("data_dir",)


@dataclasses.dataclass(frozen=True)
class Training:
    """A run that a table or figure needs.

    Args:
        config: Its settings.
        folder: Its folder.
        state: `"done"`, `"begun"` or `"missing"`.
    """

    config: TrainingConfig
    folder: Path
    state: str

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


def variant_config(
    base: TrainingConfig, variant: Variant, seed: int
) -> TrainingConfig:
    """The settings of one run of a variant."""
    return dataclasses.replace(
        base,
        arch=variant.arch,
        options=variant.options or base.options,
        split=variant.split or base.split,
        seed=seed,
    )


def make_plan(
    variants: Iterable[Variant],
    base: TrainingConfig,
    runs: int,
    folder: Path,
) -> list[Training]:
    """List the trainings of variants, each once, seed by seed.

    A run in the folder with the same settings is used, whatever its name.

    Args:
        variants: The models.
        base: All other settings.
        runs: Number of runs of each, with the seeds `base.seed`, ...
        folder: Of all runs.

    Raises:
        UserError: If a run in the folder cannot be read.
    """
    standing = _standing(folder)
    plan: dict[str, Training] = {}
    chosen = list(variants)
    for seed in range(base.seed, base.seed + runs):
        for variant in chosen:
            config = variant_config(base, variant, seed)
            key = _key(config)
            state, path = standing.get(key, ("missing", None))
            training = Training(config, path or folder, state)
            if path is None:
                words = re.sub(r"[^\w.]+", "-", training.name).strip("-")
                name = f"{words}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"
                training = dataclasses.replace(training, folder=folder / name)
            plan.setdefault(key, training)
    return list(plan.values())


def find_runs(
    base: TrainingConfig, variant: Variant, runs: int, plan: list[Training]
) -> list[Training]:
    """Find the runs of a variant in a plan, by seed."""
    known = {_key(training.config): training for training in plan}
    keys = [
        _key(variant_config(base, variant, seed))
        for seed in range(base.seed, base.seed + runs)
    ]
    return [known[key] for key in keys if key in known]


def _standing(folder: Path) -> dict[str, tuple[str, Path]]:
    found: dict[str, tuple[str, Path]] = {}
    files = folder.glob("*/config.yaml") if folder.is_dir() else ()
    for file in sorted(files):
        run = Run.open(file.parent)
        done, best = run.is_over, run.path / "best.keras"
        if done and not best.is_file():
            raise UserError(
                f"The model of a finished run is missing: {best}. Remove "
                f"{run.path} to train it again."
            )
        key = _key(run.config)
        if done or key not in found:
            found[key] = ("done" if done else "begun", run.path)
    return found


def _key(config: TrainingConfig) -> str:
    values = dataclasses.asdict(config)
    for name in _PLACE:
        values.pop(name)
    values["split"] = config.split or find_spec(config.dataset).split
    return json.dumps(values, sort_keys=True)
