"""Settings that are at once dataclass, command-line flags and YAML file."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import numbers
import os
import types
import typing
from typing import Any, TypeVar

from kerafer.errors import (
    ConfigError,
    UserError,
    did_you_mean,
    first_line,
    flag_of,
)
from kerafer.foreign import parse_yaml, read_text


@dataclasses.dataclass(frozen=True)
class Settings:
    """Values of fields made by `setting`, checked where they are given.

    Those that are of a field's type in another guise become it: paths text,
    and NumPy's numbers Python's.

    Raises:
        ConfigError: For the first that is not of its type, its choices and
            its range. `None` is in every range.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            optional = type(None) in typing.get_args(hints[name])
            if value is None and optional:
                continue
            scalar = _scalar(hints[name])
            given, value = value, _as(scalar, value)
            if type(value) is not scalar:
                raise ConfigError(
                    f"`{name}` takes {_NOUNS[scalar]}. Received: {given!r}."
                )
            object.__setattr__(self, name, value)
            rule = _broken_rule(field, value)
            if rule is not None:
                raise ConfigError(f"`{name}` is {rule}. Received: {value}.")


Kind = TypeVar("Kind", bound=Settings)


# More than any machine has cores.
MOST_THREADS = 1024


def setting(
    default: Any,
    help: str,
    choices: tuple[Any, ...] = (),
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    metavar: str | None = None,
    group: str | None = None,
) -> Any:
    """A dataclass field with all that its flag is declared by.

    Args:
        default: Its value where neither a flag nor a file sets it.
        help: Of the flag.
        choices: All values that it may have. Defaults to any.
        least: The smallest number that it may be.
        most: The largest.
        above: What it is more than, in place of `least`.
        below: What it is less than, in place of `most`.
        metavar: What stands for its value in the help, such as `"DIR"`.
            Defaults to one of its type.
        group: Title under which the help has it. Defaults to none.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "range": (least, most, above, below),
        "metavar": metavar,
        "group": group,
    }
    return dataclasses.field(default=default, metadata=metadata)


def add_flags(
    parser: argparse.ArgumentParser, kind: type, without: tuple[str, ...] = ()
) -> None:
    """Give a parser one flag for each field of a dataclass.

    A flag that the user leaves out is missing from the parsed namespace, so
    that a file may set it.

    Args:
        parser: Gets the flags.
        kind: The dataclass.
        without: Fields that get none.
    """
    hints = typing.get_type_hints(kind)
    groups: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name in without:
            continue
        choices, group = field.metadata["choices"], field.metadata["group"]
        if group and group not in groups:
            groups[group] = parser.add_argument_group(group)
        arguments: dict[str, Any] = {"default": argparse.SUPPRESS}
        if hints[field.name] is bool:
            arguments["action"] = "store_true"
            arguments["help"] = field.metadata["help"]
        else:
            arguments["type"] = _scalar(hints[field.name])
            arguments["metavar"] = (
                "|".join(map(str, choices))
                if choices
                else field.metadata["metavar"] or _metavar(arguments["type"])
            )
            arguments["help"] = field.metadata["help"]
            if field.default is not None:
                arguments["help"] += f" (default: {field.default})"
        place = groups.get(group, parser)
        place.add_argument(flag_of(field.name), **arguments)


def listed(text: str | None) -> list[str] | None:
    """The words of `a,b,c`; `None` for `None`."""
    if text is None:
        return None
    return [word.strip() for word in text.split(",")] if text else []


def given(kind: type, flags: argparse.Namespace) -> dict[str, Any]:
    """The fields of a dataclass that a command line sets, by name."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {k: v for k, v in vars(flags).items() if k in names}


def from_flags(
    kind: type[Kind], flags: argparse.Namespace, file: str | None = None
) -> Kind:
    """Settings from defaults, a YAML file above them, and flags above both.

    Raises:
        UserError: For an unknown key.
        ConfigError: For a value of the wrong type or outside the choices.
    """
    kept = read_yaml(kind, file) if file else {}
    named = given(kind, flags)
    try:
        return checked(kind, kept | named)
    except ConfigError as error:
        told = [
            f"`{name}` {kept[name]}"
            for name in kept
            if name not in named and name in error.settings
        ]
        if not told:
            raise
        # What nobody typed must not look as if somebody had.
        raise ConfigError(
            f"{error}\n{' and '.join(told)}: so says `config` "
            f"{getattr(flags, 'config', file)}. A flag overrides it."
        ) from None


def as_flags(settings: Any, always: tuple[str, ...] = ()) -> list[str]:
    """The words of a command line that stand for settings.

    Args:
        settings: An instance of a dataclass.
        always: Fields that are told even where they are as by default.
    """
    words = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value != field.default or field.name in always:
            words.append(flag_of(field.name))
            words += [] if value is True else [str(value)]
    return words


def read_yaml(kind: type, file: str | os.PathLike[str]) -> dict[str, Any]:
    """The keys and values of a YAML file, all of them known to `kind`.

    Raises:
        UserError: Where the file can't be read, or names something unknown.
    """
    try:
        values = parse_yaml(read_text(file)) or {}
    except (OSError, ValueError) as error:
        raise UserError(
            f"{file} is no YAML file: {first_line(error)}."
        ) from None
    if not isinstance(values, dict):
        raise UserError(
            f"A configuration is lines of `key: value`. {file} is none."
        )
    values = {str(k).replace("-", "_"): v for k, v in values.items()}
    names = [field.name for field in dataclasses.fields(kind)]
    unknown = [key for key in values if key not in names]
    if unknown:
        hint = did_you_mean(unknown[0], names)
        raise UserError(
            f"{file} sets what does not exist: {', '.join(unknown)}.{hint}\n"
            f"There are: {', '.join(names)}."
        )
    return values


def checked(kind: type[Kind], values: dict[str, Any]) -> Kind:
    """An instance of `kind`, each value of its field's type and choices.

    Raises:
        ConfigError: Where one is not.
    """
    hints = typing.get_type_hints(kind)
    for name, value in values.items():
        # YAML reads 1e-4 as text.
        if _scalar(hints.get(name)) is float and isinstance(value, str):
            with contextlib.suppress(ValueError):
                values[name] = float(value)
    return kind(**values)


def _broken_rule(field: dataclasses.Field, value: Any) -> str | None:
    """The choices or the range of a field that a value is not in."""
    choices = field.metadata.get("choices", ())
    bounds = field.metadata.get("range", (None,) * 4)
    if isinstance(value, bool):
        return None
    if choices and value not in choices:
        words = [str(choice) for choice in choices]
        if isinstance(choices[0], str):
            return f"one of {', '.join(words)}"
        return " or ".join(words)
    if isinstance(value, str) or _is_in(value, *bounds):
        return None
    return _rule(*bounds)


def _as(scalar: type, value: Any) -> Any:
    """A value as one of a type that it is the same as, if it is."""
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


def _is_in(
    value: float,
    least: float | None,
    most: float | None,
    above: float | None,
    below: float | None,
) -> bool:
    return (
        (isinstance(value, int) or math.isfinite(value))
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    )


def _rule(
    least: float | None,
    most: float | None,
    above: float | None,
    below: float | None,
) -> str:
    """A range in words."""
    if least is not None and most is not None:
        return f"{least} to {most}"
    if least is not None and below is not None:
        return f"{least} or more and less than {below}"
    words = [
        f"{word} {bound}"
        for word, bound in (
            ("at least", least),
            ("at most", most),
            ("more than", above),
            ("less than", below),
        )
        if bound is not None
    ]
    return " and ".join(words) or "a finite number"


_NOUNS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
}


def _scalar(hint: Any) -> type:
    """The one type that is not None in `X` or `X | None`."""
    if isinstance(hint, types.UnionType):
        (hint,) = (t for t in typing.get_args(hint) if t is not type(None))
    return hint


def _metavar(scalar: type) -> str:
    return {int: "N", float: "X", str: "WORD"}[scalar]
