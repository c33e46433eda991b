"""Tables of the article, with our numbers beside its own."""

from __future__ import annotations

import functools
import math
import shlex
from collections.abc import Sequence
from importlib.resources import files

import pandas as pd
from scipy import stats

from kerafer.evaluation import complexity
from kerafer.models import create_model, list_models
from kerafer.reproduction.ablations import Ablation
from kerafer.reproduction.plan import Plan, Training
from kerafer.settings import as_flags
from kerafer.untrusted import parse_yaml, read_json, read_text

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
_SCORES = {
    "accuracy": "accuracy %",
    "precision": "precision %",
    "recall": "recall %",
    "f1": "F1 %",
}
_PAPER = {"%": "accuracy", "gain over CNN": "accuracy_gain_over_cnn"}
_MACHINE = ("kerafer", "tensorflow", "keras", "processor", "cores")


def paper_value(dataset: str, model: str, metric: str) -> str:
    """Find a number of the article in `paper_results.csv`.

    Args:
        dataset: `KDEF`, `FESR`, `mean` of both, or empty.
        model: A registry name.
        metric: `accuracy`, `accuracy_gain_over_cnn`, ...

    Returns:
        The number as printed, such as `"94.968"`, marked if it was derived
        from others, such as `"91.636 (derived)"`, or nothing.
    """
    table = _paper_results()
    if (dataset, model, metric) not in table.index:
        return ""
    value, provenance = table.loc[(dataset, model, metric)]
    return value if provenance.startswith("stated") else f"{value} (derived)"


@functools.cache
def _paper_results() -> pd.DataFrame:
    file = files("kerafer.reproduction") / "paper_results.csv"
    with file.open(encoding="utf-8") as stream:
        table = pd.read_csv(stream, dtype=str, keep_default_na=False)
    return table.set_index(["dataset", "model", "metric"])


def cost_table(names: Sequence[str] = ()) -> pd.DataFrame:
    """List the costs of models, all by default, beside the article's."""
    rows = []
    for name in names or list_models():
        parameters, macs = complexity(create_model(name))
        rows.append(
            {
                "model": name,
                "parameters": f"{parameters:,}",
                "article, M": paper_value("", name, "parameters_millions"),
                "multiply-adds, G": f"{macs / 1e9:.4f}",
                "article, G": paper_value("", name, "gflops"),
            }
        )
    return pd.DataFrame(rows)


def run_table(trainings: list[Training]) -> pd.DataFrame:
    """List finished runs with their scores and how to repeat them.

    Returns:
        One row per run: its settings, scores (0 to 1, averages over classes),
        costs by the article's counting, speed, command, versions and processor.
    """
    rows = []
    for training in trainings:
        folder, config = training.folder, training.config
        metrics = read_json(folder / "metrics.json")
        test = metrics["test"]
        machine = parse_yaml(read_text(folder / "versions.yaml"))
        flags = as_flags(config.anywhere(), always=("dataset", "arch"))
        rows.append(
            {
                "run": training.name,
                "arch": config.arch,
                "options": config.options or "",
                "split": metrics["split"],
                "seed": config.seed,
                "accuracy": test["accuracy"],
                **{name: test["macro"][name] for name in list(_SCORES)[1:]},
                "n_test_images": test["n_images"],
                "epochs": metrics["epochs"],
                "best_epoch": metrics["best_epoch"],
                "parameters": metrics["parameters"],
                "macs": metrics["macs"],
                "images_per_second": round(metrics["images_per_second"], 1),
                "minutes": round(metrics["seconds"] / 60, 2),
                "number_format": metrics["precision"],
                "command": shlex.join(["kerafer", "train", *flags]),
                **{name: machine[name] for name in _MACHINE},
            }
        )
    return pd.DataFrame(rows)


def score_table(
    group: Ablation, plan: Plan, paper: str | None = None
) -> pd.DataFrame:
    """List our scores over runs, and the article's beside them.

    Args:
        group: The models.
        plan: The trainings.
        paper: The article's data set (`KDEF`, `FESR`) to show. Default: none.

    Returns:
        One row per model, numbers in percent as text: mean and standard
        deviation over runs, the difference from the first model or the one
        that the variant names, with its 95 % interval over the seeds of both,
        and the article's accuracy.
    """
    scores = {
        variant.name: run_table(plan.finished(variant))
        for variant in group.variants
    }
    first = group.variants[0].name
    rows = []
    for variant in group.variants:
        runs = scores[variant.name]
        row = {
            "model": variant.name,
            "differs": variant.differs,
            "runs": len(runs),
        }
        if len(runs):
            counts = sorted(set(runs["n_test_images"]))
            row["test images"] = ", ".join(map(str, counts))
            for name, title in _SCORES.items():
                row[title] = _mean_and_deviation(100 * runs[name])
            row["difference"] = ""
        other = variant.against or first
        if len(runs) and len(scores[other]) and other != variant.name:
            ours, theirs = (
                100 * table.set_index("seed")["accuracy"]
                for table in (runs, scores[other])
            )
            row["difference"] = _difference(ours, theirs)
        if paper is not None:
            for title, metric in _PAPER.items():
                value = paper_value(paper, variant.arch, metric)
                row[f"article, {paper}, {title}"] = value
        rows.append(row)
    table = pd.DataFrame(rows).fillna("")
    empty = [c for c in table.columns[3:] if (table[c] == "").all()]
    return table.drop(columns=empty)


def paired_difference(
    values: pd.Series, base: pd.Series
) -> tuple[float, float, float]:
    """Compare the scores of two models, whose index is the seed.

    Returns:
        The mean difference, and the ends of its 95 % interval by Student's t,
        which are NaN for fewer than two common seeds.
    """
    differences = (values - base).dropna()
    n = len(differences)
    mean = float(differences.mean())
    if n < 2:
        return mean, math.nan, math.nan
    half = stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / math.sqrt(n)
    return mean, mean - half, mean + half


def _difference(values: pd.Series, base: pd.Series) -> str:
    mean, low, high = paired_difference(values, base)
    interval = "" if math.isnan(low) else f" ({low:+.2f} to {high:+.2f})"
    return f"{mean:+.2f}{interval}"


def _mean_and_deviation(values: pd.Series) -> str:
    deviation = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{deviation}"
