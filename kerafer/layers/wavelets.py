"""Mother wavelets as functions of `t`, in Keras ops.

Each is PyWavelets' of the same family (`morl`, `mexh`, `gaus1`, `gaus2`), value
for value; Morlet with a centre frequency of the caller's choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops


def morlet(t: Any, center_frequency: float) -> Any:
    """`cos(center_frequency * t) * exp(-t^2 / 2)`, real Morlet."""
    return ops.cos(center_frequency * t) * _gaussian(t)


def mexican_hat(t: Any, center_frequency: float) -> Any:
    """`2 / (sqrt(3) * pi^(1/4)) * (1 - t^2) * exp(-t^2 / 2)`."""
    norm = 2.0 / (math.sqrt(3.0) * math.pi**0.25)
    return norm * (1.0 - ops.square(t)) * _gaussian(t)


def first_gaussian(t: Any, center_frequency: float) -> Any:
    """First derivative of `exp(-t^2)`, of unit energy."""
    norm = (math.pi / 2.0) ** 0.25
    return -2.0 / norm * t * ops.exp(-ops.square(t))


def second_gaussian(t: Any, center_frequency: float) -> Any:
    """Second derivative of `exp(-t^2)`, of unit energy, peak upwards."""
    norm = math.sqrt(3.0) * (math.pi / 2.0) ** 0.25
    square = ops.square(t)
    return -2.0 / norm * (2.0 * square - 1.0) * ops.exp(-square)


def _gaussian(t: Any) -> Any:
    return ops.exp(-0.5 * ops.square(t))


WAVELETS: dict[str, Callable[[Any, float], Any]] = {
    "morlet": morlet,
    "mexh": mexican_hat,
    "gaus1": first_gaussian,
    "gaus2": second_gaussian,
}
