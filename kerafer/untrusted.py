"""Read untrusted JSON and YAML.

Size and depth are limited. Every problem is raised as a `ValueError`.
"""

from __future__ import annotations

import json
import os
from typing import Any

from kerafer.errors import first_line

MOST_BYTES = 64_000_000
_MOST_YAML_BYTES = 1_000_000
_MOST_DEPTH = 64


def read_text(file: str | os.PathLike[str]) -> str:
    """Read UTF-8 text that a person may have edited.

    Editors on Windows put a byte order mark in front, which is dropped.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not UTF-8.
    """
    with open(file, "rb") as stream:
        return decode_text(stream.read())


def decode_text(content: bytes) -> str:
    """Decode what `read_text` reads."""
    return content.decode("utf-8-sig")


def read_json(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the object in a JSON file.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not a JSON object, or exceeds `MOST_BYTES`.
    """
    with open(file, "rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        values = json.loads(decode_text(content))
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    return values


def parse_yaml(text: str) -> Any:
    """Parse YAML without aliases.

    A few lines of aliases can expand to more than fits in memory.

    Raises:
        ValueError: If the text is not such YAML, is nested more than 64 deep,
            or is longer than a megabyte.
    """
    import yaml

    if len(text) > _MOST_YAML_BYTES:
        raise ValueError(f"it has more than {_MOST_YAML_BYTES:,} letters")
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it has aliases, which nothing here needs")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_DEPTH:
                raise ValueError("it is nested too deep")
        return yaml.safe_load(text)
    # Of odd keys and dates PyYAML raises whatever Python does.
    except (
        yaml.YAMLError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ValueError(first_line(error)) from None
