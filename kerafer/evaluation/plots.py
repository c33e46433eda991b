"""The images of a report."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import ConfusionMatrixDisplay

from kerafer.figures import save_figure

_BLUE, _RED = "#3b7dbd", "#b3261e"


def plot_history(history: pd.DataFrame, file: str | os.PathLike) -> None:
    """Draw loss and accuracy over the epochs.

    Args:
        history: One row an epoch: `loss`, `val_loss`, `accuracy` and
            `val_accuracy`.
        file: A .png to write.
    """
    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    best = int(history["val_loss"].argmin()) + 1
    epochs = np.arange(1, len(history) + 1)
    marker = "o" if len(history) == 1 else ""
    names = ("loss", "accuracy")
    for axes, name in zip(figure.subplots(1, 2), names, strict=True):
        for column, line, label in (
            (name, "-", "training"),
            (f"val_{name}", "--", "validation"),
        ):
            axes.plot(epochs, history[column], line, marker=marker, label=label)
        axes.axvline(best, color="gray", linestyle=":", label=f"best: {best}")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    save_figure(figure, file)


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
    side = 1.4 + 0.56 * len(class_names)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = draw_confusion(axes, confusion, class_names)
    figure.colorbar(
        image,
        ax=axes,
        shrink=0.75,
        label="part of the true class",
        format=PercentFormatter(1),
    )
    save_figure(figure, file)


def draw_confusion(
    axes: Axes, confusion: np.ndarray, class_names: tuple[str, ...]
) -> AxesImage:
    """Draw a confusion matrix into a part of a figure.

    Args:
        axes: To draw into.
        confusion: Counts of shape `(classes, classes)`, rows the truth.
        class_names: In the order of rows and columns.

    Returns:
        The image, for a colour bar.
    """
    parts = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    display = ConfusionMatrixDisplay(parts, display_labels=class_names)
    display.plot(
        ax=axes,
        cmap="Blues",
        im_kw={"vmin": 0, "vmax": 1},
        text_kw={"fontsize": 8.5, "linespacing": 0.95},
        colorbar=False,
    )
    for place, text in np.ndenumerate(display.text_):
        count = confusion[place]
        text.set_text(f"{count}\n{parts[place]:.0%}" if count else "")
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=40, ha="right")
    axes.set(xlabel="predicted", ylabel="true")
    return display.im_


def plot_reliability(
    bins: pd.DataFrame, error: float, file: str | os.PathLike
) -> None:
    """Draw the accuracy of predictions against their probability.

    Args:
        bins: As from `kerafer.evaluation.reliability`.
        error: The expected calibration error.
        file: A .png to write.
    """
    figure = Figure(figsize=(5, 5.6), layout="constrained")
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)}
    )
    there = bins[bins["n_images"] > 0]
    middle = (there["lower"] + there["upper"]) / 2
    width = 0.92 * float((bins["upper"] - bins["lower"]).iloc[0])
    upper.bar(middle, there["accuracy"], width, color=_BLUE, label="accuracy")
    upper.plot([0, 1], [0, 1], "--", color="gray", label="well calibrated")
    upper.vlines(middle, there["accuracy"], there["confidence"], color=_RED)
    upper.plot(
        middle,
        there["confidence"],
        "_",
        color=_RED,
        markersize=14,
        label="mean probability, with the gap",
    )
    upper.set(
        ylabel="images that are right",
        ylim=(0, 1.02),
        title=f"Confidence is {error:.1%} off on average (ECE)",
    )
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    bars = lower.bar(middle, there["n_images"], width, color="gray")
    lower.bar_label(bars, fontsize=8)
    lower.margins(y=0.2)
    lower.set(
        xlabel="probability of the predicted class",
        ylabel="images",
        xlim=(0, 1),
    )
    for axes in (upper.yaxis, lower.xaxis):
        axes.set_major_formatter(PercentFormatter(1))
    save_figure(figure, file)


def plot_mistakes(
    images: Sequence[np.ndarray],
    captions: Sequence[tuple[str, str, str]],
    title: str,
    file: str | os.PathLike,
) -> None:
    """Draw misclassified images, six a row.

    Args:
        images: uint8 of shape `(height, width, 1 or 3)`.
        captions: For each image its true class, its predicted class, and its
            name.
        title: Above all.
        file: A .png to write.
    """
    columns = min(6, max(4, len(images)))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(columns * 1.9, rows * 2.4 + 0.5))
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, (true, taken, name) in zip(
        grid, images, captions, strict=False
    ):
        axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{true}\n{taken}", fontsize=9)
        axes.text(
            *(0.5, -0.03, name),
            transform=axes.transAxes,
            fontsize=6.5,
            color="gray",
            ha="center",
            va="top",
        )
    # Photographs have no more to show at 300.
    save_figure(figure, file, 150)
