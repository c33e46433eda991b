"""Tables of the article, with ours beside its numbers."""

from __future__ import annotations

import math
from importlib.resources import files

import pandas as pd

from kerafer.evaluation import complexity
from kerafer.models import create_model, list_models
from kerafer.reproduction.ablations import Ablation
from kerafer.reproduction.plan import Training, find_runs
from kerafer.reproduction.summary import (
    SCORES,
    mean_and_deviation,
    paired_difference,
    run_table,
)
from kerafer.training.config import TrainingConfig


def paper_results() -> pd.DataFrame:
    """The article's numbers as far as they survive in its text.

    Its tables are lost in the text that is at hand; a number is either
    `stated` there or `derived` from others that are.

    Returns:
        Columns `dataset` (`KDEF`, `FESR`, `mean` of both, or empty for what
        depends on none), `model` (a registry name), `metric`, `value` (text,
        with the digits that the article prints; accuracies and gains in
        percent) and `provenance`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025).
    """
    file = files("kerafer.reproduction") / "paper_results.csv"
    with file.open(encoding="utf-8") as stream:
        return pd.read_csv(stream, dtype=str, keep_default_na=False)


def paper_value(dataset: str, model: str, metric: str) -> tuple[str, str]:
    """One number, as the article has it.

    Returns:
        The number where it is stated and where it is derived; one of the two,
        or both, are empty.
    """
    table = paper_results()
    rows = table[
        (table["dataset"] == dataset)
        & (table["model"] == model)
        & (table["metric"] == metric)
    ]
    if rows.empty:
        return "", ""
    value, provenance = rows.iloc[0][["value", "provenance"]]
    return (value, "") if provenance.startswith("stated") else ("", value)


FOOTNOTE = (
    "Counted for 7 classes and 224 x 224 pixels by the article's rule: "
    "multiply-adds of convolutions and dense layers without bias, 4 for each "
    "output of a BatchNorm, height x width + 1 for each channel of a global "
    "average pooling; trainable parameters. The article's 57.6509 M for "
    "wCA-MCNN fits none of the readings of its text exactly: one set of "
    "weights for both pools gives 57.6592 M at ratio 4 (57.6591 M without the "
    "wavelets' scale and shift) and 57.6499 M at ratio 8, two sets give "
    "57.6775 M at ratio 4. Ratio 4 and one set are the defaults here."
)


def cost_table(names: list[str] | None = None) -> pd.DataFrame:
    """Parameters and multiply-adds of models, beside the article's.

    Args:
        names: Models. Defaults to all that are registered.

    Returns:
        One row a model: trainable parameters, the article's in millions,
        multiply-adds in G by the article's counting, and the article's; empty
        where it gives none.
    """
    rows = []
    for name in names or list_models():
        parameters, macs = complexity(create_model(name))
        rows.append(
            {
                "model": name,
                "parameters": f"{parameters:,}",
                "article, M": _value(name, "parameters_millions"),
                "multiply-adds, G": f"{macs / 1e9:.4f}",
                "article, G": _value(name, "gflops"),
            }
        )
    return pd.DataFrame(rows)


def _value(model: str, metric: str) -> str:
    stated, derived = paper_value("", model, metric)
    return stated or derived


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
        images = sorted(set(table["n_test_images"]))
        row["test images"] = ", ".join(map(str, images))
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
