"""Multi-scale convolutions of a trained model as plain ones."""

from __future__ import annotations

import collections
from typing import Any

import keras
import numpy as np
from keras import layers

from kerafer.errors import UserError
from kerafer.layers import MultiScaleConv2D
from kerafer.models.graph import find_calls


def fuse(model: keras.Model) -> keras.Model:
    """Turn every multi-scale convolution of a model into one plain one.

    What `MultiScaleConv2D` computes with N kernels is one convolution with all
    of them, padded with zeros (between taps that are dilated, and for channels
    of other groups, too). A BatchNorm that follows directly, and that nothing
    else shares, is part of that convolution's kernel and bias afterwards. So
    the structure that a model is trained with is not the one that it is run
    with, as in RepVGG. In inference the outputs are the same, to rounding; the
    multiply-adds become those of the widest kernel for all filters.

    Where the step is above 1, a `ZeroPadding2D` named `<name>_padding` stands
    before the convolution. The convolution has the layer's name, precision and
    activation, and no regularizers. Kernels are put together in float64 and
    stored in the precision of the weights. Convolutions in models within the
    model are fused as well.

    Args:
        model: Functional or sequential, and built. It stays as it is.

    Returns:
        A functional model with copies of all weights, not compiled. Without
        other layers of this package in it, Keras alone loads its file.

    Raises:
        UserError: For a model without `MultiScaleConv2D`, or a subclassed or
            unbuilt one.

    Example:
        >>> model = kerafer.create_model("kerafer_edge", 7, (48, 48, 1))
        >>> kerafer.models.fuse(model).output_shape
        (None, 7)

    Reference:
        Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR
        2021, figure 4. Liu et al., Scientific Reports 15, 22219 (2025), ask
        for it as future work.
    """
    if not _is_graph(model):
        raise UserError(
            "A model is fused layer by layer: it is functional, or sequential "
            f"and built. Received: {model.name}, a {type(model).__name__}."
        )
    if not _has_scales(model):
        raise UserError(
            "Fusing is for models with MultiScaleConv2D, such as those named "
            f"mcnn, wca_mcnn and msc_... Received: {model.name}, which has "
            "none."
        )
    return _fused(model)


def _is_graph(model: keras.layers.Layer) -> bool:
    if isinstance(model, keras.Sequential):
        return model.built
    return isinstance(model, keras.Model) and hasattr(model, "operations")


def _has_scales(model: keras.Model) -> bool:
    return any(
        isinstance(layer, MultiScaleConv2D)
        or (_is_graph(layer) and _has_scales(layer))
        for layer in model.layers
    )


def _fused(model: keras.Model) -> keras.Model:
    # Without what it was compiled with, and a sequential one as a graph.
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    else:
        model = keras.Model(model.input, model.output, name=model.name)
    norms = _following_norms(model)
    copies: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
    paddings: dict[int, layers.Layer] = {}
    gone: set[int] = set()

    def clone(layer: Any) -> Any:
        if isinstance(layer, MultiScaleConv2D):
            new = _convolution(layer, layer.name in norms)
            if layer.padding == "same" and max(layer.strides) > 1:
                paddings[id(new)] = _padding(layer)
        elif _is_graph(layer) and _has_scales(layer):
            return _fused(layer)
        else:
            new = layer.__class__.from_config(layer.get_config())
        if any(layer is norm for norm in norms.values()):
            gone.add(id(new))
        elif isinstance(layer, keras.layers.Layer):
            copies.append((layer, new))
        return new

    def call(layer: Any, *inputs: Any, **arguments: Any) -> Any:
        if id(layer) in gone:
            return inputs[0]
        if id(layer) in paddings:
            inputs = (paddings[id(layer)](*inputs),)
        return layer(*inputs, **arguments)

    new_model = keras.models.clone_model(
        model, clone_function=clone, call_function=call
    )
    for old, new in copies:
        if isinstance(old, MultiScaleConv2D):
            new.set_weights(_weights(old, norms.get(old.name)))
        else:
            new.set_weights(old.get_weights())
    return new_model


def _following_norms(
    model: keras.Model,
) -> dict[str, layers.BatchNormalization]:
    """The BatchNorm that can be part of a convolution, by the latter's name.

    Both are used once, and what the convolution gives goes to it alone.
    """
    calls = find_calls(model)
    uses = collections.Counter(id(call.layer) for call in calls)
    outputs = {id(tensor) for tensor in model.outputs}
    takers = collections.defaultdict(list)
    for call in calls:
        for tensor in call.inputs:
            takers[id(tensor)].append(call.layer)
    found = {}
    for layer, _, output in calls:
        following = takers[id(output)]
        if (
            isinstance(layer, MultiScaleConv2D)
            and keras.activations.serialize(layer.activation) == "linear"
            and uses[id(layer)] == 1
            and id(output) not in outputs
            and len(following) == 1
            and isinstance(following[0], layers.BatchNormalization)
            and uses[id(following[0])] == 1
            and following[0].axis in (_axis(layer), _axis(layer) % 4)
        ):
            found[layer.name] = following[0]
    return found


def _axis(layer: MultiScaleConv2D) -> int:
    return -1 if layer.data_format == "channels_last" else 1


def _convolution(layer: MultiScaleConv2D, has_norm: bool) -> layers.Conv2D:
    padding = layer.padding if max(layer.strides) == 1 else "valid"
    return layers.Conv2D(
        layer.filters * len(layer.kernel_sizes),
        layer.fused_kernel().shape[0],
        strides=layer.strides,
        padding=padding,
        data_format=layer.data_format,
        activation=keras.activations.serialize(layer.activation),
        use_bias=layer.use_bias or has_norm,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
        name=layer.name,
    )


def _padding(layer: MultiScaleConv2D) -> layers.ZeroPadding2D:
    return layers.ZeroPadding2D(
        layer.fused_kernel().shape[0] // 2,
        data_format=layer.data_format,
        dtype=layer.dtype_policy,
        name=f"{layer.name}_padding",
    )


def _weights(
    layer: MultiScaleConv2D, norm: layers.BatchNormalization | None
) -> list[np.ndarray]:
    """Kernel and bias, if there is one, of the plain convolution."""
    kernel = _array(layer.fused_kernel())
    bias = _array(layer.bias) if layer.use_bias else np.zeros((), np.float32)
    if norm is None:
        return [kernel, bias] if layer.use_bias else [kernel]
    factor = 1.0 / np.sqrt(_array(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        factor = factor * _array(norm.gamma)
    bias = (bias - _array(norm.moving_mean)) * factor
    if norm.center:
        bias = bias + _array(norm.beta)
    return [kernel * factor, bias]


def _array(values: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(values).astype(np.float64)
