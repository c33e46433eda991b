"""Occlusion maps."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from kerafer.errors import UserError
from kerafer.explain.inputs import (
    BATCH_SIZE,
    checked_classes,
    checked_images,
    predict,
)

# Mid-gray, which the models' scaling makes 0.
_GRAY = 127.5
# A mouth or an eye of a face that fills the image.
_WINDOWS_ACROSS = 6


def occlusion_map(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | Sequence[int] | None = None,
    window: int | None = None,
    step: int | None = None,
) -> np.ndarray:
    """How much the probability of a class falls when a part is covered.

    A gray square is moved over the image; a pixel's value is the mean over
    all squares that cover it of the probability with nothing covered less the
    probability with the square.

    Args:
        model: Gives probabilities.
        images: Values 0 to 255, of shape `(images, height, width,
            channels)`.
        class_index: The class that is explained, one for all images or one
            for each. Defaults to the likeliest of each image.
        window: Side of the square, pixels. Defaults to a sixth of the
            image's shorter side.
        step: Pixels from square to square, at most `window`. Defaults to half
            of it.

    Returns:
        float32 of shape `(images, height, width)`, -1 to 1: negative where
        covering raises the probability.

    Raises:
        UserError: For images or classes that the model does not take, a
            square or step out of range, and answers that are no probabilities.

    Reference:
        Zeiler and Fergus, ECCV 2014.
    """
    images = checked_images(model, images)
    height, width = images.shape[1:3]
    least = min(height, width)
    window = (
        max(1, round(least / _WINDOWS_ACROSS)) if window is None else window
    )
    if not 1 <= window <= least:
        raise UserError(
            f"`window` is 1 to {least} pixels, the image's shorter side. "
            f"Received: {window}."
        )
    step = max(1, window // 2) if step is None else step
    if not 1 <= step <= window:
        raise UserError(
            f"`step` is 1 to {window} pixels, the side of the square, or some "
            f"would never be covered. Received: {step}."
        )
    classes = checked_classes(model, images, class_index)
    whole = predict(model, images)
    corners = [
        (top, left)
        for top in _starts(height, window, step)
        for left in _starts(width, window, step)
    ]
    maps = np.zeros(images.shape[:3], np.float32)
    for number, (image, index) in enumerate(zip(images, classes, strict=True)):
        covered = _covered_probabilities(model, image, index, corners, window)
        counts = np.zeros(image.shape[:2], np.float32)
        for (top, left), probability in zip(corners, covered, strict=True):
            part = slice(top, top + window), slice(left, left + window)
            maps[number][part] += whole[number, index] - probability
            counts[part] += 1
        maps[number] /= counts
    return maps


def _starts(side: int, window: int, step: int) -> list[int]:
    """Where squares begin; the last one ends at the edge."""
    starts = list(range(0, side - window, step))
    return [*starts, side - window]


def _covered_probabilities(
    model: keras.Model,
    image: np.ndarray,
    index: int,
    corners: list[tuple[int, int]],
    window: int,
) -> np.ndarray:
    """The class' probability with the square at each of the corners."""
    found = []
    for at in range(0, len(corners), BATCH_SIZE):
        part = corners[at : at + BATCH_SIZE]
        batch = np.repeat(image[None], len(part), axis=0)
        for copy, (top, left) in zip(batch, part, strict=True):
            copy[top : top + window, left : left + window] = _GRAY
        found.append(predict(model, batch)[:, index])
    return np.concatenate(found)
