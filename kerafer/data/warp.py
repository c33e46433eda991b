"""Flip, shift, rotation and zoom in one resampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf
from keras import layers

Drawn = Mapping[str, Any]


def warp(images: tf.Tensor, moves: Iterable[tuple[type, Drawn]]) -> tf.Tensor:
    """Move the pixels of pictures as several of Keras' layers would in turn.

    Each layer says where a pixel of its output lies in its input: a matrix
    for each picture. Their product says where a pixel of the last output lies
    in the first input, which is read once, bilinearly; a point beyond the
    edge is the nearest one on it.

    Args:
        images: Of shape `(batch, height, width, channels)`.
        moves: For each layer its kind, one of `MOVES`, and what its
            `get_random_transformation` drew.

    Returns:
        float32 pictures of the same shape.
    """
    shape = tf.shape(images)
    height, width = tf.unstack(tf.cast(shape[1:3], tf.float32))
    place = tf.eye(3, batch_shape=shape[:1])
    for kind, drawn in moves:
        place = tf.matmul(place, MOVES[kind](drawn, height, width))
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.reshape(place, (-1, 9))[:, :8],
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.ensure_shape(warped, images.shape)


def _flip(drawn: Drawn, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    flipped = tf.cast(tf.reshape(drawn["flips"], (-1,)), tf.float32)
    return _matrix(1.0 - 2.0 * flipped, (width - 1.0) * flipped, 1.0, 0.0)


def _shift(drawn: Drawn, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    right, down = tf.unstack(drawn["translations"], axis=1)
    return _matrix(1.0, -right, 1.0, -down)


def _rotation(drawn: Drawn, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    eight = drawn["rotation_matrix"]
    nine = tf.concat([eight, tf.ones_like(eight[:, :1])], axis=1)
    return tf.reshape(nine, (-1, 3, 3))


def _zoom(drawn: Drawn, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    across, along = drawn["width_zoom"][:, 0], drawn["height_zoom"][:, 0]
    return _matrix(
        across,
        (width - 1.0) / 2.0 * (1.0 - across),
        along,
        (height - 1.0) / 2.0 * (1.0 - along),
    )


def _matrix(across: Any, right: tf.Tensor, along: Any, down: Any) -> tf.Tensor:
    """Matrices of `x across + right` and `y along + down`."""
    rows = (across, 0.0, right), (0.0, along, down), (0.0, 0.0, 1.0)
    zeros = tf.zeros_like(right)
    return tf.stack(
        [tf.stack([zeros + value for value in row], axis=1) for row in rows],
        axis=1,
    )


MOVES: dict[type, Callable[[Drawn, tf.Tensor, tf.Tensor], tf.Tensor]] = {
    layers.RandomFlip: _flip,
    layers.RandomTranslation: _shift,
    layers.RandomRotation: _rotation,
    layers.RandomZoom: _zoom,
}
