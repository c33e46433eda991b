"""How much a share of few pictures may mislead."""

from __future__ import annotations

import math
from statistics import NormalDist

from kerafer.errors import UserError
from kerafer.evaluation.bootstrap import CONFIDENCE, Interval


def wilson_interval(
    right: int, total: int, confidence: float = CONFIDENCE
) -> Interval:
    """The score interval of a share of independent trials.

    It stays within 0 and 1, and is no single point where all or none are
    right, as the bootstrap's is. Source: Wilson, "Probable Inference, the Law
    of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22, 1927.

    Args:
        right: How many trials came out well.
        total: How many there were, at least 1.
        confidence: Part of such intervals that hold the true share. Defaults
            to 0.95.

    Raises:
        UserError: Without a trial, or where `right` is not 0 to `total`.

    Example:
        >>> wilson_interval(8, 10)
        Interval(low=0.490..., high=0.943...)
    """
    if not 0 <= right <= total or total < 1:
        raise UserError(
            "A share is of at least 1 picture, of which 0 to all are right. "
            f"Received: {right} of {total}."
        )
    share = right / total
    square = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    centre = share + square / (2 * total)
    spread = math.sqrt(
        square * (share * (1 - share) + square / (4 * total)) / total
    )
    low, high = (
        (centre + side * spread) / (1 + square / total) for side in (-1, 1)
    )
    return Interval(max(0.0, low), min(1.0, high))
