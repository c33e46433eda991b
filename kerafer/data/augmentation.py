"""Random changes of the training pictures, by Keras' layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from kerafer.errors import UserError

# Arguments of Keras' layers; rotation in turns, shifts in parts of a side.
POLICIES: dict[str, list[tuple[type, dict[str, Any]]]] = {
    "none": [],
    "light": [
        (layers.RandomFlip, {"mode": "horizontal"}),
        (layers.RandomTranslation, {"height_factor": 0.05}),
        (layers.RandomRotation, {"factor": 8 / 360}),
        (layers.RandomZoom, {"height_factor": 0.08}),
        (layers.RandomBrightness, {"factor": 0.1}),
        (layers.RandomContrast, {"factor": 0.1}),
    ],
    "strong": [
        (layers.RandomFlip, {"mode": "horizontal"}),
        (layers.RandomTranslation, {"height_factor": 0.1}),
        (layers.RandomRotation, {"factor": 15 / 360}),
        (layers.RandomZoom, {"height_factor": 0.15}),
        (layers.RandomBrightness, {"factor": 0.2}),
        (layers.RandomContrast, {"factor": 0.25}),
        (layers.RandomErasing, {"factor": (0.5, 0.5), "scale": (0.02, 0.2)}),
    ],
}


class StepSeed(keras.random.SeedGenerator):
    """Seeds that depend on a step's seed and on how many were drawn.

    Keras' own generator counts in a variable, so parallel steps would draw in
    any order and a resumed training would begin anew.
    """

    def __init__(self, seed: tf.Tensor) -> None:
        # Not Keras' constructor, which makes the variable.
        self.step_seed = seed
        self.drawn = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        self.drawn += 1
        return tf.random.experimental.stateless_fold_in(
            self.step_seed, self.drawn
        )


def make_augmentation(
    policy: str,
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    """A function of a batch of pictures and a seed that changes them.

    Args:
        policy: `"none"`, `"light"` (flip, shift, rotation, zoom, brightness,
            contrast) or `"strong"` (the same further, and erasing).

    Returns:
        A function for `tf.data` that takes pictures 0..255 of shape
        `(batch, height, width, channels)` and an integer seed of shape `(2,)`
        and returns float32 pictures 0..255; the same for the same seed. `None`
        for `"none"`.

    Raises:
        UserError: For another policy.
    """
    if policy not in POLICIES:
        raise UserError(
            f"An augmentation is one of {', '.join(POLICIES)}. "
            f"Received: {policy}."
        )
    if policy == "none":
        return None
    steps = [_make(kind, arguments) for kind, arguments in POLICIES[policy]]

    @tf.autograph.experimental.do_not_convert
    def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        seeds = StepSeed(seed)
        images = tf.cast(images, tf.float32)
        for step in steps:
            # Under another backend's Keras, `tf.data` still is TensorFlow.
            step.backend.set_backend("tensorflow")
            try:
                drawn = step.get_random_transformation(
                    images, training=True, seed=seeds
                )
                images = step.transform_images(images, drawn, training=True)
            finally:
                step.backend.reset()
        return tf.clip_by_value(images, 0.0, 255.0)

    return augment


def _make(kind: type, arguments: dict[str, Any]) -> layers.Layer:
    arguments = dict(arguments)
    if kind is layers.RandomTranslation:
        arguments["width_factor"] = arguments["height_factor"]
    if kind in (
        layers.RandomTranslation,
        layers.RandomRotation,
        layers.RandomZoom,
    ):
        arguments["fill_mode"] = "nearest"
    if kind in (
        layers.RandomBrightness,
        layers.RandomContrast,
        layers.RandomErasing,
    ):
        arguments["value_range"] = (0, 255)
    return kind(dtype="float32", **arguments)
