"""Paired comparison of two models on the same images."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import binomtest

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
        both_right: Number of images that both classify correctly.
        only_first: Number that only the first classifies correctly.
        only_second: Number that only the second classifies correctly.
        both_wrong: Number that neither classifies correctly.
        p_value: Of McNemar's exact test: how likely `only_first` and
            `only_second` would differ as much if the models were equally good.
        difference: Accuracy of the first minus that of the second.
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
        """Whether p is below 0.05 and the interval does not contain 0."""
        has_zero = self.interval.low <= 0 <= self.interval.high
        return self.p_value < 0.05 and not has_zero

    def as_dict(self) -> dict[str, object]:
        """The same in plain numbers, lists and dictionaries."""
        return {
            **dataclasses.asdict(self),
            "interval": list(self.interval),
            "is_significant": self.is_significant,
        }

    def verdict(self, first: str, second: str, over: str) -> str:
        """Say in one sentence whether a model is better.

        Args:
            first: Name of the first model.
            second: Name of the second model.
            over: What the interval draws, `"people"` or `"images"`.
        """
        if self.only_first == self.only_second:
            return "Both models classify equally many images correctly."
        better = first if self.difference > 0 else second
        if self.is_significant:
            return f"{better} is better, by more than chance explains."
        other = (
            f": with other {over} it could be the other way round"
            if self.p_value < 0.05
            else ""
        )
        return (
            f"{better} classifies more of these images correctly, but the "
            f"difference may be chance{other}."
        )


def compare(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Comparison:
    """Compare the predictions of two models on the same images.

    McNemar's test (Psychometrika 12, 1947) in its exact form is two-sided
    and assumes independent images. The interval draws whole groups, the same
    for both models, so it also holds if one person is on several images.

    Args:
        labels: Class index of every image, of shape `(images,)`.
        first: Class that the first model predicts, of the same shape.
        second: Class that the second model predicts, of the same shape.
        groups: Who is on each image. Default: a group for each image.
        resamples: Number of draws. Default: 2,000.
        confidence: Fraction of the results in the interval. Default: 0.95.
        seed: Of the draws. Default: 0.

    Raises:
        UserError: For fewer than two groups.
    """
    one, two = np.equal(first, labels), np.equal(second, labels)
    counts = np.stack([one, two, np.ones_like(one)], axis=1)
    right, other, total = resampled_sums(counts, groups, resamples, seed).T
    only_first, only_second = int((one & ~two).sum()), int((~one & two).sum())
    differing = only_first + only_second
    return Comparison(
        both_right=int((one & two).sum()),
        only_first=only_first,
        only_second=only_second,
        both_wrong=int((~one & ~two).sum()),
        p_value=float(binomtest(only_first, differing).pvalue)
        if differing
        else 1.0,
        difference=(only_first - only_second) / len(one),
        interval=percentile_interval((right - other) / total, confidence),
    )
