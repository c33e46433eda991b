"""Figures 16 and 17: which class is taken for which, by model."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.figure import Figure

from kerafer.evaluation.plots import draw_confusion
from kerafer.figures import save_figure


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
