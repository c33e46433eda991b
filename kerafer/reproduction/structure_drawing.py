"""Figures 1 to 9: the structure of a model, drawn from the model itself."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import keras
from keras import layers
from matplotlib.figure import Figure

from kerafer.evaluation.model_cost import trainable_parameters
from kerafer.figures import save_figure
from kerafer.layers import MultiScaleConv2D, WaveletChannelAttention

_COLOURS = {"MsC": "#ffd9a0", "wCA": "#f4b6b6", "wSE": "#f4b6b6"}
# Written into the box of the layer before.
_FOLLOWERS = {
    layers.BatchNormalization: "BN",
    layers.ReLU: "ReLU",
    layers.Softmax: "softmax",
}
_BLOCK = re.compile(r"^(layer_\d+_block_\d+)_")


class Box(NamedTuple):
    """One step: what it does, and the shape of its output."""

    text: str
    shape: str


def boxes(model: keras.Model) -> list[Box]:
    """List the steps of one of the article's models in order.

    The box of a layer includes the BatchNorm and activation after it and the
    padding before it. A residual block is one box.
    """
    found: list[Box] = []
    block = ""
    padding = 0
    for layer in model.layers:
        shape = " x ".join(str(n) for n in layer.output.shape[1:])
        inside = _BLOCK.match(layer.name)
        if inside:
            text = f"residual block: 2 x Conv(3), {layer.output.shape[-1]}"
            if inside[1] == block:
                found.pop()
            block = inside[1]
            found.append(Box(text, shape))
        elif isinstance(layer, layers.ZeroPadding2D):
            padding = layer.padding[0][0]
        elif type(layer) in _FOLLOWERS:
            text = f"{found[-1].text}, {_FOLLOWERS[type(layer)]}"
            found[-1] = found[-1]._replace(text=text)
        else:
            found.append(Box(_describe(layer, padding), shape))
            padding = 0
    return found


def draw_structure(model: keras.Model, file: str | os.PathLike) -> None:
    """Draw one of the article's models as a column of boxes, as a .png."""
    steps = boxes(model)
    figure = Figure(figsize=(6.4, 0.42 * len(steps) + 0.4))
    axes = figure.add_axes((0.02, 0.0, 0.96, 1.0))
    axes.set(xlim=(0, 10), ylim=(len(steps) - 0.4, -1.2))
    axes.axis("off")
    parameters = f"{trainable_parameters(model):,} parameters"
    axes.text(0.1, -0.75, model.name, fontsize=12, weight="bold")
    axes.text(9.9, -0.75, parameters, ha="right", fontsize=9)
    axes.barh(
        range(len(steps)),
        6.9,
        height=0.66,
        left=0.1,
        color=[_COLOURS.get(step.text[:3], "#ececec") for step in steps],
        edgecolor="#777777",
        linewidth=0.7,
    )
    arrow = {"arrowstyle": "-|>", "color": "#777777", "linewidth": 0.8}
    for row, step in enumerate(steps):
        axes.text(3.55, row, step.text, ha="center", va="center", fontsize=8.5)
        axes.text(7.3, row, step.shape, va="center", fontsize=8.5)
        if row:
            ends = (3.55, row - 0.33), (3.55, row - 0.67)
            axes.annotate("", *ends, arrowprops=arrow)
    save_figure(figure, file)


def _describe(layer: keras.layers.Layer, padding: int) -> str:
    if isinstance(layer, MultiScaleConv2D):
        sizes = ", ".join(map(str, layer.kernel_sizes))
        return f"MsC({sizes}; stride {layer.strides[0]}), {layer.filters} each"
    if isinstance(layer, WaveletChannelAttention):
        name = "wCA" if len(layer.pools) > 1 else "wSE"
        return f"{name}, ratio {layer.ratio}"
    if isinstance(layer, layers.Conv2D):
        size, stride = layer.kernel_size[0], layer.strides[0]
        if layer.padding == "same":
            padding = size // 2
        return f"Conv({size}, {stride}, {padding}), {layer.filters}"
    if isinstance(layer, layers.MaxPooling2D):
        size, stride = layer.pool_size[0], layer.strides[0]
        return f"Maxpool({size}, {stride}, {padding})"
    if isinstance(layer, layers.Dense):
        return f"FC, {layer.units}"
    if isinstance(layer, layers.Dropout):
        return f"dropout {layer.rate:g}"
    names = {
        "GlobalAveragePooling2D": "global average pooling",
        "InputLayer": "image, 0 to 255",
        "Rescaling": "scaled to -1..1",
    }
    kind = type(layer).__name__
    return names.get(kind, kind.lower())
