"""Which trainings are needed, and which of them stand already."""

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
from kerafer.training.run_folder import RunFolder

# Where the images are does not change a training.
_PLACE = ("data_dir", "download")


@dataclasses.dataclass(frozen=True)
class Training:
    """One run that a table or figure needs.

    Args:
        config: All that decides it.
        folder: Where it is or will be.
        state: `"done"`, `"begun"` or `"missing"`.
    """

    config: TrainingConfig
    folder: Path
    state: str

    @property
    def name(self) -> str:
        """What a person would call it."""
        return describe(self.config)

    @property
    def log(self) -> Path:
        """Where what it prints goes."""
        return self.folder.with_name(f"{self.folder.name}.log")


def describe(config: TrainingConfig) -> str:
    """A run's name, short: model, options, split where set, and seed."""
    words = [config.arch, config.options or "", config.split or ""]
    return " ".join(word for word in words if word) + f", seed {config.seed}"


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

    A run stands if one with the same settings is in the folder, whatever its
    name, so that nothing is trained twice.

    Args:
        variants: Which models.
        base: Everything else.
        runs: How many of each, with the seeds `base.seed`, `base.seed + 1`...
        folder: With all runs.

    Raises:
        UserError: Where a run in the folder can't be read.
    """
    standing = _standing(folder)
    plan: dict[str, Training] = {}
    chosen = list(variants)
    for seed in range(base.seed, base.seed + runs):
        for variant in chosen:
            config = variant_config(base, variant, seed)
            key = _key(config)
            state, path = standing.get(key, ("missing", None))
            path = path or folder / _folder_name(config, key)
            plan.setdefault(key, Training(config, path, state))
    return list(plan.values())


def find_runs(
    base: TrainingConfig, variant: Variant, runs: int, plan: list[Training]
) -> list[Training]:
    """The runs of a plan that are a variant's, by seed."""
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
        run, config = RunFolder.open(file.parent)
        done = run.is_over
        if done and not run.best.is_file():
            raise UserError(
                f"A run that is over has its model. {run.best} is missing; "
                f"remove {run.path} to train it again."
            )
        key = _key(config)
        if done or key not in found:
            found[key] = ("done" if done else "begun", run.path)
    return found


def _key(config: TrainingConfig) -> str:
    values = dataclasses.asdict(config)
    for name in _PLACE:
        values.pop(name)
    values["split"] = config.split or find_spec(config.dataset).split
    return json.dumps(values, sort_keys=True)


def _folder_name(config: TrainingConfig, key: str) -> str:
    words = re.sub(r"[^\w.]+", "-", describe(config)).strip("-")
    return f"{words}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"
