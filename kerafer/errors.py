"""Errors that users can act on, and the words of their messages."""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

# Control and format characters, halves of characters, unassigned.
_HIDDEN = ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")


class UserError(ValueError):
    """A mistake that the user can correct.

    The command line prints the message without a traceback and exits with code
    2. In Python it is a `ValueError`.
    """


class ConfigError(UserError):
    """An invalid setting.

    The message names settings in backticks, as arguments are written in
    Python: `` `weight_decay` is at least 0 ``.
    """

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings that the message is about."""
        return tuple(dict.fromkeys(_SETTING.findall(str(self))))


_SETTING = re.compile(r"`([a-z_0-9]+)`")


def with_flags(text: str, flags: Collection[str]) -> str:
    """Write settings in backticks as options of the command line.

    Args:
        text: Such as the message of a `ConfigError`.
        flags: Those of the command; other settings stay as they are.
    """

    def flag(match: re.Match[str]) -> str:
        name = flag_of(match[1])
        return name if name in flags else match[0]

    return _SETTING.sub(flag, text)


def flag_of(setting: str) -> str:
    """Return the option of a setting: `--weight-decay`."""
    return f"--{setting.replace('_', '-')}"


def shown(text: str) -> str:
    """Escape control characters, which a terminal would execute.

    Line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        one
        if one in "\n\t" or unicodedata.category(one) not in _HIDDEN
        else one.encode("unicode_escape").decode("ascii")
        for one in text
    )


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """` Did you mean ...?` with the nearest of the known words, if one is near.

    Args:
        word: What was given.
        known: What there is.
        cutoff: How near, from 0 to 1, which is equal. Defaults to 0.6.
    """
    near = difflib.get_close_matches(word, list(known), 1, cutoff)
    return f" Did you mean {near[0]}?" if near else ""


def some(names: Sequence[str]) -> str:
    """Return the first name, and the number of others."""
    more = f" and {len(names) - 1:,} more" if names[1:] else ""
    return f"{names[0]}{more}"


def some_of(names: Sequence[str], most: int = 6) -> str:
    """List the first of many names, and count the others."""
    more = f" and {len(names) - most:,} more" if names[most:] else ""
    return f"{', '.join(names[:most])}{more}"


def first_line(error: BaseException, most: int = 200) -> str:
    """Return the first line of an error, or its type if it has no text."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:most]
