"""Inspect the graph of a model, and convert it to single precision."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras


class Call(NamedTuple):
    """One use of a layer in a model.

    Args:
        layer: The layer, which can be a model or an operation of `keras.ops`.
        inputs: Its inputs, symbolic tensors of the model.
        output: Its first output, a symbolic tensor.
    """

    layer: keras.layers.Layer
    inputs: list[Any]
    output: Any


def find_calls(model: keras.Model) -> list[Call]:
    """List every use of a layer or operation, in the order of the layers.

    The `input` and `output` of a layer are those of its first use, which can
    be in another model, so the graph is followed back from the output.
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
    # Operations of `keras.ops` are not among the layers.
    return sorted(
        calls.values(), key=lambda call: order.get(id(call.layer), len(order))
    )


def built_shape(model: keras.Model) -> tuple:
    """Return the shape that a subclassed model was built with, else `()`."""
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    shape = next(iter(shapes.values())) if len(shapes) == 1 else ()
    shape = shape or ()
    fits = all(side is None or isinstance(side, int) for side in shape)
    return tuple(shape) if fits else ()


_HALF = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")


def in_float32(model: keras.Model) -> keras.Model:
    """Return the same model with every layer computing in float32.

    A model keeps the precision that it was trained in. On processors without
    instructions for half precision it is many times slower, and rounded.

    Args:
        model: Functional, `Sequential`, or one that can be made from its
            `get_config()`.

    Returns:
        `model` itself if it is in float32 already. Otherwise a new one with
        copies of its weights, not compiled.
    """
    config = model.get_config()
    single = _single(config)
    if single == config:
        return model
    made = type(model).from_config(single)
    if not made.built and model.built:
        made.build(model.input_shape)
    for ours, theirs in zip(made.variables, model.variables, strict=True):
        ours.assign(keras.ops.cast(theirs, ours.dtype))
    made.trainable = model.trainable
    return made


def _single(config: Any) -> Any:
    """A serialized object with float32 in place of half precision."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            half = config["config"]["name"] in _HALF
            return {**config, "config": {"name": "float32"}} if half else config
        return {
            key: "float32"
            if key.endswith("dtype") and value in _HALF
            else _single(value)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(_single(value) for value in config)
    return config
