"""Calibration against SciPy, and of runs."""

import numpy as np
import pytest
from scipy.special import softmax

import kerafer
from kerafer.training.calibration import (
    divide_by_prior,
    divide_logits,
    find_temperature,
)

GENERATOR = np.random.default_rng(4)


@pytest.mark.parametrize("wrong_by", [0.5, 1.0, 3.0])
def test_the_temperature_is_what_a_model_is_wrong_by(wrong_by):
    generator = np.random.default_rng(8)
    logits = generator.normal(0, 2, (20_000, 4))
    truth = softmax(logits, axis=1).cumsum(axis=1)
    labels = (generator.random((20_000, 1)) > truth).sum(axis=1)
    said = softmax(logits * wrong_by, axis=1)
    targets = np.eye(4)[labels]
    found = find_temperature(targets, said)
    assert found == pytest.approx(wrong_by, rel=0.03)
    # A model that is sure, and wrong, of an image is no number's end.
    said[0] = np.eye(4)[(labels[0] + 1) % 4]
    assert np.isfinite(find_temperature(targets, said))


def test_the_temperature_of_votes_is_what_they_were_softened_by():
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 2, (400, 4))
    found = find_temperature(softmax(logits / 1.7, axis=1), softmax(logits, 1))
    assert found == pytest.approx(1.7, rel=1e-3)


def test_a_prior_is_divided_out_of_the_answers():
    model = kerafer.create_model("kerafer_edge", 3, (32, 32, 3), width=0.25)
    pictures = GENERATOR.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    before = model.predict(pictures, verbose=0)
    prior = np.array([0.7, 0.2, 0.1])
    divide_by_prior(model, prior, 0.4)
    wanted = before / prior**0.4
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        model.predict(pictures, verbose=0), wanted, atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "spread"), [("kerafer_edge", 0.02), ("ma_net", 50)]
)
def test_divided_logits_are_those_of_all_classifiers(name, spread):
    model = kerafer.create_model(name, 3, (32, 32, 3))
    pictures = GENERATOR.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    # Fresh classifiers hardly tell classes apart, or all too well.
    divide_logits(model, spread)
    # How far apart, depends on which weights a fresh model got.
    told = np.log(np.maximum(model.predict(pictures, verbose=0), 1e-30))
    divide_logits(model, float(told.std(axis=1).max()))
    before = model.predict(pictures, verbose=0)
    divide_logits(model, 2.5)
    after = model.predict(pictures, verbose=0)
    expected = softmax(np.log(before) / 2.5, axis=1)
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert np.abs(after - before).max() > 0.01
