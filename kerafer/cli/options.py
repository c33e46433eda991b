"""Command-line options from settings, and settings from options."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Annotated, Any, TypedDict, TypeVar

from cyclopts import Group, Parameter, Token
from docstring_parser import parse_from_object

from kerafer.errors import ConfigError, flag_of, with_flags
from kerafer.settings import Settings, read_yaml, split_type, types_of

Config = TypeVar("Config", bound=Settings)
Command = TypeVar("Command", bound=Callable[..., Any])
# The settings that the user has given, by name.
Given = dict[str, Any]
_typed_dict: Any = TypedDict


def whole_number(_type: Any, tokens: list[Token]) -> int:
    """Convert text to an integer; cyclopts would round 4.5."""
    text = tokens[0].value
    if not re.fullmatch(r"[+-]?\d{1,30}", text):
        raise ValueError(f"it must be a whole number. Received: {text}")
    return int(text)


Int = Annotated[int, Parameter(converter=whole_number)]


def with_options(
    without: tuple[str, ...] = (), **kinds: type[Settings]
) -> Callable[[Command], Command]:
    """Give a command one option for each setting of dataclasses.

    Args:
        without: Settings without an option.
        **kinds: The dataclasses, by the parameter of the command that gets
            the settings that the user has given.
    """

    def annotate(command: Command) -> Command:
        order = 0
        for name, kind in kinds.items():
            options = _options(kind, order)
            for setting in without:
                options.pop(setting, None)
            order += len(options)
            given = _typed_dict(kind.__name__, options, total=False)
            command.__annotations__[name] = Annotated[
                given,
                Parameter(name="*"),
            ]
        return command

    return annotate


def _options(kind: type[Settings], order: int) -> dict[str, Any]:
    documented: dict[str, str] = {}
    titles: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        titles |= vars(base).get("GROUPS", {})
        for parameter in parse_from_object(base).params:
            documented[parameter.arg_name] = parameter.description
    options, common = {}, dict[str, Any]()
    for field in dataclasses.fields(kind):
        hint = types_of(kind)[field.name]
        if field.name in titles:
            order += 1
            common["group"] = Group(titles[field.name], sort_key=order)
        text = " ".join(documented[field.name].split())
        if field.default is not None and field.default is not False:
            text += f" Default: {field.default}."
        text = with_flags(text, {flag_of(name) for name in documented})
        is_int = split_type(hint)[0] is int
        convert = {"converter": whole_number} if is_int else {}
        options[field.name] = Annotated[
            hint, Parameter(help=text, **convert, **common)
        ]
    return options


def make_settings(
    kind: type[Config], given: Given | None, file: str | None = None
) -> Config:
    """Make settings from defaults, a YAML file over them, and options.

    Args:
        kind: The dataclass.
        given: What the user has given on the command line.
        file: The YAML file.

    Raises:
        UserError: For an unknown key in the file.
        ConfigError: For a value of the wrong type or out of range.
    """
    given, kept = given or {}, read_yaml(kind, file) if file else {}
    try:
        return kind(**(kept | given))
    except ConfigError as error:
        from_file = [
            f"`{name}` {kept[name]}"
            for name in kept
            if name not in given and name in error.settings
        ]
        if not from_file:
            raise
        raise ConfigError(
            f"{error}\n{' and '.join(from_file)} comes from {file}. Options "
            "override it."
        ) from None
