"""Layers at the limits of their arguments."""

import math

import keras
import numpy as np
import pytest
from keras import layers

from kerafer.layers import Morlet, MultiScaleConv2D


def test_an_input_just_large_enough_for_valid_padding():
    layer = MultiScaleConv2D(2, (3, 7), padding="valid")
    assert layer(np.ones((1, 7, 9, 1), np.float32)).shape == (1, 1, 3, 4)
    assert layer.compute_output_shape((1, 7, 9, 1)) == (1, 1, 3, 4)
    with pytest.raises(ValueError):
        layer(np.ones((1, 6, 9, 1), np.float32))
    with pytest.raises(ValueError):
        layer.compute_output_shape((1, 9, 6, 1))


@pytest.mark.parametrize("scale", [-0.005, -0.01, 0.005, -0.5])
def test_the_gradient_of_a_scale_near_0(scale):
    """It is that at +-0.01, as if nothing had been done."""
    import tensorflow as tf

    def gradient(value):
        layer = Morlet(
            scale_initializer=keras.initializers.Constant(value),
            per_channel=False,
        )
        layer.build((1, 1))
        with tf.GradientTape() as tape:
            output = layer(np.array([[0.004]], np.float32))
        return float(tape.gradient(output, layer.scale.value))

    clipped = math.copysign(max(abs(scale), 0.01), scale)
    t = 0.004 / clipped
    # psi'(t) = -exp(-t^2 / 2) (w sin(w t) + t cos(w t)); dt/da = -t / a.
    w = 1.75
    slope = -math.exp(-t * t / 2) * (w * math.sin(w * t) + t * math.cos(w * t))
    expected = slope * -t / clipped
    assert expected != 0
    assert gradient(scale) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("fused", [True, False])
def test_groups_are_those_of_keras_own_convolution(padding, fused):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(2, 9, 11, 6)).astype(np.float32)
    layer = MultiScaleConv2D(
        4, (1, 5), strides=2, padding=padding, groups=2, fused=fused
    )
    found = keras.ops.convert_to_numpy(layer(inputs))
    cut = 2 if padding == "valid" else 0
    expected = []
    for kernel, size in zip(layer.kernels, (1, 5), strict=True):
        one = layers.Conv2D(4, size, groups=2, use_bias=False, padding="valid")
        # Stride 1 first: "same" of a stride is centred otherwise by Keras.
        border = size // 2 - cut
        around = (max(border, 0),) * 2
        padded = np.pad(inputs, ((0, 0), around, around, (0, 0)))
        if border < 0:
            padded = padded[:, -border:border, -border:border]
        one.build(padded.shape)
        one.set_weights([keras.ops.convert_to_numpy(kernel)])
        expected.append(keras.ops.convert_to_numpy(one(padded))[:, ::2, ::2])
    np.testing.assert_allclose(
        found, np.concatenate(expected, axis=-1), atol=1e-4
    )
    # The whole kernel, with zeros for the channels that a filter skips.
    whole = layers.Conv2D(8, 5, use_bias=False, padding="valid")
    around = (0, 0) if cut else (2, 2)
    padded = np.pad(inputs, ((0, 0), around, around, (0, 0)))
    whole.build(padded.shape)
    whole.set_weights([keras.ops.convert_to_numpy(layer.fused_kernel())])
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(whole(padded))[:, ::2, ::2], found, atol=1e-4
    )
