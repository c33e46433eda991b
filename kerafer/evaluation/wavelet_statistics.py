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
    seen: dict[str, list[np.ndarray]] = {layer.path: [] for layer in layers}
    gates: dict[str, list[np.ndarray]] = {layer.path: [] for layer in layers}
    with _watched(layers) as calls:
        for start in range(0, len(images), _BATCH):
            calls.clear()
            batch = ops.convert_to_tensor(
                np.asarray(images[start : start + _BATCH], np.float32)
            )
            model(batch, training=False)
            for layer, features, gate in calls:
                gates[layer.path].append(ops.convert_to_numpy(gate))
                t = layer.wavelet_inputs(features)
                seen[layer.path].append(
                    np.stack([ops.convert_to_numpy(x) for x in t.values()])
                )
    rows = []
    for layer in layers:
        gate = np.concatenate(gates[layer.path])
        pools = layer.wavelet_inputs(ops.zeros((1, 1, 1, gate.shape[1])))
        inputs = np.concatenate(seen[layer.path], axis=1)
        for name, t in zip(pools, inputs, strict=True):
            rows.append(
                {
                    "layer": layer.name,
                    "pool": name,
                    **_describe(layer, t),
                    "gate_deviation": float(gate.std(axis=0).mean()),
                }
            )
    return pd.DataFrame(rows)


def _describe(layer: WaveletChannelAttention, t: np.ndarray) -> dict[str, Any]:
    """Statistics of `t` of shape `(images, channels)`."""
    # Further out, every wavelet is 0 in float32.
    near = np.clip(t, -8.0, 8.0)
    psi = _psi(layer, near)
    grid = np.linspace(-8.0, 8.0, 16_001)
    slope = np.abs(np.gradient(_psi(layer, grid), grid))
    steep = np.interp(near, grid, slope) >= _SENSITIVE * slope.max()
    low, median, high = np.percentile(t, (5, 50, 95))
    return {
        "t_low": low,
        "t_median": median,
        "t_high": high,
        "abs_t_median": float(np.median(np.abs(t))),
        "sensitive": float((steep & (np.abs(t) < 8)).mean()),
        "responding": float((np.abs(psi) > _RESPONSE).any(axis=0).mean()),
        "psi_deviation": float(psi.std(axis=0).mean()),
    }


def _psi(layer: WaveletChannelAttention, t: np.ndarray) -> np.ndarray:
    values = WAVELETS[layer.wavelet](
        ops.convert_to_tensor(t.astype(np.float32)), layer.center_frequency
    )
    return ops.convert_to_numpy(values)


@contextlib.contextmanager
def _watched(
    layers: list[WaveletChannelAttention],
) -> Iterator[list[tuple[WaveletChannelAttention, Any, Any]]]:
    """Record what the layers receive and their gates, also in inner models."""
    calls: list[tuple[WaveletChannelAttention, Any, Any]] = []

    def watch(layer: WaveletChannelAttention) -> None:
        compute = layer.gate

        def gate(inputs: Any) -> Any:
            found = compute(inputs)
            calls.append((layer, inputs, found))
            return found

        layer.__dict__["gate"] = gate

    for layer in layers:
        watch(layer)
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

    layers = find_attentions(model)
    variables = {
        (layer.name, kind): [weight.value for weight in weights]
        for layer in layers
        for kind, weights in (
            ("scale_gradient", [psi.scale for psi in layer.wavelets]),
            ("shift_gradient", [psi.shift for psi in layer.wavelets]),
            ("kernel_gradient", layer.reduce_kernels),
        )
    }
    totals: dict[tuple[str, str], Any] = dict.fromkeys(variables, 0.0)
    for start in range(0, len(images), _BATCH):
        part = slice(start, start + _BATCH)
        with tf.GradientTape() as tape:
            # Also those of frozen layers.
            tape.watch(variables)
            output = model(np.asarray(images[part], np.float32), training=False)
            loss = tf.reduce_sum(
                keras.losses.sparse_categorical_crossentropy(
                    labels[part], output
                )
            )
        for key, found in tape.gradient(loss, variables).items():
            flat = np.concatenate([np.ravel(one) for one in found])
            totals[key] = totals[key] + flat / len(images)
    rows: dict[str, dict[str, Any]] = {}
    for (name, kind), gradient in totals.items():
        row = rows.setdefault(name, {"layer": name})
        row[kind] = float(np.linalg.norm(gradient))
    return pd.DataFrame(list(rows.values()))
