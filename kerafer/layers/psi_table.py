"""The wavelet for hardware that has no floating point: a table."""

from __future__ import annotations

import dataclasses

import numpy as np
from keras import ops

from kerafer.layers.wavelets import WAVELETS


@dataclasses.dataclass(frozen=True)
class PsiTable:
    """A wavelet of an 8-bit number, looked up.

    The scale `a` and the shift `b` that were trained are part of the dense
    layer before, whose result is `t = (x - b) / a`. It is made to give
    `u = relu6(0.75 t + 3)` instead, so that the 256 levels of its 8 bits cover
    `t` from -4 to 4, where every wavelet of the family has faded out; the
    table holds psi at these levels. Nothing in it depends on the training, and
    it serves any wavelet. What is lost is the rounding of `t` and of psi to 8
    bits.

    Args:
        wavelet, center_frequency: As in `kerafer.layers.Morlet`.
    """

    wavelet: str
    center_frequency: float

    # ReLU6 is the one activation with two bounds that every runtime has.
    GAIN = 0.75
    SHIFT = 3.0
    STEP = 6.0 / 255.0

    @classmethod
    def spread(
        cls, kernel: np.ndarray, bias: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Kernel and bias that give `0.75 t + 3` in place of `t`."""
        return kernel * cls.GAIN, bias * cls.GAIN + cls.SHIFT

    def psi(self, t: np.ndarray) -> np.ndarray:
        """The wavelet itself, in float32."""
        t = np.asarray(t, np.float32)
        values = WAVELETS[self.wavelet](t, self.center_frequency)
        return np.asarray(ops.convert_to_numpy(values))

    def values(self) -> np.ndarray:
        """psi at the 256 levels."""
        return self.psi((np.arange(256) * self.STEP - self.SHIFT) / self.GAIN)

    def quantized(self) -> tuple[np.ndarray, float, int]:
        """The table in 8 bits.

        Returns:
            int8 levels, their scale and their zero point: psi is about
            `(level - zero) * scale`.
        """
        values = self.values().astype(np.float64)
        scale = (values.max() - values.min()) / 255.0
        zero = round(-128 - values.min() / scale)
        levels = np.clip(np.round(values / scale) + zero, -128, 127)
        return levels.astype(np.int8), float(scale), zero

    def largest_error(self) -> float:
        """The largest difference between table and psi, for any `t` at all.

        The search runs from -8 to 8; further out both are as good as 0.
        """
        levels, scale, zero = self.quantized()
        t = np.linspace(-8.0, 8.0, 160_001)
        u = np.clip(t * self.GAIN + self.SHIFT, 0.0, 6.0)
        index = np.round(u / self.STEP).astype(int)
        table = (levels.astype(np.float64) - zero) * scale
        return float(np.abs(table[index] - self.psi(t)).max())
