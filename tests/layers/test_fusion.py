"""How wCA brings its two pools together, against NumPy."""

import keras
import numpy as np
import pytest
from harness import check_layer, pictures
from scipy.special import expit

import kerafer
from kerafer.explain.wavelets import wavelet_table
from kerafer.layers import ChannelAttention, WaveletChannelAttention
from kerafer.models.attention import make_attention

FEATURES = np.random.default_rng(0).normal(size=(3, 7, 5, 8)).astype("f")


def psi(x, scale, shift):
    t = (x - shift) / scale
    return np.cos(1.75 * t) * np.exp(-(t**2) / 2)


def branch(layer, values, index):
    wavelet = layer.wavelets[index]
    hidden = values @ np.array(layer.reduce_kernels[index])
    hidden = psi(hidden, np.array(wavelet.scale), np.array(wavelet.shift))
    return hidden @ np.array(layer.expand_kernels[index])


def expected(layer, features):
    """The layer's output as its docstring has it."""
    peaks, means = features.max((1, 2)), features.mean((1, 2))
    both = np.concatenate([peaks, means], axis=1)
    if layer.fusion == "concat":
        logits = branch(layer, both, 0)
    else:
        first = branch(layer, peaks, 0)
        second = branch(layer, means, 0 if layer.shared else 1)
        logits = first + second
    if layer.fusion == "gated":
        share = expit(both @ np.array(layer.fusion_kernel) + layer.fusion_bias)
        assert share.shape == (len(features), 1)
        logits = share * first + (1 - share) * second
    return features * expit(logits)[:, None, None]


@pytest.mark.parametrize(
    ("fusion", "shared", "count"),
    [
        # W1 and W2 of 8 by 4, a and b of 4; Wg of 16 and bg; W1 of 16 by 4.
        ("sum", True, 64 + 8),
        ("sum", False, 128 + 16),
        ("gated", True, 64 + 8 + 17),
        ("gated", False, 128 + 16 + 17),
        ("concat", True, 96 + 8),
    ],
)
def test_every_fusion_is_its_formula(fusion, shared, count):
    layer, outputs = check_layer(
        WaveletChannelAttention,
        {"fusion": fusion, "shared": shared, "ratio": 2},
        FEATURES,
    )
    assert layer.count_params() == count
    np.testing.assert_allclose(outputs, expected(layer, FEATURES), atol=1e-6)
    generator = np.random.default_rng(1)
    layer.set_weights(
        [generator.normal(size=w.shape) + 0.5 for w in layer.weights]
    )
    np.testing.assert_allclose(
        layer(FEATURES), expected(layer, FEATURES), atol=1e-5
    )


def test_parameters_at_192_channels_are_those_of_the_docstring():
    counts = []
    for fusion in ("sum", "gated", "concat"):
        layer = WaveletChannelAttention(fusion=fusion)
        layer.build((None, 27, 27, 192))
        counts.append(layer.count_params())
    assert counts == [18_528, 18_913, 27_744]


def test_the_gate_starts_as_the_mean_of_the_branches():
    layer = WaveletChannelAttention(fusion="gated", ratio=2)
    layer.build(FEATURES.shape)
    gate = layer.gate(FEATURES)
    first = branch(layer, FEATURES.max((1, 2)), 0)
    second = branch(layer, FEATURES.mean((1, 2)), 0)
    np.testing.assert_allclose(gate, expit((first + second) / 2), atol=1e-6)


def test_the_gate_chooses_a_pool():
    layer = WaveletChannelAttention(fusion="gated", ratio=2)
    layer.build(FEATURES.shape)
    for bias, pool in (
        (40.0, FEATURES.max((1, 2))),
        (-40.0, FEATURES.mean((1, 2))),
    ):
        layer.fusion_bias.assign([bias])
        np.testing.assert_allclose(
            layer.gate(FEATURES), expit(branch(layer, pool, 0)), atol=1e-6
        )


def test_fusions_of_channels_first():
    for fusion in ("gated", "concat"):
        last = WaveletChannelAttention(fusion=fusion)
        wanted = np.array(last(FEATURES))
        first = WaveletChannelAttention(
            fusion=fusion, data_format="channels_first"
        )
        turned = FEATURES.transpose(0, 3, 1, 2)
        first.build(turned.shape)
        first.set_weights(last.get_weights())
        outputs = np.array(first(turned)).transpose(0, 2, 3, 1)
        np.testing.assert_allclose(outputs, wanted, atol=1e-6)


@pytest.mark.parametrize("fusion", ["gated", "concat"])
def test_fusions_as_an_option_train_and_are_saved(fusion, tmp_path):
    images = pictures((4, 36, 36, 1))
    model = kerafer.create_model("wca_mcnn", 3, (36, 36, 1), fusion=fusion)
    attention = model.get_layer("attention")
    before = attention.get_weights()
    model.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        run_eagerly=True,
    )
    model.train_on_batch(images, np.arange(4) % 3)
    for weight, old in zip(attention.weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path
    inputs = keras.Input(attention.input.shape[1:])
    small = keras.Model(inputs, attention(inputs))
    small.save(tmp_path / "small.keras")
    features = np.random.default_rng(1).normal(size=(2, *inputs.shape[1:]))
    np.testing.assert_array_equal(
        kerafer.load_model(tmp_path / "small.keras")(features), small(features)
    )
    # One set of 48 wavelets.
    assert len(wavelet_table(model)) == 48


def test_wrong_fusions_are_refused():
    with pytest.raises(ValueError, match="product"):
        WaveletChannelAttention(fusion="product")
    with pytest.raises(ValueError, match="shared=False"):
        WaveletChannelAttention(fusion="concat", shared=False)


def test_wca_alone_has_fusions():
    with pytest.raises(ValueError, match="fusion"):
        ChannelAttention(fusion="gated")
    with pytest.raises(kerafer.UserError, match="fusion=gated"):
        make_attention(attention="cbam", fusion="gated")
    with pytest.raises(kerafer.UserError, match="fusion"):
        kerafer.create_model("wse_mcnn", 3, (48, 48, 1), fusion="sum")
