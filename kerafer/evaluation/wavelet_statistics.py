"""Measure how much the wavelets of attention layers respond to images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from kerafer.layers import WaveletChannelAttention
from kerafer.layers.wavelets import WAVELETS

# Smallest |psi| of a channel that responds.
_RESPONSE = 0.01
# Part of the steepest slope at which psi is sensitive to its input.
_SENSITIVE = 0.25
# Further out, every wavelet is 0 in float32.
_FAR = 8.0
_BATCH = 32


def find_attentions(layer: keras.layers.Layer) -> list[WaveletChannelAttention]:
    """Return the wavelet attention layers of a model and of inner models."""
    if isinstance(layer, WaveletChannelAttention):
        return [layer]
    inner = getattr(layer, "layers", ())
    return [found for one in inner for found in find_attentions(one)]


def wavelet_statistics(model: keras.Model, images: np.ndarray) -> pd.DataFrame:
    """Measure the input and the response of every wavelet of a model.

    Args:
        model: A model with wavelet attention layers.
        images: In the model's range, `(images, height, width, channels)`.

    Returns:
        One row per layer and pool: `layer`, `pool`; `t_low`, `t_median` and
        `t_high`, the 5th, 50th and 95th percentile of psi's input t over
        images and channels, and `abs_t_median`; `sensitive`, the share of
        these inputs where psi's slope is at least a quarter of its steepest;
        `responding`, the share of channels with |psi| above 0.01 for any
        image; `psi_deviation`, the standard deviation of psi between images,
        averaged over channels, and `gate_deviation`, the same of the layer's
        gate.
    """
    layers = find_attentions(model)
    with _recorded(layers) as calls:
        for start in range(0, len(images), _BATCH):
            part = np.asarray(images[start : start + _BATCH], np.float32)
            model(ops.convert_to_tensor(part), training=False)
    rows = []
    for layer in layers:
        found = calls[layer.path]
        gates = np.concatenate([gate for gate, _ in found])
        for pool in found[0][1]:
            row = {"layer": layer.name, "pool": pool}
            row |= _describe(layer, np.concatenate([t[pool] for _, t in found]))
            rows.append(row | {"gate_deviation": gates.std(axis=0).mean()})
    return pd.DataFrame(rows)


def _describe(layer: WaveletChannelAttention, t: np.ndarray) -> dict[str, Any]:
    """Return statistics of `t` of shape `(images, channels)`."""
    psi = _psi(layer, t.clip(-_FAR, _FAR))
    grid = np.linspace(-_FAR, _FAR, 16_001)
    slope = np.abs(np.gradient(_psi(layer, grid), grid))
    steep = np.interp(t, grid, slope, 0, 0) >= _SENSITIVE * slope.max()
    low, median, high = np.percentile(t, (5, 50, 95))
    return {
        "t_low": low,
        "t_median": median,
        "t_high": high,
        "abs_t_median": float(np.median(np.abs(t))),
        "sensitive": float(steep.mean()),
        "responding": float((np.abs(psi) > _RESPONSE).any(axis=0).mean()),
        "psi_deviation": float(psi.std(axis=0).mean()),
    }


def _psi(layer: WaveletChannelAttention, t: np.ndarray) -> np.ndarray:
    inputs = ops.convert_to_tensor(t.astype(np.float32))
    values = WAVELETS[layer.wavelet](inputs, layer.center_frequency)
    return ops.convert_to_numpy(values)


@contextlib.contextmanager
def _recorded(
    layers: list[WaveletChannelAttention],
) -> Iterator[dict[str, list[tuple[np.ndarray, dict[str, np.ndarray]]]]]:
    """Record the gates and inputs of wavelets, also those of inner models."""
    calls: dict[str, list[tuple[np.ndarray, dict[str, np.ndarray]]]] = {}

    def record(layer: WaveletChannelAttention) -> None:
        compute = layer.gate

        def gate(features: Any) -> Any:
            found = compute(features)
            inputs = {
                pool: ops.convert_to_numpy(t)
                for pool, t in layer.wavelet_inputs(features).items()
            }
            call = (ops.convert_to_numpy(found), inputs)
            calls.setdefault(layer.path, []).append(call)
            return found

        layer.__dict__["gate"] = gate

    for layer in layers:
        record(layer)
    try:
        yield calls
    finally:
        for layer in layers:
            del layer.__dict__["gate"]


def wavelet_gradients(
    model: keras.Model, images: np.ndarray, labels: np.ndarray
) -> pd.DataFrame:
    """Measure the gradient of the cross-entropy by the wavelets' parameters.

    Args:
        model: A classifier with wavelet attention layers, on TensorFlow.
        images: In the model's range.
        labels: Class index of each image.

    Returns:
        One row per layer: `layer`, and the norm of the gradients of all
        scales, `scale_gradient`, all shifts, `shift_gradient`, and W1,
        `kernel_gradient`.
    """
    import tensorflow as tf

    weights = {
        (layer.name, kind, weight.path): weight.value
        for layer in find_attentions(model)
        for kind, of_kind in (
            ("scale_gradient", [psi.scale for psi in layer.wavelets]),
            ("shift_gradient", [psi.shift for psi in layer.wavelets]),
            ("kernel_gradient", layer.reduce_kernels),
        )
        for weight in of_kind
    }
    totals: dict[tuple[str, str, str], Any] = dict.fromkeys(weights, 0.0)
    for start in range(0, len(images), _BATCH):
        part = slice(start, start + _BATCH)
        with tf.GradientTape() as tape:
            # Also those of frozen layers.
            tape.watch(weights)
            output = model(np.asarray(images[part], np.float32), training=False)
            loss = keras.losses.sparse_categorical_crossentropy(
                labels[part], output
            )
        for key, gradient in tape.gradient(loss, weights).items():
            totals[key] = totals[key] + gradient.numpy() / len(images)
    squares = pd.Series({k: np.square(v).sum() for k, v in totals.items()})
    norms = np.sqrt(squares.groupby(level=[0, 1], sort=False).sum())
    return norms.unstack(sort=False).rename_axis("layer").reset_index()
