"""Random changes of the training pictures, by Keras' layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from kerafer.data.warp import MOVES, warp
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

    Every number is drawn by Keras' layers. Flip, shift, rotation and zoom move
    the pixels as these layers would one after the other, in one resampling
    instead of four (`warp`): it is faster and keeps the pictures sharper.
    Beyond the edge the edge is repeated.

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
    moves = [step for step in steps if type(step) in MOVES]
    changes = [step for step in steps if type(step) not in MOVES]

    @tf.autograph.experimental.do_not_convert
    def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        seeds = StepSeed(seed)
        images = tf.cast(images, tf.float32)
        drawn = [(type(step), _draw(step, images, seeds)) for step in moves]
        images = warp(images, drawn)
        for step in changes:
            images = _change(step, images, seeds)
        return images

    return augment


@contextlib.contextmanager
def _on_tensorflow(step: layers.Layer) -> Iterator[None]:
    """Under another backend's Keras, `tf.data` still is TensorFlow."""
    step.backend.set_backend("tensorflow")
    try:
        yield
    finally:
        step.backend.reset()


def _draw(
    step: layers.Layer, images: tf.Tensor, seeds: StepSeed
) -> dict[str, Any]:
    with _on_tensorflow(step):
        return step.get_random_transformation(images, training=True, seed=seeds)


def _change(
    step: layers.Layer, images: tf.Tensor, seeds: StepSeed
) -> tf.Tensor:
    drawn = _draw(step, images, seeds)
    if isinstance(step, layers.RandomErasing):
        return _erase(images, drawn, seeds)
    with _on_tensorflow(step):
        return step.transform_images(images, drawn, training=True)


def _erase(
    images: tf.Tensor, drawn: dict[str, Any], seeds: StepSeed
) -> tf.Tensor:
    """Put noise into Keras' rectangles, of one sheet for the whole batch.

    Keras draws noise for every pixel of every picture, of which a twentieth is
    shown; that takes five times as long. In a graph it is not computed.
    """
    sheet = tf.random.stateless_normal(tf.shape(images)[1:], seeds.next())
    noise = tf.clip_by_value(255.0 * sheet, 0.0, 255.0)
    chosen = tf.reshape(drawn["apply_erasing"], (-1, 1, 1, 1))
    return tf.where(drawn["batch_masks"] & chosen, noise, images)


def _make(kind: type, arguments: dict[str, Any]) -> layers.Layer:
    arguments = dict(arguments)
    if kind is layers.RandomTranslation:
        arguments["width_factor"] = arguments["height_factor"]
    if kind in (
        layers.RandomBrightness,
        layers.RandomContrast,
        layers.RandomErasing,
    ):
        arguments["value_range"] = (0, 255)
    return kind(dtype="float32", **arguments)
