"""The losses of the methods that the article compares with."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import rel_entr, softmax

from kerafer.models.losses import ClassPairDivergence, head_diversity

# Class 2 has one image and no pair.
CLASSES = np.array([0, 1, 0, 2, 1, 0])
LABELS = np.eye(4, dtype="float32")[CLASSES]
EMBEDDINGS = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def mean_divergence(classes, embeddings):
    """Pair by pair, in both orders."""
    shares = softmax(embeddings.astype("float64"), axis=-1)
    divergences = [
        rel_entr(shares[i], shares[j]).sum()
        for i, j in itertools.permutations(range(len(classes)), 2)
        if classes[i] == classes[j]
    ]
    return np.mean(divergences)


def loss_and_gradient(loss, values, *before):
    values = tf.nest.map_structure(tf.convert_to_tensor, values)
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = loss(*before, values)
    assert result.shape == ()
    assert result.dtype == "float32"
    return float(result), tape.gradient(result, values)


def test_pairs_of_one_class_diverge_as_scipy_says():
    expected = mean_divergence(CLASSES, EMBEDDINGS)
    # 3 x 2 ordered pairs of class 0, 2 of class 1.
    assert expected > 0.1
    got = float(ClassPairDivergence()(LABELS, EMBEDDINGS))
    assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [1, 4])
def test_without_a_pair_it_is_zero_and_flat(count):
    got, gradient = loss_and_gradient(
        ClassPairDivergence(), EMBEDDINGS[:count], np.eye(4)[:count]
    )
    assert got == 0
    np.testing.assert_array_equal(gradient, np.zeros((count, 5)))


def test_its_gradient_is_the_slope():
    loss = ClassPairDivergence()
    _, gradient = loss_and_gradient(loss, EMBEDDINGS, LABELS)
    step = 1e-5
    for place in np.ndindex(EMBEDDINGS.shape):
        moved = np.zeros(EMBEDDINGS.shape)
        moved[place] = step
        up, down = (
            mean_divergence(CLASSES, EMBEDDINGS + sign * moved)
            for sign in (1, -1)
        )
        slope = (up - down) / (2 * step)
        assert float(gradient[place]) == pytest.approx(slope, abs=1e-4)
    # An image without a pair has no part in it.
    assert not np.any(gradient[3])


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_is_widened_first(kind):
    half = tf.cast(EMBEDDINGS, kind)
    keras.config.set_dtype_policy(f"mixed_{kind}")
    got, gradient = loss_and_gradient(ClassPairDivergence(), half, LABELS)
    wide = np.array(tf.cast(half, "float32"))
    assert got == pytest.approx(mean_divergence(CLASSES, wide), rel=1e-5)
    assert gradient.dtype == kind


def test_keras_trains_and_saves_with_it(tmp_path):
    inputs = keras.Input((5,))
    embedding = keras.layers.Dense(5, name="embedding")
    outputs = embedding(inputs)
    model = keras.Model(
        inputs, [keras.layers.Dense(4, activation="softmax")(outputs), outputs]
    )
    embedding.set_weights([np.eye(5), np.zeros(5)])
    model.compile(
        keras.optimizers.SGD(0.1),
        ["categorical_crossentropy", ClassPairDivergence()],
        loss_weights=[0.3, 0.7],
    )
    probabilities = model.predict(EMBEDDINGS, verbose=0)[0]
    entropy = -np.log(np.sum(probabilities * LABELS, axis=1)).mean()
    expected = 0.3 * entropy + 0.7 * mean_divergence(CLASSES, EMBEDDINGS)
    got = model.evaluate(
        EMBEDDINGS, [LABELS, LABELS], verbose=0, return_dict=True
    )["loss"]
    assert got == pytest.approx(expected, rel=1e-4)
    model.fit(EMBEDDINGS, [LABELS, LABELS], epochs=30, verbose=0)
    assert mean_divergence(CLASSES, model.predict(EMBEDDINGS, verbose=0)[1]) < (
        0.5 * mean_divergence(CLASSES, EMBEDDINGS)
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.loss[1], ClassPairDivergence)


def constant_maps(*values):
    return [np.full((2, 3, 4, 5), value, "float32") for value in values]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 0.5), 1 / 0.25),
        ((1.0, 0.8), 1 / 0.04),
        # The three pairs are 1, 3 and 2 apart.
        ((0.0, 1.0, 3.0), 3 / (1 + 9 + 4)),
        ((1.0, 1.0, 0.0), 3 / 2),
    ],
)
def test_heads_apart_by_hand(values, expected):
    got = float(head_diversity(constant_maps(*values)))
    assert got == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_equal_heads_give_one_by_epsilon_and_no_slope(epsilon):
    for count in (2, 3):
        got, gradients = loss_and_gradient(
            lambda maps: head_diversity(maps, epsilon),
            constant_maps(*[0.3] * count),
        )
        assert got == pytest.approx(1 / epsilon, rel=1e-5)
        for gradient in gradients:
            np.testing.assert_array_equal(gradient, np.zeros((2, 3, 4, 5)))


def test_the_gradient_pushes_heads_apart():
    _, (low, high) = loss_and_gradient(head_diversity, constant_maps(0.2, 0.7))
    # d/da of 1 / (a - b)^2 is -2 / (a - b)^3, shared by 120 numbers.
    np.testing.assert_allclose(low, np.full(low.shape, 16 / 120), rtol=1e-3)
    np.testing.assert_allclose(high, -low, rtol=1e-5)
