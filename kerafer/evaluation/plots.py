"""The pictures of a report."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerafer.files import written_beside


def plot_history(history: pd.DataFrame, file: str | os.PathLike) -> None:
    """Draw loss and accuracy over the epochs.

    Args:
        history: One row an epoch: `loss`, `val_loss`, `accuracy` and
            `val_accuracy`.
        file: A .png to write.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    best = int(history["val_loss"].argmin())
    epochs = np.arange(1, len(history) + 1)
    for axes, name in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), strict=True
    ):
        style = {"marker": "o"} if len(history) == 1 else {}
        axes.plot(epochs, history[name], label="training", **style)
        axes.plot(epochs, history[f"val_{name}"], label="validation", **style)
        axes.axvline(
            best + 1, color="gray", linestyle=":", label=f"best: {best + 1}"
        )
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    _save(figure, file)


def plot_confusion(
    confusion: np.ndarray,
    class_names: tuple[str, ...],
    file: str | os.PathLike,
) -> None:
    """Draw a confusion matrix: colour by part of the row, counts as text.

    Args:
        confusion: Counts of shape `(classes, classes)`, rows the truth.
        class_names: In the order of rows and columns.
        file: A .png to write.
    """
    parts = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = 1.8 + 0.72 * len(class_names)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*confusion.shape):
        count, part = confusion[row, column], parts[row, column]
        if count:
            axes.text(
                column,
                row,
                f"{count}\n{part:.0%}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if part > 0.5 else "black",
            )
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=40, ha="right")
    axes.set_yticks(ticks, class_names)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=axes, shrink=0.75, label="part of the true class")
    _save(figure, file)


def _save(figure: Figure, file: str | os.PathLike) -> None:
    with written_beside(file) as beside:
        figure.savefig(beside, dpi=120)
