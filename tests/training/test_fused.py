"""The faster kernels for Adam, BatchNorm and Dense train as Keras' do."""

import keras
import numpy as np
import pytest

from kerafer.models import create_model
from kerafer.training.fused import (
    FusedAdam,
    FusedNormalization,
    TransposedDense,
    with_fused_layers,
)


def trained(optimizer):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(16, 5)).astype("float32")
    y = generator.normal(size=(16, 2)).astype("float32")
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    model.compile(optimizer, "mse")
    model.fit(x, y, batch_size=4, epochs=5, shuffle=False, verbose=0)
    return np.concatenate([w.ravel() for w in model.get_weights()])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"use_ema": True, "ema_momentum": 0.9, "clipnorm": 0.5},
        {"amsgrad": True},
        {"epsilon": 1e-3, "beta_1": 0.5, "beta_2": 0.9},
    ],
    ids=lambda arguments: "-".join(arguments) or "plain",
)
def test_fused_adam_trains_as_keras_adam(arguments):
    ours = trained(FusedAdam(1e-2, **arguments))
    keras_own = trained(keras.optimizers.Adam(1e-2, **arguments))
    np.testing.assert_allclose(ours, keras_own, rtol=1e-5, atol=1e-6)


def test_with_decay_fused_adam_trains_as_keras_adamw():
    ours = trained(FusedAdam(1e-2, weight_decay=0.5))
    keras_own = trained(keras.optimizers.AdamW(1e-2, weight_decay=0.5))
    np.testing.assert_allclose(ours, keras_own, rtol=1e-5, atol=1e-6)
    # Else the comparison would not see the decay.
    assert np.abs(ours - trained(FusedAdam(1e-2))).max() > 1e-2


def small():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="conv")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.8, name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="dense")(x))


def fitted(fused, frozen=False, policy="float32"):
    generator = np.random.default_rng(0)
    x = generator.normal(1, 2, (12, 8, 8, 3)).astype("float32")
    y = generator.normal(size=(12, 2)).astype("float32")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(1)
        model = small()
    finally:
        keras.config.set_dtype_policy(before)
    model.get_layer("norm").trainable = not frozen
    trained = with_fused_layers(model) if fused else model
    assert (trained is model) != fused
    trained.compile(keras.optimizers.SGD(0.1), "mse")
    trained.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    return model, model.predict(x, verbose=0)


@pytest.mark.parametrize("frozen", [False, True])
def test_weights_after_training_are_those_of_keras(frozen):
    ours, our_answers = fitted(True, frozen)
    theirs, their_answers = fitted(False, frozen)
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(
            mine.numpy(), other.numpy(), rtol=2e-4, atol=2e-5, err_msg=mine.path
        )
    np.testing.assert_allclose(our_answers, their_answers, atol=1e-4)
    moved = ours.get_layer("norm").moving_variance.numpy()
    assert (abs(moved - 1) > 0.01).all() != frozen


def test_running_averages_are_those_of_numpy():
    layer = keras.layers.BatchNormalization(momentum=0.75)
    layer.build((None, 5, 4, 3))
    x = np.random.default_rng(2).normal(3, 2, (2, 5, 4, 3)).astype("float32")
    FusedNormalization(layer)(x, training=True)
    values = x.reshape(-1, 3)
    np.testing.assert_allclose(
        layer.moving_mean.numpy(), 0.25 * values.mean(0), rtol=1e-5
    )
    np.testing.assert_allclose(
        layer.moving_variance.numpy(), 0.75 + 0.25 * values.var(0), rtol=1e-5
    )


def test_bfloat16_keeps_float32_averages():
    model, answers = fitted(True, policy="mixed_bfloat16")
    assert model.get_layer("norm").moving_mean.dtype == "float32"
    _, exact = fitted(False)
    np.testing.assert_allclose(answers, exact, atol=0.15)


def test_layers_of_other_kinds_stay():
    model = create_model("cnn", 7, (64, 64, 3))
    twin = with_fused_layers(model)
    kinds = [type(layer).__name__ for layer in twin.layers]
    assert kinds.count("FusedNormalization") == 2
    # The two of 4,096 units; the head is small.
    assert kinds.count("TransposedDense") == 2
    assert twin.get_layer("conv_2") is model.get_layer("conv_2")
    assert {id(v) for v in twin.variables} == {id(v) for v in model.variables}
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert with_fused_layers(plain) is plain
    flat = keras.layers.BatchNormalization()
    flat.build((None, 4))
    assert not FusedNormalization.fits(flat)


def wide(activation="gelu", **dense):
    inputs = keras.Input((1024,))
    x = keras.layers.Dense(1024, activation, name="wide", **dense)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(x))


@pytest.mark.parametrize(
    "dense",
    [{}, {"use_bias": False, "activation": None}, {"kernel_regularizer": "l2"}],
)
def test_dense_trains_as_keras_does(dense):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(12, 1024)).astype("float32")
    y = generator.normal(size=(12, 2)).astype("float32")
    found = []
    for fused in (True, False):
        keras.utils.set_random_seed(1)
        model = wide(**dense)
        trained = with_fused_layers(model) if fused else model
        assert (trained is model) != fused
        trained.compile(keras.optimizers.SGD(0.01), "mse")
        history = trained.fit(x, y, 4, epochs=3, shuffle=False, verbose=0)
        found.append((history.history["loss"], *model.get_weights()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_gradients_of_a_dense_are_numpys():
    import tensorflow as tf

    generator = np.random.default_rng(3)
    x = generator.normal(size=(5, 1024)).astype("float32")
    upstream = generator.normal(size=(5, 1100)).astype("float32")
    layer = keras.layers.Dense(1100)
    layer.build(x.shape)
    assert TransposedDense.fits(layer)
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = TransposedDense(layer)(inputs, training=True)
    kernel = layer.kernel.value
    of_inputs, of_kernel, of_bias = tape.gradient(
        outputs, [inputs, kernel, layer.bias.value], upstream
    )
    for found, wanted in (
        (outputs, x @ kernel.numpy()),
        (of_inputs, upstream @ kernel.numpy().T),
        (of_kernel, x.T @ upstream),
        (of_bias, upstream.sum(0)),
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dense(8),
        keras.layers.Dense(1024, dtype="mixed_bfloat16"),
        keras.layers.Dense(1024, activity_regularizer="l2"),
    ],
)
def test_a_dense_that_gains_nothing_stays(layer):
    layer.build((None, 1024))
    assert not TransposedDense.fits(layer)


def test_a_dense_of_sequences_stays_keras():
    inputs = keras.Input((3, 1024))
    model = keras.Model(inputs, keras.layers.Dense(1024)(inputs))
    x = np.ones((2, 3, 1024), "float32")
    trained = with_fused_layers(model)
    np.testing.assert_array_equal(
        trained(x, training=True), model(x, training=True)
    )
