"""Scores of a few images, worked out by hand."""

import math

import numpy as np
import pytest

from kerafer.evaluation import (
    bootstrap_intervals,
    classify,
    expected_calibration_error,
    reliability,
)
from kerafer.evaluation.bootstrap import RESAMPLES


def test_a_class_that_nobody_has_and_nobody_says():
    labels = np.array([0, 0, 1, 1, 1])
    predicted = np.array([0, 1, 1, 1, 1])
    scores = classify(labels, np.eye(3)[predicted], ("a", "b", "c"))
    # F1 of a: 2 / 3; of b: 6 / 7.
    assert scores.macro["f1"] == pytest.approx((2 / 3 + 6 / 7) / 2)
    found = bootstrap_intervals(labels, predicted, 3, resamples=500)
    two = bootstrap_intervals(labels, predicted, 2, resamples=500)
    assert found == two


@pytest.mark.parametrize(
    ("labels", "predicted", "told"),
    [
        # Three of four are of a: naming it always is right on 75 %.
        ([0, 0, 0, 1], [0, 0, 0, 0], ["No image is of c", "learned nothing"]),
        ([0, 0, 0, 1], [1, 1, 0, 0], ["No image is of c", "learned nothing"]),
        ([0, 0, 0, 1], [0, 0, 0, 1], ["No image is of c"]),
        ([0, 0, 1, 2], [0, 0, 0, 2], []),
        ([0, 0, 1, 2], [0, 0, 0, 0], ["learned nothing"]),
        # Of one class alone nobody can learn anything.
        ([1, 1], [1, 1], ["No image is of a, c:"]),
        ([1, 1], [0, 2], ["No image is of a, c:"]),
    ],
)
def test_what_scores_do_not_show_is_told(labels, predicted, told):
    labels = np.array(labels)
    notes = classify(labels, np.eye(3)[predicted], ("a", "b", "c")).notes()
    assert len(notes) == len(told)
    assert all(word in note for word, note in zip(told, notes, strict=True))
    if notes and "learned" in notes[-1]:
        most = np.bincount(labels).max() / len(labels)
        assert "always predicting a would" in notes[-1]
        assert f"right on {most:.1%}" in notes[-1]
        right = (labels == np.array(predicted)).mean()
        assert f"right on {right:.1%}." in notes[-1]


def test_two_classes_have_a_log_loss():
    scores = classify(np.array([0, 1]), [[0.8, 0.2], [0.4, 0.6]], ("a", "b"))
    assert scores.log_loss == pytest.approx(
        -(math.log(0.8) + math.log(0.6)) / 2
    )


def test_a_class_of_a_single_image_is_left_out_where_it_is_not_drawn():
    labels = np.array([0] * 9 + [1])
    found = bootstrap_intervals(labels, labels, 2, resamples=500)
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert (found[name].low, found[name].high) == (1, 1)


def test_a_confidence_a_hair_above_1_and_a_single_bin():
    probabilities = np.array([[1.0000001, 0.0], [0.6, 0.4]])
    table = reliability([0, 1], probabilities)
    assert table["n_images"].sum() == 2 and table["n_images"].iloc[-1] == 1
    one = reliability([0, 1], probabilities, bins=1)
    assert one.to_dict("records") == [
        {
            "lower": 0.0,
            "upper": 1.0,
            "n_images": 2,
            "confidence": pytest.approx(0.8),
            "accuracy": 0.5,
        }
    ]
    error = expected_calibration_error([0, 1], probabilities, bins=1)
    assert error == pytest.approx(0.3)


def test_an_interval_is_of_2000_drawings_and_95_percent():
    labels = np.arange(60) % 2
    predicted = np.where(np.arange(60) % 3, labels, 1 - labels)
    told = bootstrap_intervals(labels, predicted, 2, None, 2000, 0.95)
    assert bootstrap_intervals(labels, predicted, 2) == told
    assert RESAMPLES == 2000
