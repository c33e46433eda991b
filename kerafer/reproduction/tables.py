"""Tables of the article, with our numbers beside its own."""

from __future__ import annotations

import math
import shlex
from importlib.resources import files

import pandas as pd
from scipy import stats

from kerafer.evaluation import complexity
from kerafer.models import create_model, list_models
from kerafer.reproduction.ablations import Ablation
from kerafer.reproduction.plan import Training, find_runs
from kerafer.settings import as_flags
from kerafer.training.config import TrainingConfig
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
_MACHINE = ("kerafer", "tensorflow", "keras", "processor", "cores")


def paper_results() -> pd.DataFrame:
    """Read the article's numbers, as far as its text states them.

    Returns:
        Columns `dataset` (`KDEF`, `FESR`, `mean` of both, or empty), `model`
        (a registry name), `metric`, `value` (text, with the digits that the
        article prints; accuracies and gains in percent) and `provenance`,
        which begins with `stated` or `derived`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025).
    """
    file = files("kerafer.reproduction") / "paper_results.csv"
    with file.open(encoding="utf-8") as stream:
        return pd.read_csv(stream, dtype=str, keep_default_na=False)


def paper_value(dataset: str, model: str, metric: str) -> tuple[str, str]:
    """Find one number of the article.

    Returns:
        The number if it is stated, and the number if it is derived; at least
        one of them is empty.
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


def cost_table(names: list[str] | None = None) -> pd.DataFrame:
    """List parameters and multiply-adds of models beside the article's.

    Args:
        names: Models. Default: all.
    """
    rows = []
    for name in names or list_models():
        parameters, macs = complexity(create_model(name))
        rows.append(
            {
                "model": name,
                "parameters": f"{parameters:,}",
                "article, M": "".join(
                    paper_value("", name, "parameters_millions")
                ),
                "multiply-adds, G": f"{macs / 1e9:.4f}",
                "article, G": "".join(paper_value("", name, "gflops")),
            }
        )
    return pd.DataFrame(rows)


def run_table(trainings: list[Training]) -> pd.DataFrame:
    """List finished runs with their scores and how to repeat them.

    Returns:
        One row per run: `run`, `arch`, `options`, `split`, `seed`,
        `accuracy`, `precision`, `recall`, `f1` (macro; all 0 to 1),
        `n_test_images`, `epochs`, `best_epoch`, `parameters`, `macs` (the
        article's counting), `images_per_second`, `minutes`, `number_format`,
        `command`, and the versions and the processor.
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
    group: Ablation,
    base: TrainingConfig,
    runs: int,
    plan: list[Training],
    paper: str | None,
) -> pd.DataFrame:
    """List our scores over runs, and the article's beside them.

    Args:
        group: The models; the others are compared with the first.
        base: The settings that they share.
        runs: Number of runs of each.
        plan: All runs.
        paper: The article's data set (`KDEF`, `FESR`) to show; `None` for a
            question that the article leaves open.

    Returns:
        One row per model, numbers in percent as text: mean and standard
        deviation over runs, the difference from the first model with its 95 %
        interval over the seeds of both, and the article's accuracy.
    """
    first: pd.DataFrame | None = None
    rows = []
    for variant in group.variants:
        found = [
            t for t in find_runs(base, variant, runs, plan) if t.state == "done"
        ]
        row = {"model": variant.name, "": variant.differs, "runs": len(found)}
        if found:
            table = run_table(found).set_index("seed")
            row["test images"] = ", ".join(
                str(n) for n in sorted(set(table["n_test_images"]))
            )
            for name, title in _SCORES.items():
                row[title] = _mean_and_deviation(100 * table[name])
            row["difference"] = ""
            if first is None:
                first = table
            else:
                row["difference"] = _difference(
                    100 * table["accuracy"], 100 * first["accuracy"]
                )
        if paper is not None:
            stated, derived = paper_value(paper, variant.arch, "accuracy")
            row[f"article, {paper}, stated %"] = stated
            row[f"article, {paper}, derived %"] = derived
            row[f"article, {paper}, stated gain over CNN"] = paper_value(
                paper, variant.arch, "accuracy_gain_over_cnn"
            )[0]
        rows.append(row)
    table = pd.DataFrame(rows).fillna("")
    empty = [c for c in table.columns[3:] if c != "" and (table[c] == "").all()]
    return table.drop(columns=empty)


def paired_difference(
    values: pd.Series, base: pd.Series
) -> tuple[float, float, float]:
    """Compare the scores of two models seed by seed.

    Runs with the same seed share the split and the test images.

    Args:
        values: Scores, with the seed as index.
        base: Those of the other model.

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


def _difference(values: pd.Series, base: pd.Series) -> str:
    mean, low, high = paired_difference(values, base)
    if math.isnan(low):
        return f"{mean:+.2f}"
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def _mean_and_deviation(values: pd.Series) -> str:
    deviation = values.std(ddof=1)
    if math.isnan(deviation):
        return f"{values.mean():.2f}"
    return f"{values.mean():.2f} ± {deviation:.2f}"
