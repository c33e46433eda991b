"""The images of a report."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from kerafer.figures import save_figure


def plot_history(history: pd.DataFrame, file: str | os.PathLike) -> None:
    """Draw loss and accuracy over the epochs.

    Args:
        history: One row an epoch: `loss`, `val_loss`, `accuracy` and
            `val_accuracy`.
        file: A .png to write.
    """
    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    best = int(history["val_loss"].argmin())
    epochs = np.arange(1, len(history) + 1)
    for axes, name in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), strict=True
    ):
        style = {"marker": "o"} if len(history) == 1 else {}
        axes.plot(epochs, history[name], label="training", **style)
        axes.plot(
            epochs, history[f"val_{name}"], "--", label="validation", **style
        )
        axes.axvline(
            best + 1, color="gray", linestyle=":", label=f"best: {best + 1}"
        )
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
                fontsize=8.5,
                linespacing=0.95,
                color="white" if part > 0.5 else "black",
            )
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=40, ha="right")
    axes.set_yticks(ticks, class_names)
    axes.set(xlabel="predicted", ylabel="true")
    return image


def plot_reliability(
    bins: pd.DataFrame, error: float, file: str | os.PathLike
) -> None:
    """Draw how often a model is right against how sure it is.

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
    few = there["n_images"] < _FEW
    middle = (there["lower"] + there["upper"]) / 2
    width = 0.92 * float((bins["upper"] - bins["lower"]).iloc[0])
    for rows, alpha in ((~few, 1.0), (few, 0.35)):
        if not rows.any():
            continue
        upper.bar(
            middle[rows],
            there["accuracy"][rows],
            width,
            color=_BLUE,
            alpha=alpha,
            label=f"right, of fewer than {_FEW} images"
            if alpha < 1
            else "how often it is right",
        )
    upper.plot(
        [0, 1],
        [0, 1],
        color="gray",
        linestyle="--",
        label="right as often as sure",
    )
    for place, row in zip(middle, there.itertuples(), strict=True):
        upper.plot(
            [place] * 2, [row.accuracy, row.confidence], color=_RED, zorder=3
        )
    upper.plot(
        middle,
        there["confidence"],
        color=_RED,
        linestyle="none",
        marker="_",
        markersize=14,
        markeredgewidth=2,
        label="how sure it is, with the gap",
    )
    upper.set(
        ylabel="images that are right",
        ylim=(0, 1.02),
        title=f"Confidence is {error:.1%} off on average (ECE)",
    )
    figure.legend(
        frameon=False, loc="outside lower center", ncols=2, fontsize=9
    )
    bars = lower.bar(middle, there["n_images"], width, color="gray")
    lower.bar_label(bars, fontsize=8)
    lower.margins(y=0.2)
    lower.set(
        xlabel="probability of the class it names",
        ylabel="images",
        xlim=(0, 1),
    )
    for axis in (upper.yaxis, lower.xaxis):
        axis.set_major_formatter(PercentFormatter(1))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, file)


def plot_mistakes(
    images: Sequence[np.ndarray],
    captions: Sequence[tuple[str, str, str]],
    title: str,
    file: str | os.PathLike,
) -> None:
    """Draw images that were taken for something else, six a row.

    Args:
        images: uint8 of shape `(height, width, 1 or 3)`.
        captions: Of each image what it is, what it was taken for, and
            where it is found.
        title: Above all.
        file: A .png to write.
    """
    columns = min(6, max(4, len(images)))
    rows = -(-len(images) // columns)
    figure = Figure(
        figsize=(columns * 1.9, rows * 2.4 + 0.5),
        # Inches: room for the captions, which the layout does not count.
        layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.31),
    )
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, (true, taken, name) in zip(
        grid, images, captions, strict=False
    ):
        axes.imshow(
            image.squeeze(),
            cmap="gray",
            vmin=0,
            vmax=255,
            interpolation="bicubic",
        )
        for top, offset, text, colour, size in (
            (1, 17, true, "black", 9),
            (1, 5, taken, _RED, 9),
            (0, -10, name, "gray", 6.5),
        ):
            caption = axes.annotate(
                text,
                (0.5, top),
                (0, offset),
                xycoords="axes fraction",
                textcoords="offset points",
                color=colour,
                fontsize=size,
                ha="center",
            )
            # A long name would make its column wider.
            caption.set_in_layout(False)
    # Photographs have no more to show at 300.
    save_figure(figure, file, 150)


_BLUE, _RED = "#3b7dbd", "#b3261e"
_FEW = 10
