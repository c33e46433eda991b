"""Wavelets by clipped ramps, as files of 8 bits compute them."""

import numpy as np
import pytest
import pywt
from keras import ops

from kerafer.layers import Morlet, WaveletChannelAttention
from kerafer.layers.ramps import Ramps, constants_for_export


def wavelet(name, t):
    if name == "morlet":
        return np.cos(1.75 * t) * np.exp(-t * t / 2)
    values, grid = pywt.ContinuousWavelet(name).wavefun(length=40_000)
    return np.interp(t, grid, values)


def in_8_bits(values, low, high):
    step = (high - low) / 255
    return np.round(np.clip(values - low, 0, high - low) / step) * step + low


@pytest.mark.parametrize(
    ("name", "most"),
    [("morlet", 0.024), ("mexh", 0.027), ("gaus1", 0.03), ("gaus2", 0.033)],
)
def test_ramps_in_8_bits_are_the_wavelet(name, most):
    """The arithmetic of an accelerator, written out in NumPy."""
    ramps = Ramps.of(name)
    t = np.linspace(-6, 6, 20_001)
    level = in_8_bits(ramps.gain * t + ramps.offset, 0, 6)
    knots = ramps.gain * ramps.knots + ramps.offset
    slopes, weights = 6 / np.diff(knots), np.diff(ramps.values) / 6
    hidden = in_8_bits(slopes * (level[:, None] - knots[:-1]), 0, 6)
    step = np.abs(weights).max() / 127
    found = hidden @ (np.round(weights / step) * step) + ramps.values[0]
    found = in_8_bits(found, ramps.values.min(), ramps.values.max())
    error = found - wavelet(name, t)
    assert np.abs(error).max() < most
    assert np.sqrt(np.mean(error**2)) < 0.012
    np.testing.assert_allclose(ramps.in_8_bits(t), found, atol=1e-9)
    levels = np.clip(ramps.gain * t + ramps.offset, 0, 6).astype(np.float32)
    exact = ops.convert_to_numpy(ramps(ops.convert_to_tensor(levels[None])))
    assert np.abs(exact[0] - wavelet(name, t)).max() < most * 0.7


@pytest.mark.parametrize("per_channel", [True, False])
def test_scale_and_shift_are_part_of_the_ramps(per_channel):
    layer = Morlet(per_channel=per_channel)
    layer.build((None, 3))
    scale = np.array([0.5, -1.0, 2.0]) if per_channel else np.array(-0.7)
    shift = np.array([0.1, 0.0, -0.3]) if per_channel else np.array(0.2)
    layer.scale.assign(scale)
    layer.shift.assign(shift)
    t = np.linspace(-4, 4, 300)[:, None]
    inputs = np.float32(t * scale + shift) + np.zeros((1, 3), np.float32)
    layer.set_export("integer")
    found = ops.convert_to_numpy(layer(inputs))
    layer.set_export(None)
    exact = ops.convert_to_numpy(layer(inputs))
    np.testing.assert_allclose(found - wavelet("morlet", t), 0, atol=0.02)
    assert 0 < np.abs(found - exact).max() < 0.02


@pytest.mark.parametrize("fusion", ["sum", "gated", "concat"])
def test_attention_with_ramps_is_the_attention(fusion):
    import keras

    generator = np.random.default_rng(0)
    image = keras.Input((5, 5, 8))
    layer = WaveletChannelAttention(ratio=2, fusion=fusion)
    model = keras.Model(image, layer(image))
    inputs = generator.normal(size=(4, 5, 5, 8)).astype(np.float32)
    exact = ops.convert_to_numpy(model(inputs))
    with constants_for_export(model, integer=True):
        found = ops.convert_to_numpy(model(inputs))
    assert 0 < np.abs(found - exact).max() < 0.1
    np.testing.assert_array_equal(ops.convert_to_numpy(model(inputs)), exact)


def test_a_channel_that_never_responds_keeps_the_range_of_psi():
    """Otherwise the converter gives psi the scale 0 and the file is useless."""
    tf = pytest.importorskip("tensorflow")
    import keras
    from ai_edge_litert.interpreter import Interpreter

    layer = WaveletChannelAttention(ratio=2)
    image = keras.Input((4, 4, 8))
    model = keras.Model(image, layer(image))
    for psi in layer.wavelets:
        psi.shift.assign(np.full(4, 100.0))

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 8))])
    def run(x):
        return model(x)

    with constants_for_export(model, integer=True):
        traced = run.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    images = np.random.default_rng(0).random((20, 1, 4, 4, 8), np.float32)
    converter.representative_dataset = lambda: ([image] for image in images)
    content = converter.convert()
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    scales = [
        tensor["quantization"][0]
        for tensor in interpreter.get_tensor_details()
        if tensor["shape"].tolist() == [1, 1, 8, 1]
    ]
    extremes = Ramps.of("morlet").values
    psi = (extremes.max() - extremes.min()) / 255
    assert any(scale == pytest.approx(psi, rel=0.05) for scale in scales)
