"""Wavelets as sums of clipped ramps, for integer arithmetic."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.layers.wavelets import WAVELETS

# ReLU6 is the one activation with two bounds that every runtime has.
TOP = 6.0
# Beyond the last knot the sum is constant; every wavelet is near 0 there.
_TAIL = 0.008
_FIT_STEPS = 40
# In theory 1/2 is best; rounding to 8 bits decides between its neighbours.
_POWERS = tuple(np.arange(0.40, 0.62, 0.02))


@dataclasses.dataclass(frozen=True, eq=False)
class Ramps:
    """A wavelet as a sum of clipped ramps.

        level = relu6(gain * t + 3)
        psi(t) = first + sum_k weights_k * relu6(slopes_k * level + offsets_k)

    This is a piecewise linear function between `knots`, computed by two 1x1
    convolutions with ReLU6, which every integer accelerator has. In 8 bits it
    differs from psi by at most 0.032 for any `t` with 16 ramps.

    Args:
        knots: Increasing values of `t`, shape `(ramps + 1,)`.
        values: psi at the knots, the same shape.
    """

    knots: np.ndarray
    values: np.ndarray

    @classmethod
    def of(
        cls, wavelet: str, center_frequency: float = 1.75, count: int = 16
    ) -> Ramps:
        """Fit ramps to a wavelet.

        Knots are dense where the wavelet bends, and lie within the range
        outside of which it has faded to 0.008. Values minimize the largest
        error, found by reweighted least squares (Lawson's algorithm).
        Of several densities the one with the smallest error in 8 bits counts.

        Args:
            wavelet, center_frequency: As in `kerafer.layers.Morlet`.
            count: Number of ramps. Default: 16.
        """
        return _fit(wavelet, float(center_frequency), count)

    @property
    def gain(self) -> float:
        """The factor that maps `t` between the outer knots to 0..6."""
        return TOP / float(self.knots[-1] - self.knots[0])

    @property
    def offset(self) -> float:
        """What is added to `gain * t`: 3 for symmetric knots."""
        return -self.gain * float(self.knots[0])

    @property
    def pins(self) -> np.ndarray:
        """Levels at which all tensors reach the ends of their ranges.

        A converter takes the range of each tensor from calibration images. If
        these levels are always present, no range depends on the images: not
        even where a channel never responds.
        """
        extremes = [self.values.argmax(), self.values.argmin()]
        levels = self.gain * self.knots[extremes] + self.offset
        return np.array([0.0, TOP, *levels], np.float32)

    def in_8_bits(self, t: np.ndarray) -> np.ndarray:
        """Simulate the integer arithmetic of an accelerator in NumPy."""
        levels = _rounded(self.gain * t + self.offset, 0.0, TOP)
        knots = self.gain * self.knots + self.offset
        hidden = _rounded(
            TOP / np.diff(knots) * (levels[:, None] - knots[:-1]), 0.0, TOP
        )
        weights = np.diff(self.values) / TOP
        step = np.abs(weights).max() / 127.0
        psi = hidden @ (np.round(weights / step) * step) + self.values[0]
        return _rounded(psi, self.values.min(), self.values.max())

    def __call__(self, levels: Any) -> Any:
        """Compute psi.

        Args:
            levels: `relu6(gain * t + offset)`, shape `(batch, ..., channels)`
                with known sizes behind the batch.
        """
        knots = self.gain * self.knots + self.offset
        slopes = TOP / np.diff(knots)
        weights = np.diff(self.values) / TOP
        sides = tuple(levels.shape[1:])
        count = int(np.prod(sides[:-1], dtype=int))
        x = ops.reshape(levels, (-1, count, sides[-1], 1))
        x = _convolve(x, slopes[None, :], -slopes * knots[:-1])
        x = _convolve(ops.relu6(x), weights[:, None], self.values[:1])
        return ops.reshape(x, (-1, *sides))


@functools.cache
def _fit(wavelet: str, center_frequency: float, count: int) -> Ramps:
    def psi(t: np.ndarray) -> np.ndarray:
        values = WAVELETS[wavelet](t.astype(np.float32), center_frequency)
        return np.asarray(ops.convert_to_numpy(values), np.float64)

    wide = np.linspace(-8.0, 8.0, 16_001)
    target = psi(wide)
    radius = np.abs(wide[np.abs(target) > _TAIL]).max()
    inner = np.linspace(-radius, radius, 2001)
    candidates = [
        _fit_between(inner, psi(inner), count, power) for power in _POWERS
    ]
    return min(
        candidates,
        key=lambda ramps: np.abs(ramps.in_8_bits(wide) - target).max(),
    )


def _fit_between(
    t: np.ndarray, target: np.ndarray, count: int, power: float
) -> Ramps:
    bend = np.abs(np.gradient(np.gradient(target, t), t))
    density = np.maximum(bend, 0.02 * bend.max()) ** power
    place = np.cumsum(density) - density[0]
    knots = np.interp(np.linspace(0.0, place[-1], count + 1), place, t)
    hats = np.stack(
        [np.interp(t, knots, unit) for unit in np.eye(count + 1)], axis=1
    )
    importance = np.ones(len(t))
    for _ in range(_FIT_STEPS):
        root = np.sqrt(importance)
        values = np.linalg.lstsq(hats * root[:, None], target * root)[0]
        error = np.abs(hats @ values - target)
        importance *= error / error.max() + 1e-3
        importance /= importance.mean()
    return Ramps(knots, values)


def _rounded(values: np.ndarray, low: float, high: float) -> np.ndarray:
    step = (high - low) / 255.0
    return np.round((np.clip(values, low, high) - low) / step) * step + low


def _convolve(x: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
    kernel = kernel[None, None].astype(np.float32)
    x = ops.conv(x, kernel, padding="valid", data_format="channels_last")
    return x + bias.astype(np.float32)


@contextlib.contextmanager
def constants_for_export(
    model: keras.Model, integer: bool = False
) -> Iterator[None]:
    """Let layers compute with constants while a model is traced for export.

    Converters do not fold everything that depends on weights alone. A layer
    with a method `set_export(form)` is called with `"float"` or `"integer"`,
    and with `None` afterwards.

    Args:
        model: Any Keras model, also a subclassed one.
        integer: Whether wavelets are computed as `Ramps`. Default: False.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if hasattr(layer, "set_export")
    ]
    try:
        for layer in layers:
            layer.set_export("integer" if integer else "float")
        yield
    finally:
        for layer in layers:
            layer.set_export(None)
