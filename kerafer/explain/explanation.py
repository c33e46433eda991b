"""A model's answer to an image, with the map that explains it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from kerafer.class_names import match_classes
from kerafer.errors import UserError
from kerafer.explain.grad_cam import grad_cam
from kerafer.explain.inputs import checked_images, predict
from kerafer.explain.occlusion import occlusion_map

METHODS = ("grad-cam", "grad-cam++", "occlusion")


class Explanation(NamedTuple):
    """What a model says of an image, and why.

    Args:
        label: The class that is explained.
        probability: Of that class.
        answer: The likeliest class.
        heatmap: 0 to 1, of the model's input size.
        largest_drop: How much covering a part takes off the probability at
            most; `None` for Grad-CAM.
    """

    label: str
    probability: float
    answer: str
    heatmap: np.ndarray
    largest_drop: float | None = None


def explain(
    model: keras.Model,
    images: np.ndarray,
    class_names: Sequence[str],
    method: str = "grad-cam",
    class_name: str | None = None,
) -> list[Explanation]:
    """Explain a model's answers.

    Args:
        model: Takes the images.
        images: Values 0 to 255, of shape `(images, height, width,
            channels)`.
        class_names: In the order of the model's outputs.
        method: One of `METHODS`. Defaults to `"grad-cam"`.
        class_name: The class that is explained. Defaults to the likeliest of
            each image.

    Returns:
        One for each image. A heat map is divided by its highest value; of
        an occlusion map, what raises the probability counts as 0.

    Raises:
        UserError: For an unknown method or class, names that are not as many
            as the outputs, images that the model does not take, and answers
            that are no probabilities.
    """
    names = tuple(class_names)
    if method not in METHODS:
        raise UserError(
            f"A method is one of {', '.join(METHODS)}. Received: {method}."
        )
    (place,) = match_classes(names, [class_name]) if class_name else (None,)
    if class_name is not None and place is None:
        raise UserError(
            f"A class is one of {', '.join(names)}. Received: {class_name}."
        )
    if model.output_shape[-1] != len(names):
        raise UserError(
            "A model has one output for each class name. This one has "
            f"{model.output_shape[-1]}. Received: {', '.join(names)}."
        )
    images = checked_images(model, images)
    probabilities = predict(model, images)
    answers = probabilities.argmax(axis=1)
    classes = answers
    if class_name is not None:
        classes = np.full_like(answers, place)
    if method == "occlusion":
        drops = np.maximum(occlusion_map(model, images, classes), 0.0)
        largest = drops.max(axis=(1, 2))
        heatmaps = drops / np.where(largest > 0, largest, 1)[:, None, None]
    else:
        largest = [None] * len(images)
        heatmaps = grad_cam(
            model, images, classes, plus_plus=method == "grad-cam++"
        )
    return [
        Explanation(
            names[index],
            float(row[index]),
            names[answer],
            heatmap,
            None if drop is None else float(drop),
        )
        for index, row, answer, heatmap, drop in zip(
            classes, probabilities, answers, heatmaps, largest, strict=True
        )
    ]
