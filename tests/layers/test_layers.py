"""The layers against NumPy, PyWavelets and another backend."""

import os

import keras
import numpy as np
import pytest
import pywt
import tensorflow as tf
from by_hand import (
    convolution,
    draw_weights,
    hard_swish,
    normalized,
    sigmoid,
)
from harness import check_layer, run_python

from kerafer.layers import (
    ChannelAttention,
    ConvolutionalBlockAttention,
    CoordinateAttention,
    EfficientChannelAttention,
    Morlet,
    MultiScaleConv2D,
    SqueezeExcitation,
    WaveletChannelAttention,
    WaveletSqueezeExcitation,
)

FEATURES = np.random.default_rng(0).normal(size=(2, 13, 11, 8)).astype("f")


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
        [convolution(FEATURES, kernel, stride) for kernel in layer.kernels],
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
            convolution(FEATURES, kernel, stride, rate)
            for kernel, rate in zip(layer.kernels, (1, 3, 2), strict=True)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(outputs, expected, atol=2e-5)


@pytest.mark.parametrize("fused", [True, False])
def test_valid_padding_centres_the_branches(fused):
    arguments = {"filters": 2, "padding": "valid", "fused": fused}
    layer, outputs = check_layer(MultiScaleConv2D, arguments, FEATURES)
    same = np.concatenate(
        [convolution(FEATURES, kernel) for kernel in layer.kernels],
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
        (ChannelAttention, {}),
        (EfficientChannelAttention, {}),
        (ConvolutionalBlockAttention, {"kernel_size": 3}),
        (CoordinateAttention, {"momentum": 1.0}),
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


@pytest.mark.slow
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


def maximum(features):
    return features.max((1, 2))


def average(features):
    return features.mean((1, 2))


def numpy_gate(inputs, reduce, expand, a, b, branches, psi=psi):
    logits = 0
    for index, pool in branches:
        hidden = psi(pool(inputs) @ reduce[index], a[index], b[index])
        logits = logits + hidden @ expand[index]
    return sigmoid(logits)


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
        [(0, maximum), (0 if shared else 1, average)],
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
        [(0, average)],
    )
    np.testing.assert_allclose(
        outputs, FEATURES * gate[:, None, None, :], atol=1e-5
    )


def relu_for_psi(x, a, b):
    return np.maximum(x, 0)


@pytest.mark.parametrize(
    ("kind", "twin", "arguments", "branches"),
    [
        (SqueezeExcitation, WaveletSqueezeExcitation, {}, [(0, average)]),
        (
            ChannelAttention,
            WaveletChannelAttention,
            {},
            [(0, maximum), (0, average)],
        ),
        (
            ChannelAttention,
            WaveletChannelAttention,
            {"shared": False},
            [(0, maximum), (1, average)],
        ),
    ],
)
def test_with_relu_for_psi_the_wavelet_attentions_are_se_and_cbams(
    kind, twin, arguments, branches
):
    layer, _ = check_layer(kind, arguments, FEATURES)
    wavelet = twin(**arguments)
    wavelet.build(FEATURES.shape)
    draw_weights(layer)
    kernels = wavelet.get_weights()[: len(layer.weights)]
    assert [k.shape for k in kernels] == [w.shape for w in layer.weights]
    sets = range(len(layer.reduce_kernels))
    gate = numpy_gate(
        FEATURES.astype("f8"),
        [np.array(layer.reduce_kernels[i]) for i in sets],
        [np.array(layer.expand_kernels[i]) for i in sets],
        [None] * len(sets),
        [None] * len(sets),
        branches,
        psi=relu_for_psi,
    )
    np.testing.assert_allclose(layer.gate(FEATURES), gate, atol=1e-5)
    np.testing.assert_allclose(
        layer(FEATURES), FEATURES * gate[:, None, None, :], atol=1e-5
    )


@pytest.mark.parametrize(
    ("kind", "pools"),
    [(SqueezeExcitation, [average]), (ChannelAttention, [maximum, average])],
)
def test_biases_stand_behind_both_kernels(kind, pools):
    arguments = {"use_bias": True, "activation": "tanh", "ratio": 2}
    layer, _ = check_layer(kind, arguments, FEATURES)
    draw_weights(layer)
    reduce, expand, first, second = map(np.array, layer.get_weights())
    assert first.shape == (4,) and second.shape == (8,)
    logits = sum(
        np.tanh(pool(FEATURES) @ reduce + first) @ expand + second
        for pool in pools
    )
    np.testing.assert_allclose(layer.gate(FEATURES), sigmoid(logits), atol=1e-5)


@pytest.mark.parametrize("size", [None, 1, 5])
def test_eca_is_a_correlation_along_the_channels(size):
    layer, _ = check_layer(
        EfficientChannelAttention, {"kernel_size": size}, FEATURES
    )
    draw_weights(layer)
    (kernel,) = layer.get_weights()
    taps = kernel[:, 0, 0]
    assert len(taps) == (size or 3)
    margin = len(taps) // 2
    pooled = np.pad(average(FEATURES), ((0, 0), (margin, margin)))
    logits = [np.correlate(row, taps, mode="valid") for row in pooled]
    gate = sigmoid(np.array(logits))
    np.testing.assert_allclose(layer.gate(FEATURES), gate, atol=1e-5)
    np.testing.assert_allclose(
        layer(FEATURES), FEATURES * gate[:, None, None, :], atol=1e-5
    )


@pytest.mark.parametrize("use_norm", [False, True])
def test_cbam_weighs_channels_and_then_places(use_norm):
    arguments = {"kernel_size": 5, "use_norm": use_norm, "momentum": 1.0}
    layer, _ = check_layer(ConvolutionalBlockAttention, arguments, FEATURES)
    draw_weights(layer)
    channel = ChannelAttention()
    channel.build(FEATURES.shape)
    channel.set_weights(layer.channel.get_weights())
    x = np.array(channel(FEATURES)).astype("f8")
    planes = np.stack([x.max(-1), x.mean(-1)], axis=-1)
    logits = convolution(planes, layer.kernel)
    if use_norm:
        logits = normalized(logits, layer.norm)
    np.testing.assert_allclose(layer(FEATURES), x * sigmoid(logits), atol=1e-5)


def numpy_coordinate(features, layer, mean=None, variance=None):
    """Row by row and column by column, as Hou et al. write it."""
    both = np.concatenate([features.mean(2), features.mean(1)], axis=1)
    hidden = both @ np.array(layer.reduce_kernel) + np.array(layer.reduce_bias)
    if mean is None:
        mean, variance = hidden.mean((0, 1)), hidden.var((0, 1))
    hidden = (hidden - mean) / np.sqrt(variance + 1e-5)
    hidden = hidden * np.array(layer.norm.gamma) + np.array(layer.norm.beta)
    hidden = hard_swish(hidden)
    rows = hidden[:, : features.shape[1]] @ np.array(layer.row_kernel)
    columns = hidden[:, features.shape[1] :] @ np.array(layer.column_kernel)
    return np.einsum(
        "bijc,bic,bjc->bijc",
        features,
        sigmoid(rows + np.array(layer.row_bias)),
        sigmoid(columns + np.array(layer.column_bias)),
    )


def test_coordinate_attention_weighs_rows_and_columns():
    # Momentum 1: the statistics stay as they are while gradients are checked.
    layer, _ = check_layer(CoordinateAttention, {"momentum": 1.0}, FEATURES)
    draw_weights(layer)
    moving = layer.norm.get_weights()[2:]
    np.testing.assert_allclose(
        layer(FEATURES), numpy_coordinate(FEATURES, layer, *moving), atol=1e-5
    )


def test_coordinate_attention_learns_from_the_batchs_statistics():
    layer = CoordinateAttention()
    layer.build(FEATURES.shape)
    draw_weights(layer)
    mean = layer.norm.get_weights()[2]
    outputs = layer(FEATURES, training=True)
    np.testing.assert_allclose(
        outputs, numpy_coordinate(FEATURES, layer), atol=1e-5
    )
    both = np.concatenate([FEATURES.mean(2), FEATURES.mean(1)], axis=1)
    hidden = both @ np.array(layer.reduce_kernel) + np.array(layer.reduce_bias)
    np.testing.assert_allclose(
        layer.norm.moving_mean,
        0.9 * mean + 0.1 * hidden.mean((0, 1)),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "kind",
    [
        ChannelAttention,
        ConvolutionalBlockAttention,
        CoordinateAttention,
        EfficientChannelAttention,
    ],
)
def test_attentions_take_pictures_of_any_size(kind):
    inputs = keras.Input((None, None, 8))
    model = keras.Model(inputs, kind()(inputs))
    for size in (FEATURES, FEATURES[:, :9, :7]):
        np.testing.assert_allclose(
            model.predict(size, verbose=0), model.layers[-1](size), atol=1e-5
        )


@pytest.mark.parametrize(
    "kind", [WaveletChannelAttention, WaveletSqueezeExcitation]
)
def test_a_fixed_wavelet_stays_as_it_is(kind):
    layer, _ = check_layer(kind, {"trainable_wavelet": False}, FEATURES)
    free = kind()
    free.build(FEATURES.shape)
    assert [w.name for w in layer.weights] == [w.name for w in free.weights]
    names = {w.name for w in layer.non_trainable_weights}
    assert names == {"scale", "shift"}
    assert not free.non_trainable_weights
    # Who thaws a frozen model does not thaw the wavelet.
    layer.trainable = False
    layer.trainable = True
    assert {w.name for w in layer.non_trainable_weights} == names
    # Weights pass between the two.
    layer.set_weights(free.get_weights())
    np.testing.assert_array_equal(layer(FEATURES), free(FEATURES))


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


ATTENTIONS = (
    WaveletChannelAttention,
    WaveletSqueezeExcitation,
    SqueezeExcitation,
    ChannelAttention,
    ConvolutionalBlockAttention,
    CoordinateAttention,
    EfficientChannelAttention,
)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (MultiScaleConv2D, {"filters": 0}),
        (MultiScaleConv2D, {"filters": 8, "kernel_sizes": (4,)}),
        (MultiScaleConv2D, {"filters": 8, "kernel_sizes": ()}),
        (MultiScaleConv2D, {"filters": 8, "kernel_sizes": 3}),
        (MultiScaleConv2D, {"filters": 8, "strides": 0}),
        (MultiScaleConv2D, {"filters": 8, "padding": "full"}),
        (MultiScaleConv2D, {"filters": 8, "dilation_rates": (1, 2)}),
        (MultiScaleConv2D, {"filters": 8, "data_format": "nchw"}),
        (MultiScaleConv2D, {"filters": 4, "groups": 0}),
        (MultiScaleConv2D, {"filters": 4, "groups": 1.5}),
        (MultiScaleConv2D, {"filters": 4, "groups": True}),
        (MultiScaleConv2D, {"filters": 64, "groups": 3}),
        (Morlet, {"wavelet": "haar"}),
        (Morlet, {"center_frequency": 0}),
        (Morlet, {"per_channel": "no"}),
        (WaveletChannelAttention, {"shared": "fasle"}),
        (WaveletChannelAttention, {"wavelet": "haar"}),
        (WaveletSqueezeExcitation, {"trainable_wavelet": "no"}),
        (SqueezeExcitation, {"use_bias": 1}),
        (ChannelAttention, {"ratio": 2.0}),
        (EfficientChannelAttention, {"kernel_size": 4}),
        (EfficientChannelAttention, {"kernel_size": 0}),
        (ConvolutionalBlockAttention, {"kernel_size": 6}),
        (ConvolutionalBlockAttention, {"use_norm": 0}),
        *((kind, {"data_format": "nchw"}) for kind in ATTENTIONS),
        *((kind, {"ratio": 0}) for kind in ATTENTIONS[:-1]),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(kind, arguments):
    name, value = list(arguments.items())[-1]
    with pytest.raises(ValueError, match=name) as caught:
        kind(**arguments)
    assert repr(value).strip("(,)") in str(caught.value)


@pytest.mark.parametrize("kind", ATTENTIONS[:5])
def test_the_ratio_divides_the_channels(kind):
    with pytest.raises(ValueError, match=r"ratio=4, channels=10"):
        kind().build((None, 5, 5, 10))


BACKEND_PROGRAM = """
    import sys
    import keras
    import numpy as np
    import kerafer
    folder = sys.argv[1]
    model = kerafer.load_model(folder + "/model.keras")
    features = np.load(folder + "/features.npy")
    np.save(folder + "/outputs.npy", model.predict(features, verbose=0))
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1.0), "mse")
    targets = np.zeros((2, *model.output_shape[1:]), "f")
    model.fit(features, targets, verbose=0)
    for weight, old, new in zip(model.weights, before, model.get_weights()):
        assert np.isfinite(new).all()
        # BatchNorm takes out what a bias in front of it would change.
        if weight.name != "reduce_bias":
            assert not np.array_equal(old, new), weight.path
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_compute_and_train_the_same(backend, tmp_path):
    pytest.importorskip(backend)
    inputs = keras.Input(FEATURES.shape[1:])
    x = MultiScaleConv2D(4, strides=2, activation="relu")(inputs)
    x = MultiScaleConv2D(4, dilation_rates=(1, 2, 1), fused=False)(x)
    attentions = (
        WaveletChannelAttention(shared=False),
        WaveletChannelAttention(normalize=True, learning_rate_multiplier=3.0),
        WaveletSqueezeExcitation(wavelet="gaus1"),
        SqueezeExcitation(use_bias=True),
        EfficientChannelAttention(),
        ConvolutionalBlockAttention(use_norm=True),
        CoordinateAttention(),
    )
    x = keras.ops.concatenate([attention(x) for attention in attentions], -1)
    model = keras.Model(inputs, Morlet(wavelet="mexh")(x))
    expected = model.predict(FEATURES, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "features.npy", FEATURES)
    run_python(
        BACKEND_PROGRAM, tmp_path, env={**os.environ, "KERAS_BACKEND": backend}
    )
    outputs = np.load(tmp_path / "outputs.npy")
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
