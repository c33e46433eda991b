"""List and draw the trained wavelets of attention layers."""

from __future__ import annotations

import math
import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerafer.datasets.image_folder import folder_images
from kerafer.datasets.split_dataset import find_data
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
    batch, labels = _find_images(bundle, folder, images)
    inputs = bundle.input_range.apply(batch)
    trained = bundle.keras_model
    keras.utils.set_random_seed(0)
    models = {"fresh": keras.models.clone_model(trained), "trained": trained}
    tables = []
    for weights, model in models.items():
        targets = labels
        if targets is None:
            targets = model.predict(inputs, verbose=0).argmax(axis=1)
        table = wavelet_statistics(model, inputs).merge(
            wavelet_gradients(model, inputs, targets), on="layer"
        )
        table.insert(0, "weights", weights)
        table.insert(1, "n_images", len(inputs))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _find_images(
    bundle: ModelBundle,
    folder: Path,
    images: str | os.PathLike[str] | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return at most 256 images, and their class indices if known."""
    run = find_run(folder)
    if images is not None:
        found, labels = folder_images(
            Path(images), bundle.input_shape, bundle.labels
        )
    elif run is not None:
        data = find_data(run.config, folder / "split.csv")
        rows = data.rows("test")
        found = data.decode(run.config)[rows]
        labels = data.dataset.labels[rows]
    else:
        found, labels = draw_golden_images(bundle.input_shape), None
    rows = np.linspace(0, len(found) - 1, min(len(found), _IMAGES)).astype(int)
    return found[rows], None if labels is None else labels[rows]


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
        for gate in find_attentions(model)
        for wavelet in gate.wavelets
    ]
    if not found:
        raise UserError(
            f"The model {model.name} has no wavelets. The models wca_... and "
            "wse_... have wavelet attention layers."
        )
    return found


def _parameters(wavelet: Morlet) -> tuple[np.ndarray, np.ndarray]:
    """Return scales and shifts, of shape `(wavelets,)`."""
    scale, shift = (
        values.astype(np.float64).reshape(-1) for values in wavelet.parameters()
    )
    return scale, shift
