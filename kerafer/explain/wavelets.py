"""List and draw the trained wavelets of attention layers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerafer.errors import UserError
from kerafer.figures import save_figure
from kerafer.layers import Morlet, WaveletChannelAttention
from kerafer.layers.morlet import SMALLEST_SCALE

# Angular frequency of each wavelet's spectral peak at scale 1. The names are
# PyWavelets'; a Morlet wavelet has its own centre frequency.
_PEAKS = {"mexh": math.sqrt(2), "gaus1": math.sqrt(2), "gaus2": 2.0}


def wavelet_table(model: keras.Model) -> pd.DataFrame:
    """List the wavelets of a model's attention layers.

    Args:
        model: A model with wavelet attention layers.

    Returns:
        One row per wavelet: `layer`, `wavelet` (the name in the layer),
        `index`, the trained `scale` a (1 at the start) and `shift` b (0 at the
        start), and the pseudo-frequency `frequency` in cycles per unit of the
        wavelet's input, with `start_frequency`. It is `f / (2 pi |a|)`, with
        f the angular centre frequency. Scales below 0.01 count as 0.01, as
        in `kerafer.layers.Morlet`.

    Raises:
        UserError: If the model has no wavelets.
    """
    tables = []
    for layer, wavelet in _find_wavelets(model):
        scale, shift = _parameters(wavelet)
        peak = _PEAKS.get(wavelet.wavelet, wavelet.center_frequency)
        used = np.maximum(np.abs(scale), SMALLEST_SCALE)
        tables.append(
            pd.DataFrame(
                {
                    "layer": layer,
                    "wavelet": wavelet.name,
                    "index": np.arange(len(scale)),
                    "scale": scale,
                    "shift": shift,
                    "frequency": peak / (2 * math.pi * used),
                    "start_frequency": peak / (2 * math.pi),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def plot_wavelets(model: keras.Model, file: str | os.PathLike) -> None:
    """Draw trained wavelets and their change from the start.

    Args:
        model: A model with wavelet attention layers, each a row or two.
        file: The .png file to write.

    Raises:
        UserError: If the model has no wavelets.
    """
    found = _find_wavelets(model)
    figure = Figure(figsize=(10, 3.4 * len(found)), layout="constrained")
    grid = figure.subplots(len(found), 2, squeeze=False)
    x = np.linspace(-4.0, 4.0, 801, dtype=np.float32)
    for (curves, changes), (layer, wavelet) in zip(grid, found, strict=True):
        count = len(_parameters(wavelet)[0])
        inputs = np.repeat(x[:, None], count, axis=1)
        trained = keras.ops.convert_to_numpy(wavelet(inputs))
        first = Morlet(
            center_frequency=wavelet.center_frequency, wavelet=wavelet.wavelet
        )
        start = keras.ops.convert_to_numpy(first(x[:, None]))
        curves.plot(x, start, color="black", linewidth=2, label="start")
        for axes, values in ((curves, trained), (changes, trained - start)):
            axes.plot(x, values, color="#1f77b4", alpha=0.5, linewidth=0.8)
            axes.spines[["top", "right"]].set_visible(False)
        curves.set(
            title=f"{layer}, {wavelet.name}: {count} trained",
            xlabel="input x",
            ylabel="psi(x)",
        )
        curves.legend(frameon=False)
        changes.set(xlabel="input x", ylabel="psi(x), change from the start")
    save_figure(figure, file)


def _find_wavelets(model: keras.Model) -> list[tuple[str, Morlet]]:
    """Return the wavelets and their layers' names, inner models included."""
    found = [
        (gate.name, wavelet)
        for gate in _walk(model)
        for wavelet in gate.wavelets
    ]
    if not found:
        raise UserError(
            f"The model {model.name} has no wavelets. The models wca_... and "
            "wse_... have wavelet attention layers."
        )
    return found


def _walk(layer: keras.layers.Layer) -> Iterator[WaveletChannelAttention]:
    for inner in getattr(layer, "layers", ()):
        if isinstance(inner, WaveletChannelAttention):
            yield inner
        else:
            yield from _walk(inner)


def _parameters(wavelet: Morlet) -> tuple[np.ndarray, np.ndarray]:
    """Return scales and shifts, of shape `(wavelets,)`."""
    scale, shift = (
        values.astype(np.float64).reshape(-1) for values in wavelet.parameters()
    )
    return scale, shift
