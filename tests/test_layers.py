"""The layers against NumPy, PyWavelets and another backend."""

import os

import keras
import numpy as np
import pytest
import pywt
import tensorflow as tf
from harness import check_layer, run_python

from kerafer.layers import (
    Morlet,
    MultiScaleConv2D,
    WaveletChannelAttention,
    WaveletSqueezeExcitation,
)

FEATURES = np.random.default_rng(0).normal(size=(2, 13, 11, 8)).astype("f")


def numpy_convolution(inputs, kernel, stride, padding, rate=1):
    """Cross-correlation by sliding windows; padding on each side."""
    size = kernel.shape[0]
    extent = rate * (size - 1) + 1
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(inputs, around), (extent, extent), axis=(1, 2)
    )[:, ::stride, ::stride, :, ::rate, ::rate]
    return np.einsum("bijcuv,uvco->bijo", windows, kernel)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_branches_are_convolutions_padded_by_half_the_kernel(stride, fused):
    layer, outputs = check_layer(
        MultiScaleConv2D,
        {"filters": 3, "strides": stride, "fused": fused},
        FEATURES,
    )
    layer.bias.assign(np.arange(9.0))
    expected = np.concatenate(
        [
            numpy_convolution(FEATURES, np.array(kernel), stride, size // 2)
            for kernel, size in zip(layer.kernels, (3, 5, 7), strict=True)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(outputs, expected, atol=2e-5)
    np.testing.assert_allclose(
        layer(FEATURES), expected + np.arange(9.0), atol=2e-5
    )


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_dilated_branches(stride, fused):
    arguments = {
        "filters": 2,
        "kernel_sizes": (3, 3, 5),
        "dilation_rates": (1, 3, 2),
        "strides": stride,
        "fused": fused,
    }
    layer, outputs = check_layer(MultiScaleConv2D, arguments, FEATURES)
    expected = np.concatenate(
        [
            numpy_convolution(FEATURES, np.array(kernel), stride, pad, rate)
            for kernel, pad, rate in zip(
                layer.kernels, (1, 3, 4), (1, 3, 2), strict=True
            )
        ],
        axis=-1,
    )
    np.testing.assert_allclose(outputs, expected, atol=2e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_valid_padding_centres_the_branches(fused):
    arguments = {"filters": 2, "padding": "valid", "fused": fused}
    layer, outputs = check_layer(MultiScaleConv2D, arguments, FEATURES)
    same = np.concatenate(
        [
            numpy_convolution(FEATURES, np.array(kernel), 1, size // 2)
            for kernel, size in zip(layer.kernels, (3, 5, 7), strict=True)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(outputs, same[:, 3:-3, 3:-3], atol=2e-5)


def test_stride_4_is_not_tensorflows_same():
    """At 224 and stride 4 TensorFlow would pad 3x3 by nothing at all."""
    layer = MultiScaleConv2D(1, kernel_sizes=(3,), strides=4, use_bias=False)
    image = np.zeros((1, 224, 224, 1), "f")
    image[0, 3, 3] = 1
    layer.build(image.shape)
    layer.kernels[0].assign(np.arange(9.0).reshape(3, 3, 1, 1))
    # Output 1 is centred on pixel 4: pixel 3 falls on the first tap.
    outputs = np.array(layer(image))[0, :, :, 0]
    assert outputs.shape == (56, 56)
    assert outputs[1, 1] == 0 and np.count_nonzero(outputs) == 0
    image[0, 3, 3], image[0, 5, 5] = 0, 1
    assert np.array(layer(image))[0, 1, 1, 0] == 8


def test_every_branch_starts_from_numbers_of_its_own():
    layer = MultiScaleConv2D(4, kernel_sizes=(3, 3, 3))
    layer.build((None, 9, 9, 2))
    first, second, third = map(np.array, layer.kernels)
    assert not np.allclose(first, second) and not np.allclose(second, third)


def test_regularizers_constraints_and_activation_reach_the_branches():
    layer = MultiScaleConv2D(
        2,
        activation="relu",
        kernel_initializer="ones",
        kernel_regularizer=keras.regularizers.L1(1.0),
        kernel_constraint="non_neg",
        bias_initializer=keras.initializers.Constant(-1e6),
    )
    assert np.array(layer(FEATURES)).max() == 0
    assert float(sum(layer.losses)) == (9 + 25 + 49) * 8 * 2
    assert all(kernel.constraint is not None for kernel in layer.kernels)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (MultiScaleConv2D, {"filters": 3, "strides": 2}),
        (WaveletChannelAttention, {}),
        (WaveletSqueezeExcitation, {}),
    ],
)
def test_channels_first(kind, arguments):
    last = kind(**arguments, data_format="channels_last")
    expected = np.array(last(FEATURES))
    turned = FEATURES.transpose(0, 3, 1, 2)
    first, outputs = check_layer(
        kind, {**arguments, "data_format": "channels_first"}, turned
    )
    first.set_weights(last.get_weights())
    outputs = np.array(first(turned))
    np.testing.assert_allclose(
        outputs.transpose(0, 2, 3, 1), expected, atol=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "`filters` must be a positive integer"),
        ({"filters": 8, "kernel_sizes": (3, 4)}, "must be odd"),
        ({"filters": 8, "kernel_sizes": ()}, "at least one entry"),
        ({"filters": 8, "kernel_sizes": 3}, "must be a list"),
        ({"filters": 8, "strides": 0}, "`strides` must be a positive"),
        ({"filters": 8, "padding": "full"}, '"same" or "valid"'),
        ({"filters": 8, "dilation_rates": (1, 2)}, "must have 3 entries"),
        ({"filters": 8, "data_format": "nchw"}, '"channels_last" or'),
    ],
)
def test_multi_scale_states_the_rule(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiScaleConv2D(**arguments)


def psi(x, a=1.0, b=0.0, frequency=1.75):
    t = (x - b) / a
    return np.cos(frequency * t) * np.exp(-(t**2) / 2)


def test_morlet_is_the_articles_formula():
    x = np.random.default_rng(2).normal(size=(64, 6)).astype("f") * 2
    layer, outputs = check_layer(Morlet, {}, x)
    np.testing.assert_allclose(outputs, psi(x), atol=1e-6)
    a = np.array([1.0, -0.7, 0.05, 3.0, -2.0, 0.4])
    b = np.array([0.0, 0.3, -1.0, 2.0, 0.1, -0.5])
    layer.scale.assign(a)
    layer.shift.assign(b)
    np.testing.assert_allclose(layer(x), psi(x, a, b), atol=2e-5)


def test_morlet_gradients_are_those_of_finite_differences():
    x = np.random.default_rng(3).normal(size=(50, 3))
    a, b = np.array([1.0, -0.6, 2.0]), np.array([0.0, 0.4, -1.0])
    layer = Morlet(dtype="float64")
    layer.build(x.shape)
    layer.set_weights([a, b])
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(layer(inputs))
    got = tape.gradient(total, [inputs, layer.scale.value, layer.shift.value])
    h = 1e-6
    expected = [
        (psi(x + h, a, b) - psi(x - h, a, b)) / (2 * h),
        ((psi(x, a + h, b) - psi(x, a - h, b)) / (2 * h)).sum(0),
        ((psi(x, a, b + h) - psi(x, a, b - h)) / (2 * h)).sum(0),
    ]
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-7)


@pytest.mark.parametrize(
    ("wavelet", "theirs", "arguments"),
    [
        ("morlet", "morl", {"center_frequency": 5.0}),
        ("mexh", "mexh", {}),
        ("gaus1", "gaus1", {}),
        ("gaus2", "gaus2", {}),
    ],
)
def test_wavelets_are_those_of_pywavelets(wavelet, theirs, arguments):
    values, grid = pywt.ContinuousWavelet(theirs).wavefun(length=512)
    layer = Morlet(wavelet=wavelet, per_channel=False, **arguments)
    ours = np.array(layer(grid[:, None].astype("f")))[:, 0]
    np.testing.assert_allclose(ours, values, atol=1e-5)
    check_layer(Morlet, {"wavelet": wavelet}, FEATURES)


@pytest.mark.parametrize(
    "policy", ["float32", "mixed_bfloat16", "mixed_float16"]
)
@pytest.mark.parametrize("scale", [0.0, -0.0, 1e-30, -1e-8, 0.009])
def test_no_scale_gives_nan_or_stops_learning(policy, scale):
    layer = Morlet(dtype=policy)
    x = np.random.default_rng(4).normal(size=(256, 4)).astype("f")
    x[0] = [6e4, -6e4, 0.0, 1e-7]
    layer.build(x.shape)
    layer.scale.assign(np.full(4, scale, "f"))
    inputs = tf.cast(x, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(layer(inputs))
    gradients = tape.gradient(
        total, [inputs, layer.scale.value, layer.shift.value]
    )
    assert all(np.isfinite(np.array(g, "f")).all() for g in gradients)
    assert np.all(np.array(gradients[1]) != 0)


def test_a_scale_that_crosses_zero_goes_on_learning():
    layer = Morlet(per_channel=False)
    x = np.random.default_rng(5).normal(size=(512, 1)).astype("f")
    layer.build(x.shape)
    target = psi(x, 0.8).astype("f")
    for start in (0.004, 0.0, -0.004):
        layer.scale.assign(start)
        optimizer = keras.optimizers.Adam(0.02)
        optimizer.build([layer.scale])
        for _ in range(300):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(layer(x) - target))
            optimizer.apply([tape.gradient(loss, layer.scale.value)])
            assert np.isfinite(float(layer.scale.value))
        # The wave is even: a width of -0.8 is as good.
        assert abs(float(layer.scale.value)) == pytest.approx(0.8, abs=0.02)


def numpy_gate(inputs, reduce, expand, a, b, branches):
    logits = 0
    for index, pool in branches:
        hidden = psi(pool(inputs) @ reduce[index], a[index], b[index])
        logits = logits + hidden @ expand[index]
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_wca_is_the_articles_formula(shared, per_channel):
    arguments = {"ratio": 4, "shared": shared, "per_channel": per_channel}
    layer, _ = check_layer(WaveletChannelAttention, arguments, FEATURES)
    rng = np.random.default_rng(6)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    sets = range(1 if shared else 2)
    gate = numpy_gate(
        FEATURES.astype("f8"),
        [np.array(layer.reduce_kernels[i]) for i in sets],
        [np.array(layer.expand_kernels[i]) for i in sets],
        [np.array(layer.wavelets[i].scale) for i in sets],
        [np.array(layer.wavelets[i].shift) for i in sets],
        [
            (0, lambda o: o.max((1, 2))),
            (0 if shared else 1, lambda o: o.mean((1, 2))),
        ],
    )
    np.testing.assert_allclose(layer.gate(FEATURES), gate, atol=1e-4)
    np.testing.assert_allclose(
        layer(FEATURES), FEATURES * gate[:, None, None, :], atol=1e-4
    )


def test_wse_uses_the_average_alone():
    layer, outputs = check_layer(WaveletSqueezeExcitation, {}, FEATURES)
    gate = numpy_gate(
        FEATURES.astype("f8"),
        [np.array(layer.reduce_kernels[0])],
        [np.array(layer.expand_kernels[0])],
        [np.ones(2)],
        [np.zeros(2)],
        [(0, lambda o: o.mean((1, 2)))],
    )
    np.testing.assert_allclose(
        outputs, FEATURES * gate[:, None, None, :], atol=1e-5
    )


def test_averages_of_large_maps_survive_half_precision():
    """Summing 12,544 ones in bfloat16 one by one would stop at 256."""
    for policy in ("mixed_bfloat16", "mixed_float16"):
        layer = WaveletSqueezeExcitation(dtype=policy)
        ones = tf.ones((1, 112, 112, 4), layer.compute_dtype)
        layer.build(ones.shape)
        expected = WaveletSqueezeExcitation()
        expected.build(ones.shape)
        expected.set_weights(layer.get_weights())
        np.testing.assert_allclose(
            layer.gate(ones), expected.gate(tf.ones((1, 1, 1, 4))), atol=1e-5
        )


@pytest.mark.parametrize(
    "kind", [WaveletChannelAttention, WaveletSqueezeExcitation]
)
def test_attention_states_the_rule(kind):
    with pytest.raises(
        ValueError, match=r"`ratio` must be a positive .* ratio=0"
    ):
        kind(ratio=0)
    with pytest.raises(ValueError, match=r"must divide.*ratio=4, channels=10"):
        kind().build((None, 5, 5, 10))
    with pytest.raises(ValueError, match="must be defined"):
        kind().build((None, 5, 5, None))
    with pytest.raises(ValueError, match=r"one of morlet, mexh.*'haar'"):
        kind(wavelet="haar")
    with pytest.raises(ValueError, match="must be positive"):
        kind(center_frequency=0)
    with pytest.raises(ValueError, match='"channels_last" or'):
        kind(data_format="nchw")
    with pytest.raises(ValueError, match="expected ndim=4"):
        kind()(np.zeros((2, 8), "f"))


def test_undefined_channels_are_refused():
    for layer in (MultiScaleConv2D(2), Morlet()):
        with pytest.raises(ValueError, match="must be defined"):
            layer.build((None, 5, 5, None))


BACKEND_PROGRAM = """
    import sys
    import numpy as np
    import kerafer
    folder = sys.argv[1]
    model = kerafer.load_model(folder + "/model.keras")
    features = np.load(folder + "/features.npy")
    np.save(folder + "/outputs.npy", model.predict(features, verbose=0))
    before = model.get_weights()
    model.compile("sgd", "mse")
    targets = np.zeros((2, *model.output_shape[1:]), "f")
    model.fit(features, targets, verbose=0)
    for old, new in zip(before, model.get_weights()):
        assert np.isfinite(new).all() and not np.array_equal(old, new)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_compute_and_train_the_same(backend, tmp_path):
    pytest.importorskip(backend)
    inputs = keras.Input(FEATURES.shape[1:])
    x = MultiScaleConv2D(4, strides=2, activation="relu")(inputs)
    x = MultiScaleConv2D(4, dilation_rates=(1, 2, 1), fused=False)(x)
    x = WaveletChannelAttention(shared=False)(x)
    x = WaveletSqueezeExcitation(wavelet="gaus1")(x)
    model = keras.Model(inputs, Morlet(wavelet="mexh")(x))
    expected = model.predict(FEATURES, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "features.npy", FEATURES)
    run_python(
        BACKEND_PROGRAM, tmp_path, env={**os.environ, "KERAS_BACKEND": backend}
    )
    outputs = np.load(tmp_path / "outputs.npy")
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
