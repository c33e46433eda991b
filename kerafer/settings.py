"""Settings that are at once dataclass, command-line flags and YAML file."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import os
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from kerafer.errors import UserError

Settings = TypeVar("Settings")


def setting(default: Any, help: str, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with the help and choices of its flag."""
    return dataclasses.field(
        default=default, metadata={"help": help, "choices": choices}
    )


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
    for field in dataclasses.fields(kind):
        if field.name in without:
            continue
        flag = f"--{field.name.replace('_', '-')}"
        choices = field.metadata["choices"]
        arguments: dict[str, Any] = {"default": argparse.SUPPRESS}
        told = "none" if field.default is None else field.default
        if hints[field.name] is bool:
            arguments["action"] = "store_true"
            arguments["help"] = field.metadata["help"]
        else:
            arguments["type"] = _scalar(hints[field.name])
            arguments["metavar"] = (
                "|".join(choices) if choices else _metavar(arguments["type"])
            )
            arguments["help"] = f"{field.metadata['help']} (default: {told})"
        parser.add_argument(flag, **arguments)


def from_flags(
    kind: type[Settings], flags: argparse.Namespace, file: str | None = None
) -> Settings:
    """Settings from defaults, a YAML file above them, and flags above both.

    Raises:
        UserError: For an unknown key, or a value of the wrong type or outside
            the choices.
    """
    names = {field.name for field in dataclasses.fields(kind)}
    values = read_yaml(kind, file) if file else {}
    values |= {k: v for k, v in vars(flags).items() if k in names}
    return checked(kind, values)


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
            words.append(f"--{field.name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return words


def read_yaml(kind: type, file: str | os.PathLike[str]) -> dict[str, Any]:
    """The keys and values of a YAML file, all of them known to `kind`.

    Raises:
        UserError: Where the file can't be read, or names something unknown.
    """
    import yaml

    try:
        text = Path(file).read_text(encoding="utf-8")
        values = yaml.safe_load(text) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{file} is no YAML file: {reason}.") from None
    if not isinstance(values, dict):
        raise UserError(
            f"A configuration is lines of `key: value`. {file} is none."
        )
    values = {str(k).replace("-", "_"): v for k, v in values.items()}
    names = [field.name for field in dataclasses.fields(kind)]
    unknown = [key for key in values if key not in names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UserError(
            f"{file} sets what does not exist: {', '.join(unknown)}.{hint}\n"
            f"There are: {', '.join(names)}."
        )
    return values


def checked(kind: type[Settings], values: dict[str, Any]) -> Settings:
    """An instance of `kind`, each value of its field's type and choices.

    Raises:
        UserError: Where one is not.
    """
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name not in values:
            continue
        value = values[field.name]
        flag = f"--{field.name.replace('_', '-')}"
        scalar = _scalar(hints[field.name])
        if value is None and type(None) in typing.get_args(hints[field.name]):
            continue
        # YAML reads 1e-4 as text and 1 as an integer.
        if scalar is float and isinstance(value, (int, str)):
            with contextlib.suppress(ValueError):
                values[field.name] = value = float(value)
        if isinstance(value, bool) != (scalar is bool) or not isinstance(
            value, scalar
        ):
            raise UserError(
                f"{flag} takes {_NOUNS[scalar]}. Received: {value!r}."
            )
        choices = field.metadata["choices"]
        if choices and value not in choices:
            raise UserError(
                f"{flag} is one of {', '.join(choices)}. Received: {value}."
            )
    return kind(**values)


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
