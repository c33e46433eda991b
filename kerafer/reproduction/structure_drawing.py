"""Figures 1 to 9: the structure of a model, drawn from the model itself."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import keras
from keras import layers
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from kerafer.evaluation.model_cost import trainable_parameters
from kerafer.figures import save_figure
from kerafer.layers import MultiScaleConv2D, WaveletChannelAttention


class Box(NamedTuple):
    """One step of a drawing.

    Args:
        text: What it does.
        shape: Of its output, as text.
        kind: One of the kinds that have a colour.
    """

    text: str
    shape: str
    kind: str


_COLOURS = {
    "convolution": "#cfe2f3",
    "multi-scale convolution": "#ffd9a0",
    "wavelet attention": "#f4b6b6",
    "pooling": "#d9ead3",
    "dense": "#e0d4f0",
    "other": "#ececec",
}
# What stands in the box of the step before it.
_FOLLOWERS = {
    layers.BatchNormalization: "BN",
    layers.ReLU: "ReLU",
    layers.Softmax: "softmax",
}
_BLOCK = re.compile(r"^(layer_\d+_block_\d+)_")


def boxes(model: keras.Model) -> list[Box]:
    """The steps of a model of this package, in order.

    BatchNorm and activations stand in the box that they follow, and the
    layers of a residual block in one. Padding goes to the box behind it.

    Args:
        model: As `create_model` builds one of the article's.
    """
    found: list[Box] = []
    block = ""
    padding = 0
    for layer in model.layers:
        shape = " x ".join(str(n) for n in layer.output.shape[1:])
        inside = _BLOCK.match(layer.name)
        follower = _FOLLOWERS.get(type(layer))
        if inside:
            text = f"residual block: 2 x Conv(3), {layer.output.shape[-1]}"
            if inside[1] == block:
                found.pop()
            block = inside[1]
            found.append(Box(text, shape, "convolution"))
        elif isinstance(layer, layers.ZeroPadding2D):
            padding = layer.padding[0][0]
        elif follower:
            last = found[-1]
            found[-1] = last._replace(text=f"{last.text}, {follower}")
        else:
            found.append(_box(layer, padding, shape))
            padding = 0
    return found


def draw_structure(model: keras.Model, file: str | os.PathLike) -> None:
    """Draw a model as a column of boxes with the shapes between them.

    Args:
        model: As `create_model` builds one of the article's.
        file: A .png to write.
    """
    steps = boxes(model)
    figure = Figure(figsize=(6.4, 0.42 * len(steps) + 1.3))
    axes = figure.add_axes((0.02, 0.0, 0.96, 1.0))
    axes.set(xlim=(0, 10), ylim=(len(steps) + 1.9, -1.2))
    axes.axis("off")
    axes.text(0.1, -0.75, model.name, fontsize=12, weight="bold")
    axes.text(
        9.9,
        -0.75,
        f"{trainable_parameters(model):,} parameters",
        ha="right",
        fontsize=9,
        color="#555555",
    )
    for row, step in enumerate(steps):
        axes.add_patch(
            FancyBboxPatch(
                (0.1, row - 0.33),
                6.9,
                0.66,
                boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=_COLOURS[step.kind],
                edgecolor="#777777",
                linewidth=0.7,
            )
        )
        axes.text(3.55, row, step.text, ha="center", va="center", fontsize=8.5)
        axes.text(7.3, row, step.shape, va="center", fontsize=8.5)
        if row:
            axes.annotate(
                "",
                (3.55, row - 0.33),
                (3.55, row - 0.67),
                arrowprops={"arrowstyle": "-|>", "color": "#777777", "lw": 0.8},
            )
    kinds = list(dict.fromkeys(step.kind for step in steps))
    axes.legend(
        handles=[
            Patch(facecolor=_COLOURS[kind], edgecolor="#777777", label=kind)
            for kind in kinds
        ],
        loc="lower center",
        ncols=3,
        fontsize=8,
        frameon=False,
    )
    save_figure(figure, file)


def _box(layer: keras.layers.Layer, padding: int, shape: str) -> Box:
    """The box of a layer that stands for itself."""
    if isinstance(layer, MultiScaleConv2D):
        return Box(_multi_scale(layer), shape, "multi-scale convolution")
    if isinstance(layer, WaveletChannelAttention):
        name = "wCA" if len(layer.pools) > 1 else "wSE"
        text = f"{name}, ratio {layer.ratio}"
        return Box(text, shape, "wavelet attention")
    if isinstance(layer, layers.Conv2D):
        size, strides = layer.kernel_size[0], layer.strides[0]
        if layer.padding == "same":
            padding = size // 2
        text = f"Conv({size}, {strides}, {padding}), {layer.filters}"
        return Box(text, shape, "convolution")
    if isinstance(layer, layers.MaxPooling2D):
        text = f"Maxpool({layer.pool_size[0]}, {layer.strides[0]}, {padding})"
        return Box(text, shape, "pooling")
    if isinstance(layer, layers.GlobalAveragePooling2D):
        return Box("global average pooling", shape, "pooling")
    if isinstance(layer, layers.Dense):
        return Box(f"FC, {layer.units}", shape, "dense")
    if isinstance(layer, layers.Dropout):
        return Box(f"dropout {layer.rate:g}", shape, "other")
    names = {"InputLayer": "image, 0 to 255", "Rescaling": "scaled to -1..1"}
    kind = type(layer).__name__
    return Box(names.get(kind, kind.lower()), shape, "other")


def _multi_scale(layer: MultiScaleConv2D) -> str:
    """The article's words, and what is other than in the article."""
    facts = [_listed(layer.kernel_sizes), f"stride {layer.strides[0]}"]
    if max(layer.dilation_rates) > 1:
        facts.append(f"dilation {_listed(layer.dilation_rates)}")
    if layer.groups > 1:
        facts.append(f"{layer.groups} groups")
    return f"MsC({'; '.join(facts)}), {layer.filters} each"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
