"""Read untrusted JSON and YAML of limited size.

Invalid content raises a `ValueError`.
"""

from __future__ import annotations

import json
import os
from typing import Any

from kerafer.errors import first_line

MOST_BYTES = 64_000_000
_MOST_YAML_BYTES = 1_000_000


def read_text(file: str | os.PathLike[str]) -> str:
    """Read UTF-8 text, with or without a byte order mark.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not UTF-8.
    """
    with open(file, "rb") as stream:
        return decode_text(stream.read())


def decode_text(content: bytes) -> str:
    """Decode UTF-8 text, with or without a byte order mark."""
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
        raise ValueError("it is not a JSON object")
    return values


def parse_yaml(text: str) -> Any:
    """Parse YAML without aliases, of at most a megabyte.

    A few lines of aliases can expand to more than fits in memory.

    Raises:
        ValueError: If the text is not such YAML.
    """
    import yaml

    if len(text) > _MOST_YAML_BYTES:
        raise ValueError(f"it has more than {_MOST_YAML_BYTES:,} characters")
    try:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        if any(isinstance(event, yaml.AliasEvent) for event in events):
            raise ValueError("aliases are not supported")
        return yaml.safe_load(text)
    # PyYAML raises many kinds of errors for unusual keys and dates.
    except Exception as error:
        raise ValueError(first_line(error)) from None
