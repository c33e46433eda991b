"""Replace the multi-scale convolutions of a trained model by plain ones."""

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
    """Turn each multi-scale convolution of a model into a plain one.

    The N kernels of `MultiScaleConv2D`, padded with zeros (also between
    dilated taps, and for the channels of other groups), are one convolution. A
    BatchNorm that follows directly, and that nothing else shares, is merged
    into its kernel and bias, as in RepVGG. The outputs in inference are the
    same, up to rounding; the multiply-adds become those of the widest kernel
    for all filters.

    With strides above 1, a `ZeroPadding2D` named `<name>_padding` precedes the
    convolution. The convolution has the layer's name, precision and
    activation, and no regularizers. Kernels are computed in float64 and stored
    in the precision of the weights. Nested models stay as
    they are.

    Args:
        model: Functional or sequential, and built. It is not changed.

    Returns:
        A functional model with copies of all weights, not compiled. If it has
        no other layers of this package, Keras alone can load its file.

    Raises:
        UserError: If the model has no `MultiScaleConv2D`, is subclassed, or is
            not built.

    Example:
        >>> model = kerafer.create_model("kerafer_edge", 7, (48, 48, 1))
        >>> kerafer.models.fuse(model).output_shape
        (None, 7)

    Reference:
        Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR
        2021, figure 4. Liu et al., Scientific Reports 15, 22219 (2025), ask
        for it as future work.
    """
    # Not compiled, and functional even if it was sequential.
    if isinstance(model, keras.Sequential) and model.built:
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    elif hasattr(model, "operations") and not isinstance(
        model, keras.Sequential
    ):
        model = keras.Model(model.input, model.output, name=model.name)
    else:
        raise UserError(
            f"Cannot fuse {model.name}, a {type(model).__name__}. It must be "
            "functional, or sequential and built."
        )
    if not any(isinstance(x, MultiScaleConv2D) for x in model.layers):
        raise UserError(
            f"Cannot fuse {model.name}: it has no MultiScaleConv2D. Models "
            "such as mcnn, wca_mcnn and msc_resnet18 have one."
        )
    norms = _following_norms(model)
    copies: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
    paddings: dict[int, layers.Layer] = {}
    gone: set[int] = set()

    def clone(layer: Any) -> Any:
        if isinstance(layer, MultiScaleConv2D):
            new = _convolution(layer, layer.name in norms)
            if layer.padding == "same" and max(layer.strides) > 1:
                paddings[id(new)] = _padding(layer)
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
    """The BatchNorm to merge into each convolution, by the latter's name.

    Both are used once, and only the BatchNorm uses the convolution's output.
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
