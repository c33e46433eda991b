"""Figures 12 to 15 and 18: validation curves of several models."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerafer.figures import COLOURS, save_figure

_LINES = ("-", "--", "-.", ":")


def plot_bands(
    histories: dict[str, list[pd.DataFrame]],
    title: str,
    file: str | os.PathLike,
) -> None:
    """Draw validation accuracy and loss, the mean over runs with a band.

    The band goes from the lowest to the highest run. Where runs ended early,
    mean and band are those of the runs that were still going.

    Args:
        histories: For each model the tables of its runs, one row an epoch,
            with `val_accuracy` and `val_loss`.
        title: Over the image.
        file: A .png to write.
    """
    figure = Figure(figsize=(6.8, 3.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for axes, column, name in zip(
        figure.subplots(1, 2),
        ("val_accuracy", "val_loss"),
        ("validation accuracy", "validation loss"),
        strict=True,
    ):
        for place, (label, runs) in enumerate(histories.items()):
            mean, low, high = band([run[column].to_numpy() for run in runs])
            epochs = np.arange(1, len(mean) + 1)
            style = {"marker": "o"} if len(mean) == 1 else {}
            style["linestyle"] = _LINES[place % len(_LINES)]
            style["color"] = COLOURS[place % len(COLOURS)]
            (line,) = axes.plot(epochs, mean, label=label, **style)
            axes.fill_between(
                epochs, low, high, color=line.get_color(), alpha=0.15, lw=0
            )
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
    # Below both, where it lies on no curve.
    several = any(len(runs) > 1 for runs in histories.values())
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        title="mean, and a band from the lowest to the highest run"
        if several
        else None,
    )
    save_figure(figure, file)


def band(
    runs: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, lowest and highest at each epoch of runs of different length."""
    table = np.full((len(runs), max(map(len, runs))), np.nan)
    for row, run in zip(table, runs, strict=True):
        row[: len(run)] = run
    return (
        np.nanmean(table, axis=0),
        np.nanmin(table, axis=0),
        np.nanmax(table, axis=0),
    )
