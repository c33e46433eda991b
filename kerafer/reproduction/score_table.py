"""Tables 2 to 7 of the article, and those of the open questions."""

from __future__ import annotations

import math

import pandas as pd

from kerafer.reproduction.ablations import Ablation
from kerafer.reproduction.paper_results import paper_value
from kerafer.reproduction.plan import Training, find_runs
from kerafer.reproduction.summary import (
    SCORES,
    mean_and_deviation,
    paired_difference,
    run_table,
)
from kerafer.training.config import TrainingConfig


def score_table(
    group: Ablation,
    base: TrainingConfig,
    runs: int,
    plan: list[Training],
    paper: str | None,
) -> pd.DataFrame:
    """Our scores over runs, and the article's beside them.

    Args:
        group: The models; the first is what the others are compared with.
        base: The settings that they share.
        runs: How many of each were asked for.
        plan: All runs, done.
        paper: The article's data set (`KDEF`, `FESR`) to stand beside; `None`
            for a question that the article leaves open.

    Returns:
        One row a model, numbers in percent as text: mean and standard
        deviation over runs, the difference from the first model with its 95 %
        interval over the seeds that both have, and the article's accuracy, the
        one it states and the one derived from what it states.
    """
    first: pd.DataFrame | None = None
    rows = []
    for variant in group.variants:
        found = [
            t for t in find_runs(base, variant, runs, plan) if t.state == "done"
        ]
        row = {"model": variant.name, "": variant.differs, "runs": len(found)}
        if not found:
            rows.append(row | _paper(paper, variant.arch))
            continue
        table = run_table(found).set_index("seed")
        pictures = sorted(set(table["test_pictures"]))
        row["test images"] = ", ".join(map(str, pictures))
        for name in SCORES:
            mean, deviation = mean_and_deviation(100 * table[name])
            row[_TITLES[name]] = _spread(mean, deviation)
        if first is None:
            first = table
            row["difference"] = ""
        else:
            row["difference"] = difference_text(
                100 * table["accuracy"], 100 * first["accuracy"]
            )
        rows.append(row | _paper(paper, variant.arch))
    table = pd.DataFrame(rows).fillna("")
    empty = [c for c in table.columns[3:] if c != "" and (table[c] == "").all()]
    return table.drop(columns=empty)


def difference_text(values: pd.Series, base: pd.Series) -> str:
    """A paired difference of percentages and its interval, as text."""
    mean, low, high = paired_difference(values, base)
    if math.isnan(low):
        return f"{mean:+.2f}"
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


_TITLES = {
    "accuracy": "accuracy %",
    "precision": "precision %",
    "recall": "recall %",
    "f1": "F1 %",
}


def _spread(mean: float, deviation: float) -> str:
    if math.isnan(deviation):
        return f"{mean:.2f}"
    return f"{mean:.2f} ± {deviation:.2f}"


def _paper(paper: str | None, arch: str) -> dict[str, str]:
    if paper is None:
        return {}
    stated, derived = paper_value(paper, arch, "accuracy")
    gain, _ = paper_value(paper, arch, "accuracy_gain_over_cnn")
    return {
        f"article, {paper}, stated %": stated,
        f"article, {paper}, derived %": derived,
        f"article, {paper}, stated gain over CNN": gain,
    }
