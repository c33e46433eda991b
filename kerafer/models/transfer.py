"""Weights of one model as the start of another."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import NamedTuple

import keras
import numpy as np

from kerafer.errors import ConfigError, UserError
from kerafer.layers import MultiScaleConv2D


class Transfer(NamedTuple):
    """Which layers have another model's weights now.

    Args:
        copied: Names of the layers whose weights were copied, in the model's
            order; one in a nested model has its name before, with a slash.
        fresh: Likewise of the layers whose weights stay as they were drawn.
    """

    copied: tuple[str, ...]
    fresh: tuple[str, ...]


def copy_weights(
    model: keras.Model, source: keras.Model, without: Collection[str] = ()
) -> Transfer:
    """Copy the weights of every layer that fits.

    A layer fits where the source has one of the same name and kind with
    weights of the same shapes. A convolution of the image fits where one
    model takes gray images and the other colour ones, too; see
    `expand_input`. Layers fit whole or not at all. A classifier of as many
    classes fits, whatever the classes are.

    Args:
        model: Built; gets the weights. It stays as it is where an error is
            raised.
        source: Built; gives them.
        without: Names of layers that stay fresh all the same, such as the
            classifier of other classes. Defaults to none.

    Raises:
        UserError: Where less than half of the layers with weights fit.
    """
    givers = dict(_layers_with_weights(source))
    found, fresh = [], []
    for name, layer in _layers_with_weights(model):
        giver = None if name in without else givers.get(name)
        values = _fitting(layer, giver)
        if values is None:
            fresh.append(name)
        else:
            found.append((name, layer, values))
    count = len(found) + len(fresh)
    if not found or 2 * len(found) < count:
        raise ConfigError(
            "A model starts with the weights of one of its architecture: most "
            "layers fit by name and shape.\n"
            f"Received: {len(found)} of the {count} layers of {model.name} fit "
            f"those of {source.name}.\n"
            "`arch` and `options` are those that the source was trained with."
        )
    for _, layer, values in found:
        layer.set_weights(values)
    return Transfer(tuple(name for name, *_ in found), tuple(fresh))


def expand_input(kernel: np.ndarray, channels: int) -> np.ndarray:
    """The kernel for gray images of one for colour, or the reverse.

    On a gray image, repeated for three channels or not, both kernels have
    the same output: from three channels to one they are summed, from one to
    three each is a third.

    Args:
        kernel: Of a convolution, of shape `(height, width, 1 or 3, filters)`.
        channels: Wanted, 1 or 3.

    Returns:
        Of shape `(height, width, channels, filters)`.

    Raises:
        UserError: For other numbers of channels.
    """
    if kernel.ndim != 4 or not {kernel.shape[2], channels} <= {1, 3}:
        raise UserError(
            "An image has 1 or 3 channels. Received: a kernel of shape "
            f"{kernel.shape} for {channels} channels."
        )
    if kernel.shape[2] == channels:
        return kernel
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    return np.repeat(kernel / 3, 3, axis=2)


def freeze_until(
    model: keras.Model, layer_name: str, fresh: Collection[str] = ()
) -> None:
    """Keep the weights of all layers up to and including one.

    They are no longer trained, and BatchNorm among them keeps its averages and
    uses them in training too.

    Args:
        model: Its layers stand in the order of `model.layers`.
        layer_name: The last layer to freeze.
        fresh: Names of layers that must be trained, such as those of
            `Transfer`. Defaults to none.

    Raises:
        UserError: For an unknown name, or where a fresh layer would be frozen
            or nothing be left to train. The model stays as it is.
    """
    names = [layer.name for layer in model.layers]
    if layer_name not in names:
        near = difflib.get_close_matches(layer_name, names, n=3, cutoff=0.5)
        weighty = [layer.name for layer in model.layers if layer.weights]
        hint = (
            f"Near it: {', '.join(near)}."
            if near
            else f"Those with weights: {', '.join(weighty)}."
        )
        raise ConfigError(
            f"`freeze_until` names a layer of {model.name}. Received: "
            f"{layer_name}.\n{hint}"
        )
    end = names.index(layer_name) + 1
    frozen = set(names[:end])
    untrained = [name for name in fresh if name.split("/")[0] in frozen]
    if untrained:
        raise UserError(
            "Layers are frozen with weights that were trained. Up to "
            f"{layer_name} these were drawn anew: {', '.join(untrained)}."
        )
    if not any(layer.trainable_weights for layer in model.layers[end:]):
        raise ConfigError(
            "`freeze_until` leaves a layer with weights to train. Behind "
            f"{layer_name} there is none in {model.name}."
        )
    for layer in model.layers[:end]:
        layer.trainable = False


def _layers_with_weights(
    model: keras.Model, prefix: str = ""
) -> Iterator[tuple[str, keras.layers.Layer]]:
    for layer in model.layers:
        name = prefix + layer.name
        if isinstance(layer, keras.Model):
            yield from _layers_with_weights(layer, f"{name}/")
        elif layer.weights:
            yield name, layer


def _fitting(
    layer: keras.layers.Layer, giver: keras.layers.Layer | None
) -> list[np.ndarray] | None:
    """The giver's weights as the layer takes them, `None` if it can't."""
    if giver is None or type(giver) is not type(layer):
        return None
    if len(giver.weights) != len(layer.weights):
        return None
    convolves = isinstance(layer, (keras.layers.Conv2D, MultiScaleConv2D))
    if convolves and layer.groups != giver.groups:
        # The shapes may be the same, but not the channels that are summed.
        return None
    fitted = []
    for value, wanted in zip(giver.get_weights(), layer.weights, strict=True):
        channels = {value.shape[2:3], tuple(wanted.shape[2:3])}
        if convolves and layer.groups == 1 and channels == {(1,), (3,)}:
            value = expand_input(value, wanted.shape[2])
        if value.shape != tuple(wanted.shape):
            return None
        fitted.append(value)
    return fitted
