"""Whether one of two models is better, or was only lucky."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import binomtest

from kerafer.errors import UserError
from kerafer.evaluation.bootstrap import (
    CONFIDENCE,
    RESAMPLES,
    Interval,
    percentile_interval,
    resampled_sums,
)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models on the same images.

    Args:
        both_right: Images that both recognise.
        only_first: Images that only the first recognises.
        only_second: Images that only the second recognises.
        both_wrong: Images that none recognises.
        p_value: Of McNemar's exact test: how likely `only_first` and
            `only_second` would differ as much if the models were as good.
        difference: Accuracy of the first less that of the second.
        interval: Bootstrap interval of the difference.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p_value: float
    difference: float
    interval: Interval

    @property
    def is_significant(self) -> bool:
        """Whether McNemar's test is below 0.05 and the interval without 0."""
        return self.p_value < 0.05 and not self.interval_has_zero

    @property
    def interval_has_zero(self) -> bool:
        """Whether the interval leaves open which model is better."""
        return self.interval.low <= 0 <= self.interval.high

    def as_dict(self) -> dict[str, object]:
        """The same in plain numbers, lists and dictionaries."""
        return {
            **dataclasses.asdict(self),
            "interval": list(self.interval),
            "is_significant": self.is_significant,
        }


def compare(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Comparison:
    """Compare what two models take the same images for.

    McNemar's test (Psychometrika 12, 1947) in its exact form is two-sided
    and takes the images for independent of each other. The interval draws
    whole groups, the same for both models, so that it holds where one person
    is on several images too.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        first: Likewise, what the first model takes it for.
        second: Likewise, what the second model takes it for.
        groups: Who is on each image. Defaults to a group for each image.
        resamples: How often to draw. Defaults to 2,000.
        confidence: Part of the results in the interval. Defaults to 0.95.
        seed: Fixes what is drawn. Defaults to 0.

    Raises:
        UserError: Where the arrays do not belong together, or with fewer than
            two groups.
    """
    labels, first, second = map(np.asarray, (labels, first, second))
    if labels.ndim != 1 or not labels.shape == first.shape == second.shape:
        raise UserError(
            "labels, first and second have the shape (images,). Received: "
            f"{labels.shape}, {first.shape} and {second.shape}."
        )
    one, two = first == labels, second == labels
    only_first, only_second = int((one & ~two).sum()), int((~one & two).sum())
    counts = np.stack([one, two, np.ones_like(one)], axis=1)
    right, other, total = resampled_sums(counts, groups, resamples, seed).T
    differing = only_first + only_second
    return Comparison(
        both_right=int((one & two).sum()),
        only_first=only_first,
        only_second=only_second,
        both_wrong=int((~one & ~two).sum()),
        p_value=float(binomtest(only_first, differing).pvalue)
        if differing
        else 1.0,
        difference=(only_first - only_second) / len(labels),
        interval=percentile_interval((right - other) / total, confidence),
    )
