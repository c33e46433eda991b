"""The uses of layers in a model, and the tensors between them."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras


class Call(NamedTuple):
    """One use of a layer in a model.

    Args:
        layer: The layer, which may be a model itself, or an operation of
            `keras.ops`.
        inputs: Its inputs, symbolic tensors of the model.
        output: Its first output, likewise.
    """

    layer: keras.layers.Layer
    inputs: list[Any]
    output: Any


def find_calls(model: keras.Model) -> list[Call]:
    """Every use of a layer or operation in a model, layers first to last.

    A layer's own `input` and `output` are those of its first use, which may
    have been in another model, and an inner model's are inside of it. So the
    graph is followed back from the output, as Keras itself does it.
    """
    order = {id(layer): at for at, layer in enumerate(model.layers)}
    calls: dict[int, Call] = {}
    waiting = list(model.outputs)
    while waiting:
        operation, index, _ = waiting.pop()._keras_history
        node = operation._inbound_nodes[index]
        if id(node) in calls or node.is_input:
            continue
        calls[id(node)] = Call(
            operation, list(node.input_tensors), node.outputs[0]
        )
        waiting += node.input_tensors
    # What is no layer, such as an operation of `keras.ops`, has no place.
    return sorted(
        calls.values(), key=lambda call: order.get(id(call.layer), len(order))
    )


def built_shape(model: keras.Model) -> tuple:
    """The shape that a model without a graph of its own was built with."""
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    shape = next(iter(shapes.values())) if len(shapes) == 1 else ()
    shape = shape or ()
    fits = all(side is None or isinstance(side, int) for side in shape)
    return tuple(shape) if fits else ()
