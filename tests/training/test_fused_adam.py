"""The one-kernel Adam gives Keras' numbers."""

import keras
import numpy as np
import pytest

from kerafer.training.fused import FusedAdam


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


def test_fused_adam_runs_the_kernel():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    model.compile(FusedAdam(1e-2), "mse")
    model.make_train_function()
    import tensorflow as tf

    @tf.function
    def step(x, y):
        return model.train_step((x, y))

    graph = step.get_concrete_function(tf.zeros((4, 5)), tf.zeros((4, 2))).graph
    kinds = [
        node.op
        for function in graph.as_graph_def().library.function
        for node in function.node_def
    ] + [node.op for node in graph.as_graph_def().node]
    assert "ResourceApplyAdam" in kinds
