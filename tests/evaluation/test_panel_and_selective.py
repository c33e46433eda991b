"""Panels of annotators, and answers above a threshold, by hand."""

import numpy as np
import pytest

from kerafer.evaluation.panel import describe_panel, panel_curve
from kerafer.evaluation.selective import (
    fit_min_scores,
    risk_coverage,
    select,
)

NAMES = ("a", "b")


def test_panels_of_three_annotators_by_hand():
    # Two say a and one says b; the model says a.
    curve = panel_curve(np.array([[2, 1]] * 2), np.array([0, 0]))
    assert curve["people"].tolist() == [1, 2]
    # One for a leaves a tie (2 of 3 cases), the one for b leaves a and a.
    assert curve["panel"].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert curve["model"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert curve["panel_low"].tolist() == pytest.approx([1 / 3, 1 / 3])


def test_panels_agree_as_often_as_drawn_ones():
    generator = np.random.default_rng(0)
    votes = generator.multinomial(7, [0.5, 0.3, 0.2], 40)
    predicted = generator.integers(0, 3, 40)
    curve = panel_curve(votes, predicted)
    people = np.array([np.repeat(range(3), counts) for counts in votes])
    agreed, right = np.zeros((2, 6))
    draws = 3000

    def answer(said):
        counts = np.apply_along_axis(np.bincount, 1, said, minlength=3)
        return (counts + generator.random(counts.shape) / 2).argmax(axis=1)

    for _ in range(draws):
        drawn = generator.permuted(people, axis=1)
        for size in range(1, 7):
            others = answer(drawn[:, size:])
            agreed[size - 1] += (answer(drawn[:, :size]) == others).mean()
            right[size - 1] += (predicted == others).mean()
    np.testing.assert_allclose(curve["panel"], agreed / draws, atol=0.01)
    np.testing.assert_allclose(curve["model"], right / draws, atol=0.01)
    low, high = curve["model_low"], curve["model_high"]
    assert (low < curve["model"]).all() and (curve["model"] < high).all()


def test_images_with_fewer_votes_are_left_out():
    votes = np.array([[3, 0], [3, 0], [1, 0], [2, 1]])
    whole = panel_curve(votes, np.array([0, 0, 1, 0]))
    rest = panel_curve(votes[[0, 1, 3]], np.array([0, 0, 0]))
    assert whole.equals(rest)


@pytest.mark.parametrize(
    ("panel", "told"),
    [
        ([0.7, 0.8, 0.9], "3 to 4"),
        ([0.7, 0.7, 0.95], "less often"),
        ([0.7, 0.7, 0.75], "more often than a panel of 3"),
    ],
)
def test_the_panel_that_is_as_good_is_named(panel, told):
    model = {"3 to 4": [0.85, 0.9, 0.91, 0.8], "less often": [0.1] * 3}
    model = model.get(told, [0.8] * 3)
    panel = [*panel, 0.99][: len(model)]
    rows = [
        {"people": size, "panel": one, "model": other}
        for size, (one, other) in enumerate(zip(panel, model, strict=True), 1)
    ]
    assert told in describe_panel(rows)


def sure_of(scores, predicted=0):
    scores = np.asarray(scores, float)
    columns = [scores, 1 - scores]
    return np.stack(columns[:: 1 - 2 * predicted], axis=1)


def test_the_most_probable_images_are_answered_first():
    labels = np.array([0, 0, 1, 0])
    table = risk_coverage(labels, sure_of([0.9, 0.8, 0.7, 0.6]), steps=4)
    assert table["coverage"].tolist() == [0.25, 0.5, 0.75, 1]
    assert table["min_score"].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert table["accuracy"].tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4])


def test_a_threshold_is_the_lowest_that_reaches_the_accuracy():
    # Class a: 10 right at 0.9, then 5 wrong at 0.8: 10 of 15.
    first = sure_of([0.9] * 10 + [0.8] * 5)
    # Class b: 12 right at 0.7, 3 wrong at 0.6: 12 of 15.
    second = sure_of([0.7] * 12 + [0.6] * 3, predicted=1)
    probabilities = np.concatenate([first, second])
    labels = np.r_[[0] * 10, [1] * 5, [1] * 12, [0] * 3]
    found = fit_min_scores(labels, probabilities, 0.75)
    assert found.tolist() == pytest.approx([0.9, 0.6])
    found = fit_min_scores(labels, probabilities, 0.9)
    assert found.tolist() == pytest.approx([0.9, 0.7])
    # Too few of b alone: the threshold of all classes together counts.
    few = np.r_[0:15, 15:18]
    found = fit_min_scores(labels[few], probabilities[few], 0.9)
    assert found.tolist() == pytest.approx([0.9, 0.9])
    never = fit_min_scores(1 - labels[:10], first[:10], 0.9)
    assert (never > 1).all()


def test_thresholds_are_tested_on_other_images():
    labels = np.r_[[0] * 10, [1] * 5, [1] * 12, [0] * 3]
    scores = sure_of([0.9] * 10 + [0.8] * 5)
    fitted = (labels[:15], scores)
    tested = (
        np.array([0, 1, 0, 1]),
        sure_of([0.95, 0.9, 0.85, 0.2]),
    )
    found = select(fitted, tested, NAMES, 0.95)
    assert found.min_scores["a"] == pytest.approx(0.9)
    # Of a two are answered, one rightly; b takes the general threshold.
    assert (found.coverage, found.accuracy) == (0.5, 0.5)
    assert (found.fitted_on, found.n_images) == (15, 4)
    assert "50.0% correct" in found.describe()
    nobody = select((1 - labels[:10], scores[:10]), tested, NAMES, 0.95)
    assert (nobody.coverage, nobody.accuracy) == (0.0, None)
    assert "no image" in nobody.describe()
