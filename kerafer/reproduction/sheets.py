"""Pages of images and of confusion matrices."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.figure import Figure

from kerafer.evaluation.plots import draw_confusion
from kerafer.figures import save_figure


def plot_samples(
    images: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    file: str | os.PathLike,
    each: int = 4,
    seed: int = 0,
) -> None:
    """Draw images of each class and a bar for its count.

    Args:
        images: uint8 of shape `(images, height, width, 1 or 3)`.
        labels: Class index of every image.
        class_names: In the order of the indices.
        file: A .png to write.
        each: Images of a class. Defaults to 4.
        seed: Of their choice. Defaults to 0.
    """
    generator = np.random.default_rng(seed)
    names = class_names
    figure = Figure(
        figsize=(1.3 * each + 5, 1.25 * len(names) + 0.4), layout="constrained"
    )
    grid = figure.add_gridspec(
        len(names), each + 1, width_ratios=[*[1.0] * each, 2.6]
    )
    for row, name in enumerate(names):
        rows = np.flatnonzero(labels == row)
        chosen = generator.permutation(rows)[:each]
        for column, index in enumerate(chosen):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(images[index].squeeze(), cmap="gray")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if column == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center")
    axes = figure.add_subplot(grid[:, each])
    counts = np.bincount(labels, minlength=len(names))
    bars = axes.barh(range(len(names)), counts, height=0.6)
    axes.bar_label(bars, padding=3)
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.2 * counts.max())
    axes.set_xlabel("images")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, file)


def plot_confusions(
    confusions: dict[str, np.ndarray],
    class_names: tuple[str, ...],
    file: str | os.PathLike,
) -> None:
    """Draw a confusion matrix for each model, two in a row.

    Args:
        confusions: Counts of shape `(classes, classes)`, rows the truth,
            summed over the runs of a model.
        class_names: In the order of rows and columns.
        file: A .png to write.
    """
    columns = min(2, len(confusions))
    rows = -(-len(confusions) // columns)
    side = 1.6 + 0.66 * len(class_names)
    figure = Figure(figsize=(columns * side, rows * side), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, confusion) in zip(
        places, confusions.items(), strict=False
    ):
        draw_confusion(axes, confusion, class_names)
        axes.set_title(name, fontsize=11)
    for axes in places[len(confusions) :]:
        axes.set_visible(False)
    save_figure(figure, file)
