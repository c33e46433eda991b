"""Models of half precision, made anew to compute in single."""

from __future__ import annotations

from typing import Any

import keras

_HALF = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")


def in_float32(model: keras.Model) -> keras.Model:
    """The same model, of which every layer computes in float32.

    A model keeps the number format that it was trained in. On processors
    without instructions for that it answers many times slower, and rounded.

    Args:
        model: Functional or `Sequential`; or another one that can be made of
            its `get_config()`.

    Returns:
        `model` itself where it does so already; else a new one with copies of
        its weights, not compiled.
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
    """A serialized object with float32 wherever half precision stands."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            name = config["config"]["name"]
            return (
                {**config, "config": {"name": "float32"}}
                if name in _HALF
                else config
            )
        return {
            key: "float32"
            if key.endswith("dtype") and value in _HALF
            else _single(value)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(_single(value) for value in config)
    return config
