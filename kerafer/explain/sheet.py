"""Images beside what several models see on them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from kerafer.explain.explanation import Explanation, explain
from kerafer.explain.heatmap import COLOUR_MAP, overlay
from kerafer.figures import save_figure

_CELL = 2.4
_SHOWN_SIDE = 480
_WRONG = "#b3261e"


def cam_sheet(
    models: dict[str, keras.Model],
    images: np.ndarray,
    labels: Sequence[str],
    class_names: Sequence[str],
    file: str | os.PathLike,
) -> None:
    """Draw images with each model's Grad-CAM and answer, a row an image.

    Args:
        models: By name; all take the images.
        images: uint8 of shape `(images, height, width, channels)`.
        labels: What is on each image; answers that differ are red.
        class_names: In the order of the models' outputs.
        file: A .png to write.

    Raises:
        UserError: Where a model does not take the images or has another
            number of classes.
    """
    found = {
        name: explain(model, images, class_names)
        for name, model in models.items()
    }
    plot_sheet(list(images), found, "grad-cam", file, labels)


def plot_sheet(
    pictures: Sequence[np.ndarray],
    explanations: dict[str, Sequence[Explanation]],
    method: str,
    file: str | os.PathLike,
    labels: Sequence[str] | None = None,
) -> None:
    """Draw images and explanations, a row an image, a column a model.

    A row is 2.4 inches high and a column as wide, at 120 pixels an inch, with
    1 inch on the right for the colours.

    Args:
        pictures: uint8 of shape `(height, width, 1 or 3)`, of any size.
        explanations: By model, one for each image.
        method: Of `METHODS`, for the colours' caption.
        file: A .png to write.
        labels: What is on each image, if that is known; answers that differ
            are red.
    """
    rows, columns = len(pictures), 1 + len(explanations)
    figure = Figure(
        figsize=(columns * _CELL + 1.0, rows * _CELL + 0.4),
        layout="constrained",
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, picture in enumerate(pictures):
        shown = _shown(picture)
        label = None if labels is None else labels[row]
        _draw(grid[row, 0], shown, label or "")
        for column, found in enumerate(explanations.values(), start=1):
            one = found[row]
            _draw(
                grid[row, column],
                overlay(shown, one.heatmap, one.probability),
                _caption(one),
                "black" if label in (None, one.answer) else _WRONG,
            )
    for axes, name in zip(grid[0], ("picture", *explanations), strict=True):
        axes.annotate(
            name,
            (0.5, 1),
            (0, 32),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            weight="bold",
        )
    figure.colorbar(
        ScalarMappable(cmap=COLOUR_MAP),
        ax=grid,
        ticks=[0, 0.5, 1],
        fraction=0.04,
        shrink=1 / rows,
        anchor=(0.0, 1.0),
        aspect=22,
    ).set_label(_BAR[method], fontsize=9)
    save_figure(figure, file, 120)


_LITTLE = "\nyellow: less than 0.1 points"
_PALE = "\npale where it is unsure"
_GRAD_CAM = f"speaks for the class,\npart of the highest;{_PALE}"
_BAR = {
    "grad-cam": _GRAD_CAM,
    "grad-cam++": _GRAD_CAM,
    "occlusion": f"probability lost when\ncovered, part of the most;{_PALE}",
}


def _caption(one: Explanation) -> str:
    text = f"{one.label} {one.probability:.0%}"
    if one.label != one.answer:
        text += f" (it says {one.answer})"
    if not one.heatmap.any():
        return f"{text}\nno part speaks for it"
    if one.largest_drop is not None:
        points = 100 * one.largest_drop
        text += f"\nyellow: {-points:.1f} points" if points >= 0.1 else _LITTLE
    return text


def _draw(
    axes: Axes, image: np.ndarray, title: str, colour: str = "black"
) -> None:
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    axes.set_title(title, fontsize=10, color=colour)


def _shown(picture: np.ndarray) -> np.ndarray:
    """The image as large as it will be seen, so that maps are smooth."""
    scale = _SHOWN_SIDE / max(picture.shape[:2])
    size = tuple(max(1, round(n * scale)) for n in picture.shape[1::-1])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = cv2.resize(picture, size, interpolation=kind)
    return shown.reshape(*shown.shape[:2], picture.shape[2])
