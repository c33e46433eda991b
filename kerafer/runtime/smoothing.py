"""Answers that do not flicker."""

from __future__ import annotations

import numpy as np

from kerafer.errors import UserError


class Smoothing:
    """A mean over time in which what is older counts less.

    With `weight = 1 - 2^(-1 / half_life)`, every call moves the mean by
    `weight` of the way to what came. The first call is returned as it is.

    Args:
        half_life: After so many calls a value counts half. 0 smooths nothing.
    """

    def __init__(self, half_life: float) -> None:
        if not half_life >= 0:
            raise UserError(
                f"half_life must be 0 or more frames. Received: {half_life}."
            )
        self._weight = 1 - 2 ** (-1 / half_life) if half_life else 1.0
        self._mean: np.ndarray | None = None

    def update(self, values: np.ndarray) -> np.ndarray:
        """Take in new values and return the mean, of the same shape."""
        if self._mean is None:
            self._mean = np.array(values, np.float32)
        else:
            self._mean += self._weight * (values - self._mean)
        return self._mean.copy()
