"""How many people a model is worth: panels of annotators against others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import comb

from kerafer.evaluation.bootstrap import percentile_interval, resampled_sums


def panel_curve(votes: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Compare panels of annotators, and a model, with the other annotators.

    For each size, every choice of a panel is considered. The panel's answer is
    its most frequent vote; the reference is the most frequent vote of the
    others. The model is compared with the same references. If several classes
    are equally frequent, one of them is drawn.

    Args:
        votes: Number of votes for each class, of shape `(images, classes)`.
            Images with fewer votes than the others are left out.
        predicted: Column of the class that the model predicts, one an image.

    Returns:
        One row for each number of `people`, from 1 to all but one: how often
        the `panel` and the `model` agree with the others, 0 to 1, and
        `panel_low`, `panel_high`, `model_low` and `model_high`, the ends of
        bootstrap intervals over images.
    """
    totals = votes.sum(axis=1).astype(int)
    people = int(np.bincount(totals).argmax())
    votes, predicted = votes[totals == people], predicted[totals == people]
    kinds, kind = np.unique(votes.astype(int), axis=0, return_inverse=True)
    found = [_agreement(counts) for counts in kinds]
    panel = np.array([row for row, _ in found])[kind]
    others = np.array([table for _, table in found])[kind]
    model = others[np.arange(len(votes)), :, predicted]
    scores = np.concatenate([panel, model], axis=1)
    sums = resampled_sums(scores.round(9)) / len(votes)
    ends = np.array([percentile_interval(column) for column in sums.T])
    size = people - 1
    return pd.DataFrame(
        {
            "people": range(1, people),
            "panel": panel.mean(axis=0),
            "panel_low": ends[:size, 0],
            "panel_high": ends[:size, 1],
            "model": model.mean(axis=0),
            "model_low": ends[size:, 0],
            "model_high": ends[size:, 1],
        }
    )


def describe_panel(curve: Sequence[Mapping[str, float]]) -> str:
    """Say in one sentence how large a panel is as good as the model.

    Args:
        curve: The rows of `panel_curve`.
    """
    start = "The model agrees with the annotators"
    worse = [row["people"] for row in curve if row["panel"] < row["model"]]
    if not worse:
        return f"{start} less often than one of them does with the others."
    most = worse[-1]
    if most == len(curve):
        return f"{start} more often than a panel of {most} people."
    return f"{start} as well as a panel of {most} to {most + 1} people."


def _agreement(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Consider all panels that can be chosen from the votes on one image.

    Returns:
        By the size of the panel, how probable it is that it agrees with the
        others, and how probable each class is as the others' answer.
    """
    people = int(counts.sum())
    grids = np.meshgrid(*(np.arange(n + 1) for n in counts), indexing="ij")
    panels = np.stack([grid.ravel() for grid in grids], axis=1)
    sizes = panels.sum(axis=1)
    inside = (sizes > 0) & (sizes < people)
    panels, sizes = panels[inside], sizes[inside]
    weights = np.prod(comb(counts, panels), axis=1) / comb(people, sizes)
    answers, others = _most_frequent(panels), _most_frequent(counts - panels)
    agreed = np.bincount(
        sizes, weights * (answers * others).sum(axis=1), minlength=people
    )
    references = np.zeros((people, len(counts)))
    np.add.at(references, sizes, weights[:, None] * others)
    return agreed[1:], references[1:]


def _most_frequent(votes: np.ndarray) -> np.ndarray:
    """The probability of every class to be the answer, equal ones drawn."""
    first = votes == votes.max(axis=1, keepdims=True)
    return first / first.sum(axis=1, keepdims=True)
