"""Start a model with the weights of another one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import NamedTuple

import keras
import numpy as np

from kerafer.errors import ConfigError, UserError
from kerafer.layers import MultiScaleConv2D


class Transfer(NamedTuple):
    """The layers that have the weights of another model, and the others.

    Args:
        copied: Names of the layers whose weights were copied, in the order of
            the model. A layer in a nested model is `outer/inner`.
        fresh: Names of the layers whose weights stay random.
    """

    copied: tuple[str, ...]
    fresh: tuple[str, ...]


def copy_weights(
    model: keras.Model, source: keras.Model, without: Collection[str] = ()
) -> Transfer:
    """Copy the weights of all layers that fit.

    A layer fits if the source has a layer of the same name and kind with
    weights of the same shapes. A convolution of a gray image also fits one of
    a colour image; see `expand_input`. A classifier of the same number of
    classes fits, whatever the classes are.

    Args:
        model: Built; gets the weights. If an error is raised it is unchanged.
        source: Built; gives them.
        without: Names of layers that stay random anyway, such as the
            classifier of other classes. Default: none.

    Raises:
        UserError: If less than half of the layers with weights fit.
    """
    givers = dict(_layers_with_weights(source))
    found = {}
    layers = dict(_layers_with_weights(model))
    for name, layer in layers.items():
        values = _fitting(layer, givers.get(name))
        if values is not None and name not in without:
            found[name] = values
    if not found or 2 * len(found) < len(layers):
        raise ConfigError(
            f"The weights of {source.name} do not fit {model.name}: "
            f"{len(found)} of {len(layers)} layers have the same name and "
            "shape.\nUse the `arch` and `options` that the source was trained "
            "with."
        )
    for name, values in found.items():
        layers[name].set_weights(values)
    fresh = tuple(name for name in layers if name not in found)
    return Transfer(tuple(found), fresh)


def expand_input(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Convert a kernel for colour images to one for gray images, or back.

    Both kernels have the same output on a gray image, repeated for three
    channels or not: three channels are summed to one, one is divided by three.

    Args:
        kernel: Of a convolution, of shape `(height, width, 1 or 3, filters)`.
        channels: Wanted, 1 or 3.

    Returns:
        Of shape `(height, width, channels, filters)`.
    """
    if kernel.shape[2] == channels:
        return kernel
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    return np.repeat(kernel / 3, 3, axis=2)


def freeze_until(
    model: keras.Model, layer_name: str, fresh: Collection[str] = ()
) -> None:
    """Freeze the weights of all layers up to and including one.

    Frozen BatchNorm layers keep their averages and also use them in training.

    Args:
        model: Its layers are in the order of `model.layers`.
        layer_name: The last layer to freeze.
        fresh: Names of layers that must be trained, as in `Transfer`. Default:
            none.

    Raises:
        UserError: If the name is unknown, a fresh layer would be frozen, or
            nothing would be left to train. The model is then unchanged.
    """
    names = [layer.name for layer in model.layers]
    if layer_name not in names:
        near = difflib.get_close_matches(layer_name, names, n=3, cutoff=0.5)
        weighty = [layer.name for layer in model.layers if layer.weights]
        raise ConfigError(
            f"Unknown layer of {model.name} for `freeze_until`: {layer_name}."
            f"\nChoose one of {', '.join(near or weighty)}."
        )
    end = names.index(layer_name) + 1
    untrained = [name for name in fresh if name.split("/")[0] in names[:end]]
    if untrained:
        raise UserError(
            f"Cannot freeze layers with random weights: {', '.join(untrained)}."
            f"\n`freeze_until` must name a layer before them, not {layer_name}."
        )
    if not any(layer.trainable_weights for layer in model.layers[end:]):
        raise ConfigError(
            f"`freeze_until` {layer_name} leaves no weights of {model.name} to "
            "train. Name an earlier layer."
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
    """The giver's weights in the layer's shapes, or `None`."""
    if giver is None or type(giver) is not type(layer):
        return None
    values, shapes = (
        giver.get_weights(),
        [tuple(w.shape) for w in layer.weights],
    )
    if isinstance(layer, (keras.layers.Conv2D, MultiScaleConv2D)):
        # Shapes can agree while other channels are summed.
        if layer.groups != giver.groups:
            return None
        if layer.groups == 1 and {values[0].shape[2], shapes[0][2]} == {1, 3}:
            values = [
                expand_input(value, shapes[0][2]) if value.ndim == 4 else value
                for value in values
            ]
    return values if [value.shape for value in values] == shapes else None
