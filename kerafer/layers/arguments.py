"""Checks of constructor arguments that several layers share."""

from __future__ import annotations

from collections.abc import Sequence

import keras

Shape = tuple[int | None, ...]


def positive_int(name: str, value: int) -> int:
    """Return `value`, or refuse it where it is no integer of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return value


def odd_int(name: str, value: int) -> int:
    """Return `value`, or refuse it where it is no odd integer above 0."""
    if positive_int(name, value) % 2 == 0:
        raise ValueError(f"`{name}` must be odd. Received: {name}={value}")
    return value


def boolean(name: str, value: bool) -> bool:
    """Return `value`, or refuse it where it is neither true nor false."""
    if not isinstance(value, bool):
        raise ValueError(
            f"`{name}` must be true or false. Received: {name}={value!r}"
        )
    return value


def one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return `value`, or refuse what is not among the choices."""
    if value not in choices:
        known = ", ".join(f'"{choice}"' for choice in choices)
        raise ValueError(
            f"`{name}` must be one of {known}. Received: {name}={value!r}"
        )
    return value


def image_data_format(value: str | None) -> str:
    """Return `value`, Keras' setting for `None`, or refuse it."""
    value = value or keras.config.image_data_format()
    if value not in ("channels_last", "channels_first"):
        raise ValueError(
            '`data_format` must be "channels_last" or "channels_first". '
            f"Received: data_format={value!r}"
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
    for value in values:
        positive_int(name, value)
    return tuple(values)


def defined_channels(channels: int | None) -> int:
    """Return `channels`, or refuse what is not defined."""
    if channels is None:
        raise ValueError(
            "The number of channels must be defined before an attention is "
            "built. Received: channels=None"
        )
    return channels


def reduced_channels(channels: int, ratio: int) -> int:
    """Channels left after dividing by `ratio`, or the reason why not."""
    if channels % ratio:
        raise ValueError(
            "`ratio` must divide the number of channels. "
            f"Received: ratio={ratio}, channels={channels}"
        )
    return channels // ratio
