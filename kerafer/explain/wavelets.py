"""What the wavelets of the attention layers learned."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
import pywt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerafer.errors import UserError
from kerafer.figures import save_figure
from kerafer.layers import Morlet, WaveletChannelAttention
from kerafer.layers.morlet import SMALLEST_SCALE

# What the gates' wavelets start with.
START_SCALE = 1.0
START_SHIFT = 0.0

# PyWavelets reads the frequency off a grid of 1 / width. Its own width of 16
# would make 0.25 of 0.2785.
_HALF_WIDTH = 2000.0
_PRECISION = 18

_LEARNED = "#1f77b4"


def find_gates(model: keras.Model) -> list[WaveletChannelAttention]:
    """The wavelet attention layers of a model, those of inner models too.

    Raises:
        UserError: Where there is none.
    """
    gates = list(_walk(model))
    if not gates:
        raise UserError(
            f"The model {model.name} has no wavelets: they are in the wavelet "
            "attention layers of the models named wca_... and wse_..."
        )
    return gates


def _walk(layer: keras.layers.Layer) -> Iterator[WaveletChannelAttention]:
    for inner in getattr(layer, "layers", ()):
        if isinstance(inner, WaveletChannelAttention):
            yield inner
        else:
            yield from _walk(inner)


def wavelet_table(model: keras.Model) -> pd.DataFrame:
    """List the wavelets of a model's attention layers.

    Args:
        model: With wavelet attention layers.

    Returns:
        One row a wavelet: `layer`, `wavelet` (the name within the layer),
        `index`; the trained `scale` a and `shift` b, `start_scale` and
        `start_shift`, `scale_change` and `shift_change`; and `frequency`, the
        centre frequency in cycles per unit of the wavelet's input, with
        `start_frequency`. The frequency is PyWavelets' `scale2frequency` of
        the size of the scale; scales nearer to 0 than 0.01 count as 0.01, as
        they do in `kerafer.layers.Morlet`. For the Morlet wavelet that is
        `center_frequency / (2 pi |a|)`.

    Raises:
        UserError: For a model without wavelets.
    """
    tables = []
    for gate in find_gates(model):
        for wavelet in gate.wavelets:
            scale, shift = _parameters(wavelet)
            unit = _unit_frequency(wavelet.wavelet, wavelet.center_frequency)
            used = np.maximum(np.abs(scale), SMALLEST_SCALE)
            tables.append(
                pd.DataFrame(
                    {
                        "layer": gate.name,
                        "wavelet": wavelet.name,
                        "index": np.arange(len(scale)),
                        "scale": scale,
                        "shift": shift,
                        "start_scale": START_SCALE,
                        "start_shift": START_SHIFT,
                        "scale_change": scale - START_SCALE,
                        "shift_change": shift - START_SHIFT,
                        "frequency": unit / used,
                        "start_frequency": unit / START_SCALE,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def plot_wavelets(model: keras.Model, file: str | os.PathLike) -> None:
    """Draw every trained wavelet over the one that all started as.

    Args:
        model: With wavelet attention layers; each of their sets of wavelets
            gets a row: the curves, their difference from the start, and how
            a and b are spread.
        file: A .png to write.

    Raises:
        UserError: For a model without wavelets.
    """
    found = [
        (f"{gate.name}, {wavelet.name}", wavelet)
        for gate in find_gates(model)
        for wavelet in gate.wavelets
    ]
    figure = Figure(figsize=(13, 3.4 * len(found)), layout="constrained")
    grid = figure.subplots(
        len(found), 4, squeeze=False, width_ratios=[3, 3, 2, 2]
    )
    for row, (name, wavelet) in zip(grid, found, strict=True):
        scale, shift = _parameters(wavelet)
        _draw_curves(row[0], row[1], wavelet, name)
        _draw_spread(row[2], scale, START_SCALE, "scale a")
        _draw_spread(row[3], shift, START_SHIFT, "shift b")
        for axes in row:
            axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, file)


def _draw_curves(axes: Axes, changes: Axes, wavelet: Morlet, name: str) -> None:
    count = len(_parameters(wavelet)[0])
    x = np.linspace(-4.0, 4.0, 801, dtype=np.float32)
    first = Morlet(
        center_frequency=wavelet.center_frequency, wavelet=wavelet.wavelet
    )
    # The layers themselves draw their curves: one column a wavelet.
    start, trained = _values(first, x, 1), _values(wavelet, x, count)
    thin: dict[str, Any] = {"color": _LEARNED, "alpha": 0.5, "linewidth": 0.8}
    bold: dict[str, Any] = {"color": "black", "linewidth": 2}
    axes.plot(x, start, label="start", **bold)
    axes.plot(x, trained, **thin)
    axes.plot([], [], color=_LEARNED, label=f"{count} trained")
    axes.set(title=name, xlabel="input x", ylabel="psi(x)")
    axes.title.set_fontsize(10)
    axes.legend(frameon=False, loc="upper right")
    changes.plot(x, 0 * x, **bold)
    changes.plot(x, trained - start, **thin)
    changes.set(xlabel="input x", ylabel="psi(x), trained less start")


def _draw_spread(
    axes: Axes, values: np.ndarray, start: float, name: str
) -> None:
    change = values - start
    axes.hist(change, bins=20, color=_LEARNED)
    axes.axvline(0, color="black", linewidth=2)
    axes.set(
        title=f"{change.min():+.2g} to {change.max():+.2g}",
        xlabel=f"{name}, change from {start:g}",
        ylabel="wavelets",
    )
    # Powers of ten beside the axis would lie on its label.
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.2g}")
    axes.locator_params(axis="x", nbins=3)
    axes.title.set_fontsize(10)
    axes.locator_params(axis="y", integer=True)


def _values(wavelet: Morlet, x: np.ndarray, count: int) -> np.ndarray:
    inputs = np.repeat(x[:, None], count, axis=1)
    return keras.ops.convert_to_numpy(wavelet(inputs))


def _parameters(wavelet: Morlet) -> tuple[np.ndarray, np.ndarray]:
    """a and b, of shape `(wavelets,)`."""
    return tuple(
        keras.ops.convert_to_numpy(weight).astype(np.float64).reshape(-1)
        for weight in (wavelet.scale, wavelet.shift)
    )


@functools.cache
def _unit_frequency(wavelet: str, center_frequency: float) -> float:
    """Centre frequency at scale 1, cycles per unit."""
    name = wavelet
    if wavelet == "morlet":
        # The complex wavelet whose real part is ours.
        name = f"cmor2.0-{center_frequency / (2 * math.pi)!r}"
    curve = pywt.ContinuousWavelet(name)
    curve.lower_bound, curve.upper_bound = -_HALF_WIDTH, _HALF_WIDTH
    return float(pywt.scale2frequency(curve, 1.0, precision=_PRECISION))
