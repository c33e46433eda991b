"""Checks of constructor arguments, and Keras objects as settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

Shape = tuple[int | None, ...]

_MODULES = {
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
    "activation": keras.activations,
}


def set_objects(layer: keras.layers.Layer, **values: Any) -> None:
    """Set attributes such as `kernel_initializer` to Keras objects.

    Args:
        layer: Gets the attributes.
        **values: What Keras accepts for an object of the kind that the name
            ends in: a string, an object or its configuration.
    """
    for name, value in values.items():
        setattr(layer, name, _MODULES[name.split("_")[-1]].get(value))


def get_settings(layer: keras.layers.Layer, *names: str) -> dict[str, Any]:
    """Return attributes for `get_config`, with Keras objects serialized."""
    settings = {}
    for name in names:
        value, module = getattr(layer, name), _MODULES.get(name.split("_")[-1])
        settings[name] = value if module is None else module.serialize(value)
    return settings


def fresh(initializer: Any) -> Any:
    """Return a copy of an initializer.

    One initializer object that is used twice draws the same numbers twice.
    """
    if isinstance(initializer, keras.initializers.Initializer):
        return initializer.clone()
    return initializer


def positive_int(name: str, value: int) -> int:
    """Return `value` if it is an integer of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return value


def positive(name: str, value: float) -> float:
    """Return `value` if it is above 0."""
    if not value > 0:
        raise ValueError(
            f"`{name}` must be positive. Received: {name}={value!r}"
        )
    return value


def odd_int(name: str, value: int) -> int:
    """Return `value` if it is an odd integer above 0."""
    if positive_int(name, value) % 2 == 0:
        raise ValueError(f"`{name}` must be odd. Received: {name}={value}")
    return value


def boolean(name: str, value: bool) -> bool:
    """Return `value` if it is true or false."""
    if not isinstance(value, bool):
        raise ValueError(
            f"`{name}` must be true or false. Received: {name}={value!r}"
        )
    return value


def one_of(name: str, value: str, choices: Sequence[str]) -> str:
    """Return `value` if it is one of the choices."""
    if value not in choices:
        known = ", ".join(f'"{choice}"' for choice in choices)
        raise ValueError(
            f"`{name}` must be one of {known}. Received: {name}={value!r}"
        )
    return value


def per_branch(
    name: str, values: Sequence[int], length: int | None = None
) -> tuple[int, ...]:
    """Return `values` as a tuple of positive integers of the given length."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(
            f"`{name}` must be a list of positive integers. "
            f"Received: {name}={values!r}"
        )
    if not values or (length is not None and len(values) != length):
        rule = "at least one entry" if length is None else f"{length} entries"
        raise ValueError(
            f"`{name}` must have {rule}. Received: {name}={values!r}"
        )
    return tuple(positive_int(name, value) for value in values)


def divided(name: str, value: int, what: str, total: int) -> int:
    """Return `total // value` if that is a whole number."""
    if total % value:
        raise ValueError(
            f"`{name}` must divide the number of {what}. "
            f"Received: {name}={value}, {what}={total}"
        )
    return total // value
