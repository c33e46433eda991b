"""Draw images beside what models see in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from kerafer.explain.grad_cam import grad_cam
from kerafer.figures import save_figure
from kerafer.images import fit, resize
from kerafer.inference import ModelBundle

_PALEST, _STRONGEST = 0.15, 0.6
_CELL = 2.4
_SHOWN_SIDE = 480
_WRONG = "#b3261e"


class Explanation(NamedTuple):
    """The explained class, its probability and heat map, and the answer."""

    label: str
    probability: float
    answer: str
    heatmap: np.ndarray


def explain_answers(
    bundle: ModelBundle,
    images: Sequence[np.ndarray],
    class_index: int | None = None,
) -> list[Explanation]:
    """Explain a model's answers for images with Grad-CAM.

    Args:
        bundle: A Keras model.
        images: uint8 RGB of any size, each one face.
        class_index: The class to explain. Default: each image's most probable.
    """
    batch = np.stack([fit(image, bundle.input_shape) for image in images])
    probabilities = bundle.predict(batch)
    answers = probabilities.argmax(axis=1)
    classes = answers if class_index is None else answers * 0 + class_index
    given = bundle.input_range.apply(batch)
    heatmaps = grad_cam(bundle.keras_model, given, classes)
    names = bundle.labels
    return [
        Explanation(names[chosen], float(row[chosen]), names[answer], heatmap)
        for chosen, row, answer, heatmap in zip(
            classes, probabilities, answers, heatmaps, strict=True
        )
    ]


def plot_sheet(
    images: Sequence[np.ndarray],
    explanations: Sequence[tuple[str, Sequence[Explanation]]],
    file: str | os.PathLike,
    labels: Sequence[str] | None = None,
) -> None:
    """Draw images and explanations, a row per image and a column per model.

    Args:
        images: uint8 of shape `(height, width, 1 or 3)`, of any size.
        explanations: Name and explanations of each model, one per image.
        file: The .png file to write.
        labels: The true classes; other answers are red. Default: unknown.
    """
    rows, columns = len(images), 1 + len(explanations)
    figure = Figure(
        figsize=(columns * _CELL + 1.0, rows * _CELL + 0.4),
        layout="constrained",
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, image in enumerate(images):
        # So large that maps look smooth.
        times = -(-_SHOWN_SIDE // max(image.shape[:2]))
        shown = image.repeat(times, axis=0).repeat(times, axis=1)
        label = None if labels is None else labels[row]
        grid[row, 0].imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=255)
        grid[row, 0].set_title(label or "", fontsize=10)
        for axes, (name, found) in zip(
            grid[row, 1:], explanations, strict=True
        ):
            one = found[row]
            text = f"{one.label} {one.probability:.0%}"
            if one.label != one.answer:
                text += f" (predicted {one.answer})"
            if not one.heatmap.any():
                text += "\nno evidence for it"
            colour = "black" if label in (None, one.answer) else _WRONG
            title = text if row else f"{name}\n{text}"
            axes.imshow(_overlay(shown, one))
            axes.set_title(title, fontsize=10, color=colour)
    for axes in grid.flat:
        axes.set_axis_off()
    figure.colorbar(
        ScalarMappable(cmap="viridis"), ax=grid, ticks=[0, 0.5, 1], shrink=0.8
    ).set_label("evidence for this class (relative), pale if unsure")
    save_figure(figure, file, 120)


def _overlay(image: np.ndarray, one: Explanation) -> np.ndarray:
    """Lay a heat map over an image, paler for low probabilities."""
    heat = resize(one.heatmap.astype(np.float32), image.shape[:2])
    levels = np.rint(255 * np.clip(heat, 0, 1)).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    # Gray below: an image's own red could be mistaken for heat.
    gray = image.astype(np.float32).mean(axis=2, keepdims=True)
    opacity = _PALEST + (_STRONGEST - _PALEST) * one.probability
    return np.rint(gray * (1 - opacity) + colours * opacity).astype(np.uint8)
