"""Runs as numbers: one by one, and over seeds."""

from __future__ import annotations

import math
import shlex

import pandas as pd
from scipy import stats

from kerafer.foreign import parse_yaml, read_json, read_text
from kerafer.reproduction.plan import Training
from kerafer.settings import as_flags

SCORES = ("accuracy", "precision", "recall", "f1")


def run_table(trainings: list[Training]) -> pd.DataFrame:
    """One row a run, with everything that a reader needs to trust it.

    Args:
        trainings: Done.

    Returns:
        Columns: `run`, `arch`, `options`, `split`, `seed`, `accuracy`,
        `precision`, `recall`, `f1` (macro; all 0 to 1), `n_test_images`,
        `epochs`, `best_epoch`, `parameters`, `macs` (the article's counting),
        `images_per_second`, `minutes`, `number_format`, `command`, and the
        versions and the processor.
    """
    rows = []
    for training in trainings:
        folder, config = training.folder, training.config
        facts = read_json(folder / "metrics.json")
        test = facts["test"]
        found = parse_yaml(read_text(folder / "versions.yaml"))
        rows.append(
            {
                "run": training.name,
                "arch": config.arch,
                "options": config.options or "",
                "split": facts["split"],
                "seed": config.seed,
                "accuracy": test["accuracy"],
                **{name: test["macro"][name] for name in SCORES[1:]},
                "n_test_images": test["n_images"],
                "epochs": facts["epochs"],
                "best_epoch": facts["best_epoch"],
                "parameters": facts["parameters"],
                "macs": facts["macs"],
                "images_per_second": round(facts["images_per_second"], 1),
                "minutes": round(facts["seconds"] / 60, 2),
                "number_format": facts["precision"],
                "command": _command(training),
                **{
                    name: found[name]
                    for name in (
                        *("kerafer", "tensorflow", "keras"),
                        *("processor", "cores"),
                    )
                },
            }
        )
    return pd.DataFrame(rows)


def mean_and_deviation(values: pd.Series) -> tuple[float, float]:
    """Mean, and standard deviation over runs (n - 1; NaN for one run)."""
    return float(values.mean()), float(values.std(ddof=1))


def paired_difference(
    values: pd.Series, base: pd.Series
) -> tuple[float, float, float]:
    """How much a model differs from another over the seeds of both.

    Runs with one seed share split and test images, so their difference is
    taken seed by seed.

    Args:
        values: Scores, the seed as index.
        base: Of the other model.

    Returns:
        The mean difference, and the ends of its 95 % interval by Student's t,
        which are NaN for fewer than two seeds.
    """
    differences = (values - base).dropna()
    n = len(differences)
    mean = float(differences.mean())
    if n < 2:
        return mean, math.nan, math.nan
    half = float(
        stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / math.sqrt(n)
    )
    return mean, mean - half, mean + half


def _command(training: Training) -> str:
    flags = as_flags(training.config.anywhere(), always=("dataset", "arch"))
    return shlex.join(["python", "scripts/train.py", *flags])
