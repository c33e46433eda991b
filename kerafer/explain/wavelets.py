"""Trained wavelets of attention layers, and how they respond to images."""

from __future__ import annotations

import math
import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerafer.datasets.decoded import decode_as
from kerafer.datasets.image_folder import folder_images
from kerafer.datasets.loading import load_data
from kerafer.datasets.synthetic.dataset import draw_golden_images
from kerafer.errors import UserError
from kerafer.evaluation.wavelet_statistics import (
    find_attentions,
    wavelet_gradients,
    wavelet_statistics,
)
from kerafer.figures import save_figure
from kerafer.inference import ModelBundle
from kerafer.layers import Morlet
from kerafer.layers.morlet import SMALLEST_SCALE
from kerafer.training.run import find_run

_IMAGES = 256
# Angular frequency of each wavelet's spectral peak at scale 1. The names are
# PyWavelets'; a Morlet wavelet has its own centre frequency.
_PEAKS = {"mexh": math.sqrt(2), "gaus1": math.sqrt(2), "gaus2": 2.0}


def wavelet_table(model: keras.Model) -> pd.DataFrame:
    """List the wavelets of a model's attention layers.

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
        scale, shift = map(np.ravel, wavelet.parameters())
        peak = _PEAKS.get(wavelet.wavelet, wavelet.center_frequency)
        start = peak / (2 * math.pi)
        columns = {
            "layer": layer,
            "wavelet": wavelet.name,
            "index": np.arange(len(scale)),
            "scale": scale,
            "shift": shift,
            "frequency": start / np.maximum(np.abs(scale), SMALLEST_SCALE),
            "start_frequency": start,
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def measure_responses(
    bundle: ModelBundle,
    folder: Path,
    images: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Measure how wavelets respond, before and after training.

    Args:
        bundle: The model.
        folder: Of the model; a run's test images are used.
        images: As for `explain_wavelets`.

    Returns:
        The rows of `wavelet_statistics` and `wavelet_gradients`, after
        `weights` (`"fresh"` or `"trained"`) and `n_images`.
    """
    run = find_run(folder)
    labels = None
    if images is not None:
        shape, names = bundle.input_shape, bundle.labels
        batch, labels = folder_images(Path(images), shape, names)
    elif run is not None:
        data = load_data(run.config, folder / "split.csv")
        rows = data.indices("test")
        batch = decode_as(data, run.config).pixels[rows]
        labels = data.labels[rows]
    else:
        batch = draw_golden_images(bundle.input_shape)
    count = min(len(batch), _IMAGES)
    chosen = np.linspace(0, len(batch) - 1, count).astype(int)
    inputs = bundle.input_range.apply(batch[chosen])
    if labels is None:
        targets = bundle.keras_model.predict(inputs, verbose=0).argmax(axis=1)
    else:
        targets = labels[chosen]
    keras.utils.set_random_seed(0)
    tables = []
    for weights, model in (
        ("fresh", keras.models.clone_model(bundle.keras_model)),
        ("trained", bundle.keras_model),
    ):
        table = wavelet_statistics(model, inputs).merge(
            wavelet_gradients(model, inputs, targets), on="layer"
        )
        table.insert(0, "weights", weights)
        table.insert(1, "n_images", count)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def plot_wavelets(model: keras.Model, file: str | os.PathLike) -> None:
    """Draw the trained wavelets of each attention layer, as a .png."""
    found = _find_wavelets(model)
    figure = Figure(figsize=(6, 3.4 * len(found)), layout="constrained")
    x = np.linspace(-4.0, 4.0, 801, dtype=np.float32)[:, None]
    for row, (layer, wavelet) in enumerate(found, 1):
        axes = figure.add_subplot(len(found), 1, row)
        first = Morlet(wavelet.center_frequency, wavelet=wavelet.wavelet)
        count = np.size(wavelet.parameters()[0])
        trained = keras.ops.convert_to_numpy(wavelet(x.repeat(count, axis=1)))
        axes.plot(x, keras.ops.convert_to_numpy(first(x)), "k", label="start")
        axes.plot(x, trained, color="#1f77b4", alpha=0.5, linewidth=0.8)
        axes.set_title(f"{layer}, {wavelet.name}: {count} trained")
        axes.set(xlabel="input x", ylabel="psi(x)")
        axes.legend(frameon=False)
    save_figure(figure, file)


def _find_wavelets(model: keras.Model) -> list[tuple[str, Morlet]]:
    """Return the wavelets and their layers' names, inner models included."""
    found = [
        (gate.name, wavelet)
        for gate in find_attentions(model)
        for wavelet in gate.wavelets
    ]
    if not found:
        raise UserError(
            f"The model {model.name} has no wavelets. The models wca_... and "
            "wse_... have wavelet attention layers."
        )
    return found
