"""Grad-CAM and Grad-CAM++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from kerafer.errors import UserError
from kerafer.explain.inputs import (
    checked_classes,
    checked_images,
)
from kerafer.images import resize
from kerafer.models.graph import Call, find_calls

# What the tape keeps of more images at once fills the memory of a laptop.
_BATCH_SIZE = 8
_LEAST_SIDE = 4
_POOLING = (layers.MaxPooling2D, layers.AveragePooling2D)


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | Sequence[int] | None = None,
    layer: str | None = None,
    plus_plus: bool = False,
) -> np.ndarray:
    """Where an image speaks for a class.

    With `A_k` the channels of a layer's output and `g_k` the gradient of the
    class score by them,

        map = relu(sum over k of w_k A_k),    w_k = mean over positions of g_k

    and for Grad-CAM++

        w_k = sum over positions of alpha_k relu(g_k)
        alpha_k = g_k^2 / (2 g_k^2 + g_k^3 sum over positions of A_k)

    The score is the one before the softmax, since a probability near 1 has no
    gradient left: the input of a `Softmax` layer at the end, or what a `Dense`
    layer with softmax would give without it. A model that ends in another way
    is explained by its outputs as they are. Grad-CAM++ is defined for `exp` of
    the score; that factor is the same all over an image and falls out.

    Where a global average pooling and one dense layer follow (the ResNet18
    family), the map is exactly what each position adds to the score. Behind
    the flattened features of the CNN family it is an approximation that no
    longer knows which position a weight belonged to: look at
    `occlusion_map` too.

    Args:
        model: A functional or sequential model, channels last, on TensorFlow.
        images: Values 0 to 255, of shape `(images, height, width,
            channels)`.
        class_index: The class that is explained, one for all images or one
            for each. Defaults to the likeliest of each image.
        layer: Name of the layer. Defaults to the last one that has at least
            4 x 4 positions and is no pooling: the last convolution's
            activation, or an earlier one where the image is small.
        plus_plus: Grad-CAM++, which covers several places better. Defaults to
            `False`.

    Returns:
        float32 of shape `(images, height, width)`, each map enlarged to the
        image's size and divided by its highest value: 0 to 1, and 0 all over
        where no position speaks for the class.

    Raises:
        UserError: For images or classes that the model does not take, and a
            layer that is not there or has no positions.

    Reference:
        Selvaraju et al., ICCV 2017; Chattopadhay et al., WACV 2018.
    """
    images = checked_images(model, images)
    calls = [
        call
        for call in find_calls(model)
        if isinstance(call.layer, keras.layers.Layer)
    ]
    features = _find_features(calls, layer)
    scores = _class_scores(model, calls)
    watched = keras.Model(model.inputs[0], [features, scores])
    classes = checked_classes(model, images, class_index)
    maps = []
    for at in range(0, len(images), _BATCH_SIZE):
        part = slice(at, at + _BATCH_SIZE)
        values, gradients = _gradients(watched, images[part], classes[part])
        weights = (_weights_plus_plus if plus_plus else _weights)(
            values, gradients
        )
        maps.append(np.einsum("bijk,bk->bij", values, weights))
    return _finished(np.concatenate(maps), images.shape[1:3])


def _weights(values: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return gradients.mean(axis=(1, 2))


def _weights_plus_plus(values: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    sums = values.sum(axis=(1, 2), keepdims=True)
    square = np.square(gradients)
    below = 2.0 * square + sums * square * gradients
    alpha = np.divide(square, below, out=np.zeros_like(below), where=below != 0)
    return (alpha * np.maximum(gradients, 0.0)).sum(axis=(1, 2))


def _gradients(
    watched: keras.Model, images: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A layer's output, and the gradient of the class score by it."""
    import tensorflow as tf

    batch = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        # Without it a model whose weights are frozen would not be recorded.
        tape.watch(batch)
        values, scores = watched(batch, training=False)
        chosen = tf.gather(scores, classes, axis=1, batch_dims=1)
    gradients = tape.gradient(chosen, values)
    # Cubes of small half-precision numbers would be 0.
    return (
        tf.cast(values, "float64").numpy(),
        tf.cast(gradients, "float64").numpy(),
    )


def _finished(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    large = np.stack(
        [resize(one, size) for one in np.maximum(maps, 0.0).astype(np.float32)]
    )
    highest = large.max(axis=(1, 2), keepdims=True)
    return np.divide(
        large, highest, out=np.zeros_like(large), where=highest > 0
    )


def _class_scores(model: keras.Model, calls: list[Call]) -> Any:
    """The class scores before the softmax, as a tensor of the model."""
    output = model.outputs[0]
    for layer, (given, *_), made in calls:
        if made is not output:
            continue
        softmax = (
            getattr(layer, "activation", None) is keras.activations.softmax
        )
        if isinstance(layer, layers.Softmax) or (
            softmax and isinstance(layer, layers.Activation)
        ):
            return given
        if softmax and isinstance(layer, layers.Dense):
            config = {**layer.get_config(), "activation": "linear"}
            plain = layers.Dense.from_config(config)
            scores = plain(given)
            plain.set_weights(layer.get_weights())
            return scores
    return output


def _find_features(calls: list[Call], name: str | None) -> Any:
    """The output of a layer by name, or of the one that is looked at."""
    spatial = [call for call in calls if len(call.output.shape) == 4]
    if name is not None:
        for call in reversed(spatial):
            if call.layer.name == name:
                return call.output
        names = ", ".join(call.layer.name for call in spatial)
        raise UserError(
            "Grad-CAM takes a layer whose output has height and width: "
            f"{names or 'the model has none'}. Received: {name}."
        )
    for call in reversed(spatial):
        if not isinstance(call.layer, _POOLING) and all(
            side is None or side >= _LEAST_SIDE
            for side in call.output.shape[1:3]
        ):
            return call.output
    raise UserError(
        "Grad-CAM takes a layer with at least "
        f"{_LEAST_SIDE} x {_LEAST_SIDE} positions. This model has none; "
        "occlusion maps need no such layer."
    )
