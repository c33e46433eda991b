"""The learning curves of several runs in one table and one image.

    python benchmarks/learning_curves.py runs/one runs/two \
        --out docs/results/edge_fer2013_curves

writes a .csv with a row for every epoch, and a .png. A .csv that it wrote is
drawn anew:

    python benchmarks/learning_curves.py docs/results/edge_fer2013_curves.csv \
        --out docs/results/edge_fer2013_curves
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from kerafer.figures import COLOURS, save_figure
from kerafer.files import write_text

COLUMNS = (
    *("run", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"),
    *("val_f1", "seconds"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument(
        "--least", type=float, default=20.0, help="percent, below the curves"
    )
    parsed = parser.parse_args()
    curves = pd.concat(map(read, parsed.runs))
    write_text(
        f"{parsed.out}.csv",
        curves[list(COLUMNS)].to_csv(
            index=False, lineterminator="\n", float_format="%.5g"
        ),
    )
    figure, axes = plt.subplots(figsize=(6.8, 5.2), layout="constrained")
    for index, (run, rows) in enumerate(curves.groupby("run", sort=False)):
        shown = {"color": COLOURS[index % len(COLOURS)], "linewidth": 1.2}
        line = "--" if index >= len(COLOURS) else "-"
        label = run.replace("_", " ")
        epochs, validation = rows["epoch"], 100 * rows["val_accuracy"]
        axes.plot(epochs, validation, line, label=label, **shown)
        axes.plot(epochs, 100 * rows["accuracy"], ":", alpha=0.6, **shown)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_ylabel("accuracy %: validation, and dotted training")
    axes.set_ylim(parsed.least)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    save_figure(figure, f"{parsed.out}.png")


def read(run: str) -> pd.DataFrame:
    """The epochs of a run from 1, or of all in a table of this script."""
    if run.endswith(".csv"):
        return pd.read_csv(run)
    history = pd.read_csv(Path(run) / "history.csv")
    return history.assign(run=Path(run).name, epoch=history["epoch"] + 1)


if __name__ == "__main__":
    main()
