"""Validated settings, which the command line and YAML files can fill."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import numbers
import os
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval

from kerafer.errors import (
    ConfigError,
    UserError,
    did_you_mean,
    first_line,
    flag_of,
)
from kerafer.untrusted import parse_yaml, read_text

Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
Threads = Annotated[int, Interval(ge=1, le=1024)]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base class of dataclasses with validated values.

    A field is declared by its type, its range and a docstring, which is its
    help on the command line:

        epochs: Annotated[int, Ge(1)] = 200
        \"\"\"Maximum number of epochs.\"\"\"

    Paths become text and NumPy's numbers Python's. `None` is allowed where
    the type says so.

    Attributes:
        GROUPS: Titles of groups of options on help pages, each by the name of
            the group's first field.

    Raises:
        ConfigError: If a value is not of its type, choices or range.
    """

    GROUPS: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        for name, hint in types_of(type(self)).items():
            value = validate(name, getattr(self, name), hint)
            object.__setattr__(self, name, value)


def types_of(kind: type) -> dict[str, Any]:
    """Return the type of each field, with its range."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def split_type(hint: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """Split `Annotated[X, range] | None` into its parts.

    Returns:
        The type, its ranges and whether `None` is allowed.
    """
    optional, ranges = False, []
    if type(None) in typing.get_args(hint):
        optional = True
        (hint,) = (t for t in typing.get_args(hint) if t is not type(None))
    if typing.get_origin(hint) is Annotated:
        hint, *ranges = typing.get_args(hint)
    return hint, tuple(ranges), optional


def validate(name: str, value: Any, hint: Any) -> Any:
    """Return a value as one of a type.

    Args:
        name: Of the setting, for the error.
        value: The value.
        hint: The type: bool, int, float, str or Literal, with or without
            `None`, possibly annotated with ranges of `annotated_types`.

    Raises:
        ConfigError: If it is not of that type, choices or range.
    """
    scalar, ranges, optional = split_type(hint)
    if value is None and optional:
        return None
    if typing.get_origin(scalar) is Literal:
        choices = typing.get_args(scalar)
        if value not in choices:
            words = ", ".join(map(str, choices))
            raise ConfigError(
                f"`{name}` must be one of {words}. Received: {value!r}."
            )
        return choices[choices.index(value)]
    converted = _convert(value, scalar)
    if type(converted) is not scalar:
        raise ConfigError(
            f"`{name}` must be {_NOUNS[scalar]}. Received: {value!r}."
        )
    rule = _broken_range(converted, ranges)
    if rule:
        raise ConfigError(f"`{name}` must be {rule}. Received: {value}.")
    return converted


def read_yaml(kind: type, file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read settings from a YAML file.

    Args:
        kind: Dataclass with the names of the settings.
        file: The file.

    Raises:
        UserError: If the file cannot be read or has an unknown setting.
    """
    try:
        values = parse_yaml(read_text(file)) or {}
    except (OSError, ValueError) as error:
        raise UserError(
            f"Cannot parse {file} as YAML: {first_line(error)}."
        ) from None
    if not isinstance(values, dict):
        raise UserError(
            f"Cannot read settings from {file}. A settings file consists of "
            "lines of `key: value`."
        )
    values = {str(k).replace("-", "_"): v for k, v in values.items()}
    hints = types_of(kind)
    unknown = [key for key in values if key not in hints]
    if unknown:
        hint = did_you_mean(unknown[0], hints)
        raise UserError(
            f"Unknown setting in {file}: {', '.join(unknown)}.{hint}\n"
            f"Known settings: {', '.join(hints)}."
        )
    for name, value in values.items():
        # YAML reads 1e-4 as text.
        if split_type(hints[name])[0] is float and isinstance(value, str):
            with contextlib.suppress(ValueError):
                values[name] = float(value)
    return values


def as_flags(settings: Any, always: tuple[str, ...] = ()) -> list[str]:
    """Return the command-line options that stand for settings.

    Args:
        settings: An instance of a dataclass.
        always: Fields to include even if they have their default.
    """
    words = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value != field.default or field.name in always:
            words.append(flag_of(field.name))
            words += [] if value is True else [str(value)]
    return words


def listed(text: str | None) -> list[str] | None:
    """Return the words of `a,b,c`; `None` for `None`."""
    if text is None:
        return None
    return [word.strip() for word in text.split(",")] if text else []


_NOUNS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


def _convert(value: Any, scalar: type) -> Any:
    """Convert paths and NumPy's numbers, but nothing that would change."""
    if isinstance(value, bool):
        return value
    if scalar is str and isinstance(value, (str, os.PathLike)):
        return str(value)
    if scalar is int and isinstance(value, numbers.Integral):
        return int(value)
    if scalar is float and isinstance(value, numbers.Real):
        with contextlib.suppress(OverflowError):
            return float(value)
    return value


def _broken_range(value: Any, ranges: tuple[Any, ...]) -> str | None:
    """Describe the range that a value is outside of, if any."""
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    limits = {
        name: limit
        for one in ranges
        for name in ("ge", "gt", "le", "lt")
        if (limit := getattr(one, name, None)) is not None
    }
    if (
        value >= limits.get("ge", value)
        and value <= limits.get("le", value)
        and ("gt" not in limits or value > limits["gt"])
        and ("lt" not in limits or value < limits["lt"])
    ):
        return None
    if set(limits) == {"ge", "le"}:
        return f"{limits['ge']} to {limits['le']}"
    words = {
        "ge": "at least",
        "gt": "more than",
        "le": "at most",
        "lt": "less than",
    }
    return " and ".join(f"{words[k]} {limit}" for k, limit in limits.items())
