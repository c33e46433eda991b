"""Options of wCA that the article does not have."""

import keras
import numpy as np
import pytest
from keras import ops

import kerafer
from kerafer.layers import Morlet, WaveletChannelAttention, adapt_wavelets
from kerafer.layers.ramps import constants_for_export

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(64, 5, 5, 8)).astype(np.float32)
POOLS = {"max": FEATURES.max((1, 2)), "average": FEATURES.mean((1, 2))}


def build(**options):
    image = keras.Input((5, 5, 8))
    layer = WaveletChannelAttention(ratio=2, **options)
    return keras.Model(image, layer(image)), layer


def numpy_gate(layer, normalized):
    (reduce, expand) = layer.reduce_kernels[0], layer.expand_kernels[0]
    total = 0.0
    for pool, norm in zip(("max", "average"), layer.norms, strict=True):
        t = normalized(POOLS[pool] @ np.array(reduce), norm)
        total = total + np.cos(1.75 * t) * np.exp(-(t**2) / 2) @ np.array(
            expand
        )
    return 1 / (1 + np.exp(-total))


def test_normalize_uses_the_batch_in_training_and_averages_afterwards():
    model, layer = build(normalize=True)
    found = ops.convert_to_numpy(model(FEATURES, training=True))
    expected = numpy_gate(
        layer, lambda x, _: (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    )
    np.testing.assert_allclose(
        found, FEATURES * expected[:, None, None], atol=1e-4
    )
    for norm in layer.norms:
        norm.moving_mean.assign(RNG.normal(size=4))
        norm.moving_variance.assign(RNG.uniform(0.5, 2, 4))
    expected = numpy_gate(
        layer,
        lambda x, norm: (
            (x - np.array(norm.moving_mean))
            / np.sqrt(np.array(norm.moving_variance) + 1e-5)
        ),
    )
    found = ops.convert_to_numpy(model(FEATURES))
    np.testing.assert_allclose(
        found, FEATURES * expected[:, None, None], atol=1e-4
    )


@pytest.mark.parametrize("fusion", ["sum", "gated", "concat"])
def test_exports_fold_the_normalization(fusion):
    model, layer = build(normalize=True, fusion=fusion)
    for _ in range(60):
        model(FEATURES, training=True)
    exact = ops.convert_to_numpy(model(FEATURES))
    for integer, most in ((False, 1e-5), (True, 0.1)):
        with constants_for_export(model, integer):
            found = ops.convert_to_numpy(model(FEATURES))
        np.testing.assert_allclose(found, exact, atol=most)
    assert np.abs(found - exact).max() > 0
    (t, *_) = layer.wavelet_inputs(FEATURES).values()
    assert np.abs(ops.convert_to_numpy(t).std(0) - 1).max() < 0.1


def test_options_change_no_number_of_trainable_parameters():
    counts = [
        sum(
            w.shape.num_elements()
            if hasattr(w.shape, "num_elements")
            else int(np.prod(w.shape))
            for w in layer.trainable_weights
        )
        for layer in (
            build()[1],
            build(normalize=True)[1],
            build(adapt=True)[1],
            build(learning_rate_multiplier=10.0)[1],
        )
    ]
    # W1 and W2 of 8 x 4, and the scale and shift of 4 channels.
    assert counts == [2 * 8 * 4 + 2 * 4] * 4
    assert not build()[1].non_trainable_weights
    # A mean and a variance for each pool and channel.
    layer = build(normalize=True)[1]
    assert sum(w.shape[0] for w in layer.non_trainable_weights) == 2 * 2 * 4


@pytest.mark.parametrize("shared", [True, False])
def test_adapt_makes_the_input_of_the_wavelet_standard_normal(shared):
    model, layer = build(adapt=True, shared=shared)
    adapt_wavelets(model, FEATURES)
    t = [
        ops.convert_to_numpy(x) for x in layer.wavelet_inputs(FEATURES).values()
    ]
    for values in [np.concatenate(t)] if shared else t:
        np.testing.assert_allclose(values.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(values.std(0), 1, atol=1e-4)


def test_without_adapt_the_wavelet_stays_as_it_was():
    model, layer = build()
    adapt_wavelets(model, FEATURES)
    scale, shift = layer.wavelets[0].parameters()
    assert (scale == 1).all() and (shift == 0).all()


def test_the_multiplier_scales_the_steps_of_adam():
    steps = []
    for multiplier in (1.0, 10.0):
        psi = Morlet(learning_rate_multiplier=multiplier)
        model = keras.Sequential([keras.Input((4,)), psi])
        before = ops.convert_to_numpy(model(FEATURES[:, 0, 0, :4]))
        exact = Morlet()(FEATURES[:, 0, 0, :4])
        np.testing.assert_allclose(before, exact, atol=1e-6)
        model.compile(keras.optimizers.Adam(1e-3), "mse")
        x = FEATURES[:, 0, 0, :4]
        model.fit(x, np.zeros_like(x), batch_size=64, epochs=1, verbose=0)
        scale, shift = psi.parameters()
        steps.append(np.abs([scale - 1, shift]))
    np.testing.assert_allclose(steps[1], 10 * steps[0], rtol=1e-2)


def test_options_are_saved(tmp_path):
    model, _ = build(normalize=True, learning_rate_multiplier=5.0)
    model(FEATURES, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(FEATURES), model(FEATURES))


@pytest.mark.parametrize(
    "options",
    [{"adapt": True, "normalize": True}, {"learning_rate_multiplier": 0.0}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        WaveletChannelAttention(**options)


def test_models_with_wse_have_the_options():
    model = kerafer.create_model("wse_mcnn", 3, (48, 48, 1), normalize=True)
    layer = model.get_layer("attention")
    assert len(layer.norms) == 1
    assert type(layer).from_config(layer.get_config()).normalize
