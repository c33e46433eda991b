"""The plain operations of each attention; rules as in `layer_rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kerafer.export.layer_rules import (
    Rule,
    Shape,
    activate,
    array,
    combine,
    dense,
    normalise,
    reshape,
)
from kerafer.export.node import Node
from kerafer.layers import (
    ChannelAttention,
    ConvolutionalBlockAttention,
    CoordinateAttention,
    DualDirectionHead,
    EfficientChannelAttention,
    SqueezeExcitation,
    WaveletChannelAttention,
    WaveletSqueezeExcitation,
)
from kerafer.layers.bottleneck_gate import BottleneckGate
from kerafer.layers.morlet import _away_from_zero
from kerafer.layers.wavelet_gate import WaveletGate

if TYPE_CHECKING:
    from kerafer.export.graph import Graph


# === A weight for each channel ===


def _bottleneck(
    graph: Graph, layer: BottleneckGate, inputs: list[Node], shape: Shape
) -> Node:
    return _add_bottleneck(graph, layer, inputs[0], layer.name)


def _add_bottleneck(
    graph: Graph, layer: BottleneckGate, features: Node, name: str
) -> Node:
    pools = {
        pool: graph.add(
            f"global_{pool}",
            f"{name}_{pool}",
            features,
            shape=features.shape[-1:],
        )
        for pool in layer.pools
    }
    if layer.fusion == "concat":
        both = _both(graph, pools, name)
        logits = _branch(graph, layer, 0, both, f"{name}_both")
    else:
        branches = [
            _branch(
                graph, layer, 0 if layer.shared else i, node, f"{name}_{pool}"
            )
            for i, (pool, node) in enumerate(pools.items())
        ]
        if layer.fusion == "gated":
            logits = _weighed(graph, layer, pools, branches, name)
        else:
            logits = combine(graph, "add", f"{name}_sum", *branches)
    gate = graph.add("sigmoid", f"{name}_gate", logits)
    return combine(graph, "multiply", name, features, gate)


def _both(graph: Graph, pools: dict[str, Node], name: str) -> Node:
    values = sum(node.shape[0] for node in pools.values())
    return graph.add(
        "concatenate", f"{name}_pools", *pools.values(), shape=(values,)
    )


def _weighed(
    graph: Graph,
    layer: BottleneckGate,
    pools: dict[str, Node],
    branches: list[Node],
    name: str,
) -> Node:
    """`share * maximum + (1 - share) * average`, with a product less."""
    both = _both(graph, pools, name)
    kernel, bias = array(layer.fusion_kernel), array(layer.fusion_bias)
    share = dense(graph, kernel, bias, both, f"{name}_share")
    share = graph.add("sigmoid", f"{name}_share_sigmoid", share)
    maximum, average = branches
    more = combine(graph, "subtract", f"{name}_more", maximum, average)
    more = combine(graph, "multiply", f"{name}_more_share", more, share)
    return combine(graph, "add", f"{name}_sum", more, average)


def _branch(
    graph: Graph, layer: BottleneckGate, index: int, node: Node, name: str
) -> Node:
    """W2 . f(W1 . node) with the weights of a branch."""
    kernel = array(layer.reduce_kernels[index])
    bias = array(layer.reduce_biases[index]) if layer.use_bias else None
    wavelet = None
    if isinstance(layer, WaveletGate):
        # psi's own scale and shift are one more dense layer.
        wavelet = layer.wavelets[index]
        scale = array(_away_from_zero(wavelet.scale.value))
        shift = np.broadcast_to(array(wavelet.shift), kernel.shape[-1])
        kernel, bias = kernel / scale, (-shift / scale).astype(np.float32)
    node = dense(graph, kernel, bias, node, f"{name}_reduce")
    if wavelet is None:
        node = activate(graph, layer.activation, node, name)
    else:
        node = graph.add(
            "wavelet",
            f"{name}_psi",
            node,
            wavelet=wavelet.wavelet,
            center_frequency=float(wavelet.center_frequency),
        )
    kernel = array(layer.expand_kernels[index])
    bias = array(layer.expand_biases[index]) if layer.use_bias else None
    return dense(graph, kernel, bias, node, f"{name}_expand")


def _efficient(
    graph: Graph,
    layer: EfficientChannelAttention,
    inputs: list[Node],
    shape: Shape,
) -> Node:
    (features,), channels = inputs, shape[-1]
    node = graph.add(
        "global_average", f"{layer.name}_average", features, shape=(channels,)
    )
    # A column of channels, with a kernel one channel wide.
    node = reshape(graph, node, (channels, 1, 1), f"{layer.name}_column")
    kernel = array(layer.kernel)[:, None]
    margin = len(kernel) // 2
    node = graph.add(
        "convolution",
        f"{layer.name}_convolution",
        node,
        kernels=[kernel],
        bias=np.zeros(1, np.float32),
        margins=[(margin, margin, 0, 0)],
    )
    node = graph.add("sigmoid", f"{layer.name}_gate", node)
    node = reshape(graph, node, (1, 1, channels), f"{layer.name}_gate")
    return combine(graph, "multiply", layer.name, features, node)


# === A weight for each place, row or column ===


def _convolutional(
    graph: Graph,
    layer: ConvolutionalBlockAttention,
    inputs: list[Node],
    shape: Shape,
) -> Node:
    name, places = layer.name, (*shape[:2], 1)
    features = _add_bottleneck(
        graph, layer.channel, inputs[0], f"{name}_channel"
    )
    maps = [
        graph.add(kind, f"{name}_{kind}", features, shape=places, axis=2)
        for kind in ("axis_max", "axis_mean")
    ]
    node = graph.add(
        "concatenate", f"{name}_maps", *maps, shape=(*shape[:2], 2), axis=2
    )
    margin = layer.kernel_size // 2
    node = graph.add(
        "convolution",
        f"{name}_convolution",
        node,
        shape=places,
        kernels=[array(layer.kernel)],
        bias=np.zeros(1, np.float32),
        margins=[(margin,) * 4],
    )
    if layer.norm is not None:
        node = normalise(graph, layer.norm, node, f"{name}_norm")
    node = graph.add("sigmoid", f"{name}_gate", node)
    return combine(graph, "multiply", name, features, node)


def _coordinate(
    graph: Graph, layer: CoordinateAttention, inputs: list[Node], shape: Shape
) -> Node:
    (features,), name = inputs, layer.name
    height, width, channels = shape
    rows = graph.add(
        "axis_mean",
        f"{name}_rows",
        features,
        shape=(height, 1, channels),
        axis=1,
    )
    columns = graph.add(
        "axis_mean",
        f"{name}_columns",
        features,
        shape=(1, width, channels),
        axis=0,
    )
    gates = _directions(graph, layer, rows, columns)
    return combine(graph, "multiply", name, features, *gates)


def _dual_direction(
    graph: Graph, layer: DualDirectionHead, inputs: list[Node], shape: Shape
) -> Node:
    (features,), name = inputs, layer.name
    height, width, channels = shape
    rows, columns = (
        graph.add(
            "depthwise",
            f"{name}_{direction}",
            features,
            shape=left,
            kernels=[array(kernel).reshape(*extent, channels, 1)],
            bias=np.zeros(channels, np.float32),
            margins=[(0, 0, 0, 0)],
        )
        for direction, kernel, extent, left in (
            (
                "rows",
                layer.row_pool_kernel,
                (1, width),
                (height, 1, channels),
            ),
            (
                "columns",
                layer.column_pool_kernel,
                (height, 1),
                (1, width, channels),
            ),
        )
    )
    rows = normalise(graph, layer.row_norm, rows, f"{name}_rows_norm")
    columns = normalise(
        graph, layer.column_norm, columns, f"{name}_columns_norm"
    )
    gates = _directions(graph, layer, rows, columns)
    return combine(graph, "multiply", name, *gates)


def _directions(
    graph: Graph,
    layer: CoordinateAttention | DualDirectionHead,
    rows: Node,
    columns: Node,
) -> list[Node]:
    """The weights of rows and of columns, from what was pooled of each.

    Training needs both side by side, for the statistics of BatchNorm; here
    they never meet.
    """
    gates = []
    for direction, node, kernel, bias in (
        ("rows", rows, layer.row_kernel, layer.row_bias),
        ("columns", columns, layer.column_kernel, layer.column_bias),
    ):
        name = f"{layer.name}_{direction}"
        reduce, start = array(layer.reduce_kernel), array(layer.reduce_bias)
        node = dense(graph, reduce, start, node, f"{name}_reduce")
        node = normalise(graph, layer.norm, node, f"{name}_norm")
        node = graph.add("hard_swish", f"{name}_hard_swish", node)
        node = dense(graph, array(kernel), array(bias), node, f"{name}_expand")
        gates.append(graph.add("sigmoid", f"{name}_gate", node))
    return gates


ATTENTION_RULES: dict[type, Rule] = {
    WaveletChannelAttention: _bottleneck,
    WaveletSqueezeExcitation: _bottleneck,
    SqueezeExcitation: _bottleneck,
    ChannelAttention: _bottleneck,
    EfficientChannelAttention: _efficient,
    ConvolutionalBlockAttention: _convolutional,
    CoordinateAttention: _coordinate,
    DualDirectionHead: _dual_direction,
}
