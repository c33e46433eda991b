"""Suggestions for unknown options."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from kerafer.errors import did_you_mean
from kerafer.untrusted import parse_yaml, read_text


def suggest(flag: str, flags: Collection[str]) -> str:
    """Suggest the option with the same meaning or a similar spelling.

    Args:
        flag: An unknown option, such as `--lr`.
        flags: The options of the command.

    Returns:
        ` Did you mean --learning-rate?`, or nothing.
    """
    name = flag.lstrip("-").replace("_", "-")
    table = parse_yaml(read_text(Path(__file__).with_name("synonyms.yaml")))
    for meant, words in table.items():
        known = f"--{meant.partition(' ')[0]}" in flags
        if known and name in words.split():
            return f" Did you mean --{meant}?"
    if not flag.startswith("--") or name.startswith("no-"):
        return ""
    similar = did_you_mean(name, [f.lstrip("-") for f in flags], 0.75)
    return similar.replace("mean ", "mean --")
