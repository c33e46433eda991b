"""Images beside what several models see on them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import cv2
import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from kerafer.errors import UserError
from kerafer.explain.explanation import Explanation, explain
from kerafer.figures import save_figure
from kerafer.images import resize

# Matplotlib has it under the same name, for the bar of a sheet.
COLOUR_MAP = "viridis"
_PALEST, _STRONGEST = 0.15, 0.6
_CELL = 2.4
_SHOWN_SIDE = 480
_WRONG = "#b3261e"


def overlay(
    image: np.ndarray, heatmap: np.ndarray, probability: float = 1.0
) -> np.ndarray:
    """Lay a heat map over an image: violet for 0 over green to yellow for 1.

    Args:
        image: uint8 RGB or gray, of shape `(height, width, 3)` or
            `(height, width, 1)`.
        heatmap: 0 to 1, of shape `(height, width)`; another size is enlarged
            or shrunk to the image's. What is outside counts as 0 or 1.
        probability: Of the class that is explained, 0 to 1: where it is low,
            the colours are pale. Defaults to 1.

    Returns:
        uint8 RGB of the image's height and width.

    Raises:
        UserError: For arrays of other kinds.
    """
    if (
        image.ndim != 3
        or image.shape[2] not in (1, 3)
        or image.dtype != np.uint8
        or heatmap.ndim != 2
    ):
        raise UserError(
            "An image is uint8 of shape (height, width, 1 or 3), a heat map "
            f"of shape (height, width). Received: {image.dtype} {image.shape} "
            f"and {heatmap.shape}."
        )
    heat = np.clip(heatmap, 0.0, 1.0).astype(np.float32)
    heat = resize(heat, image.shape[:2])
    levels = np.rint(255 * heat).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    # Gray below: an image's own red would pass for heat.
    gray = image.astype(np.float32).mean(axis=2, keepdims=True)
    share = float(np.clip(probability, 0.0, 1.0))
    opacity = _PALEST + (_STRONGEST - _PALEST) * share
    return np.rint(gray * (1 - opacity) + colours * opacity).astype(np.uint8)


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
    images: Sequence[np.ndarray],
    explanations: Mapping[str, Sequence[Explanation]],
    method: str,
    file: str | os.PathLike,
    labels: Sequence[str] | None = None,
) -> None:
    """Draw images and explanations, a row an image, a column a model.

    A row is 2.4 inches high and a column as wide, at 120 pixels an inch, with
    1 inch on the right for the colours.

    Args:
        images: uint8 of shape `(height, width, 1 or 3)`, of any size.
        explanations: By model, one for each image.
        method: Of `METHODS`, for the colours' caption.
        file: A .png to write.
        labels: What is on each image, if that is known; answers that differ
            are red.
    """
    rows, columns = len(images), 1 + len(explanations)
    figure = Figure(
        figsize=(columns * _CELL + 1.0, rows * _CELL + 0.4),
        layout="constrained",
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, image in enumerate(images):
        shown = _shown(image)
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
    for axes, name in zip(grid[0], ("image", *explanations), strict=True):
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


def _shown(image: np.ndarray) -> np.ndarray:
    """The image as large as it will be seen, so that maps are smooth."""
    scale = _SHOWN_SIDE / max(image.shape[:2])
    size = tuple(max(1, round(n * scale)) for n in image.shape[1::-1])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = cv2.resize(image, size, interpolation=kind)
    return shown.reshape(*shown.shape[:2], image.shape[2])
