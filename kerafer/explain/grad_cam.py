"""Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from kerafer.errors import UserError
from kerafer.images import resize
from kerafer.models.graph import Call, find_calls

# The gradients of more images at once fill the memory of a laptop.
_BATCH_SIZE = 8
_LEAST_SIDE = 4
_POOLING = (layers.MaxPooling2D, layers.AveragePooling2D)


def grad_cam(
    model: keras.Model, images: np.ndarray, classes: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Compute where images show evidence for a class (Selvaraju et al., 2017).

        relu(sum over k of mean(g_k) A_k)

    A_k are the channels of a layer's output and g_k the gradient of the class
    score by them. The score is the one before the softmax, since a probability
    near 1 has no gradient. The layer is the last one that has at least 4 x 4
    positions and is not a pooling layer. If a global average pooling and one
    dense layer follow, the map is exactly what each position adds to the score.

    Args:
        model: A functional or sequential model, channels last, on TensorFlow.
        images: `(images, height, width, channels)` in the model's range.
        classes: The index of the class to explain for each image.

    Returns:
        float32 of shape `(images, height, width)`. Each map is divided by its
        maximum; it is 0 everywhere if no position is evidence for the class.

    Raises:
        UserError: If the model has no layer with 4 x 4 positions.
    """
    images = np.asarray(images, np.float32)
    calls = [c for c in find_calls(model) if isinstance(c.layer, layers.Layer)]
    outputs = [_features(calls), _class_scores(model, calls)]
    watched = keras.Model(model.inputs[0], outputs)
    maps = []
    for at in range(0, len(images), _BATCH_SIZE):
        part = slice(at, at + _BATCH_SIZE)
        values, gradients = _gradients(
            watched, images[part], np.asarray(classes)[part]
        )
        weights = gradients.mean(axis=(1, 2))
        evidence = np.einsum("bijk,bk->bij", values, weights)
        maps += list(np.maximum(evidence, 0.0).astype(np.float32))
    large = np.stack([resize(one, images.shape[1:3]) for one in maps])
    highest = large.max(axis=(1, 2), keepdims=True)
    return large / np.where(highest > 0, highest, 1)


def _gradients(
    watched: keras.Model, images: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow as tf

    batch = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        # Otherwise a model with frozen weights would not be recorded.
        tape.watch(batch)
        values, scores = watched(batch, training=False)
        chosen = tf.gather(scores, classes, axis=1, batch_dims=1)
    gradients = tape.gradient(chosen, values)
    return values.numpy().astype(float), gradients.numpy().astype(float)


def _class_scores(model: keras.Model, calls: list[Call]) -> Any:
    """Return the class scores before the softmax, if there is one."""
    output = model.outputs[0]
    layer, (given, *_), _ = next(c for c in reversed(calls) if c[2] is output)
    if isinstance(layer, (layers.Softmax, layers.Activation)):
        return given
    if getattr(layer, "activation", None) is not keras.activations.softmax:
        return output
    plain = type(layer).from_config(layer.get_config() | {"activation": None})
    scores = plain(given)
    plain.set_weights(layer.get_weights())
    return scores


def _features(calls: list[Call]) -> Any:
    """Return the output of the layer to look at."""
    for layer, _, output in reversed(calls):
        sides = output.shape[1:3] if len(output.shape) == 4 else (0, 0)
        large = all(side is None or side >= _LEAST_SIDE for side in sides)
        if large and not isinstance(layer, _POOLING):
            return output
    raise UserError(
        "Grad-CAM needs a layer with at least "
        f"{_LEAST_SIDE} x {_LEAST_SIDE} positions. The model has none."
    )
