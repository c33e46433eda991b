"""The error that a user can act on."""

import difflib
import unicodedata
from collections.abc import Iterable

# Control and format characters, halves of characters, unassigned.
_HIDDEN = ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")


class UserError(ValueError):
    """A mistake in what the user gave, told in the user's words.

    The message states the rule and then what came. The command line prints it
    without a traceback and exits with code 2; in Python it is a `ValueError`.
    """


def shown(text: str) -> str:
    """Text that a terminal can only show, and not obey.

    What is neither printable nor a line's end or a tab, such as the escape
    that begins a terminal's commands, is written as Python would.
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


def first_line(error: BaseException, most: int = 200) -> str:
    """What an error of another package says, or is, cut to a line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:most]
