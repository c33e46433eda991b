"""Accuracy of the stems against what they cost.

    python benchmarks/plot_stems.py --runs docs/results/synthetic/runs.csv \
        --costs docs/results/stems.csv --out docs/results/stems.png

The runs are those of `kerafer reproduce --questions stem,resnet18_stem`, the
costs those of `kerafer benchmark stems`.
"""

import argparse

import matplotlib

matplotlib.use("agg")
import pandas as pd
import yaml
from matplotlib import pyplot as plt

from kerafer.evaluation.stem_costs import STEMS
from kerafer.figures import COLOURS, save_figure

# The attention costs next to nothing; costs are counted without it.
COSTS_OF = {"wca_mcnn": "mcnn", "msc_resnet18": "msc_resnet18"}
LABELS = {
    "full": "3, 5, 7",
    "dilated": "dilated",
    "depthwise": "depthwise",
    "one scale": "7 alone",
    "stride_2": "5, 7 at stride 2",
}
MARKERS = ("D", "o", "s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("runs", "costs", "out"):
        parser.add_argument(f"--{name}", required=True)
    parsed = parser.parse_args()
    table = _joined(pd.read_csv(parsed.runs), pd.read_csv(parsed.costs))
    pixels = int(table["image_size"].iloc[0])
    figure, axes = plt.subplots(2, 2, figsize=(6.8, 5.6), layout="constrained")
    for row, (arch, group) in zip(axes, table.groupby("arch"), strict=True):
        _draw(row[0], group, "gmacs", f"G multiply-adds at {pixels}")
        threads = int(group["threads"].iloc[0])
        _draw(
            row[1],
            group,
            "inference_ms",
            f"ms an image at {pixels}, {threads} threads",
        )
        row[0].set_title(f"{arch}: mean and seeds", loc="left", fontsize=10)
    save_figure(figure, parsed.out)


def _joined(runs: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Every run of a stem with what the stem costs."""
    runs = runs[runs["arch"].isin(COSTS_OF) & (runs["split"] == "subject")]
    runs = runs.assign(
        stem=[_stem(options) for options in runs["options"]],
        costs_of=runs["arch"].map(COSTS_OF),
    ).dropna(subset="stem")
    costs = costs.assign(gmacs=costs["macs"] / 1e9).rename(
        columns={"arch": "costs_of"}
    )
    costs = costs[
        ["costs_of", "stem", "gmacs", "inference_ms", "image_size", "threads"]
    ]
    return runs[["arch", "costs_of", "stem", "seed", "accuracy"]].merge(
        costs, on=["costs_of", "stem"]
    )


def _stem(options: object) -> str | None:
    if pd.isna(options):
        return "full"
    asked = yaml.safe_load("{" + str(options).replace("=", ": ") + "}")
    for name, wanted in STEMS.items():
        if _plain(wanted) == _plain(asked):
            return name
    return None


def _plain(options: dict[str, object]) -> dict[str, object]:
    """Options with tuples as lists, and lists of one as their number."""
    plain = {}
    for name, value in options.items():
        value = list(value) if isinstance(value, tuple) else value
        one = isinstance(value, list) and len(value) == 1
        plain[name] = value[0] if one else value
    return plain


def _draw(axis: plt.Axes, group: pd.DataFrame, cost: str, label: str) -> None:
    middle = group[cost].agg(["min", "max"]).mean()
    for index, (stem, runs) in enumerate(group.groupby("stem", sort=False)):
        x = runs[cost].iloc[0]
        mean = 100 * runs["accuracy"].mean()
        # Black is the text's.
        colour, marker = COLOURS[1 + index], MARKERS[index]
        axis.scatter(runs[cost], 100 * runs["accuracy"], 12, colour, alpha=0.5)
        axis.scatter(x, mean, 60, colour, marker=marker)
        # Towards the middle, so that it stays inside the frame.
        right = x <= middle
        axis.annotate(
            LABELS[stem],
            (x, mean),
            (7 if right else -7, 5),
            textcoords="offset points",
            ha="left" if right else "right",
            fontsize=9,
            color=colour,
        )
    axis.set_xlabel(label)
    axis.set_ylabel("accuracy %, synthetic\nfaces, 64 pixels")
    axis.margins(x=0.25)
    axis.grid(alpha=0.3)


if __name__ == "__main__":
    main()
