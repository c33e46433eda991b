"""What ten people would say of a face."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerafer.classifier import as_votes
from kerafer.foreign import read_json

PEOPLE = 10


def find_vote_temperature(model: Path) -> float | None:
    """Find out how a model's answers become the votes of people.

    A model that was trained on votes says in the `manifest.json` of its
    export (`votes`, `temperature`), or in the `metrics.json` of its run
    (`vote_temperature`), what its logits are divided by for that.

    Args:
        model: The model's file or folder.

    Returns:
        `None` for a model that was trained on one label an image.
    """
    for folder in (model, model.parent):
        for file, names in (
            ("manifest.json", ("votes", "temperature")),
            ("metrics.json", ("vote_temperature",)),
        ):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                value: Any = read_json(folder / file)
                for name in names:
                    value = value[name]
                if 0.05 <= float(value) <= 20:
                    return float(value)
    return None


def count_votes(
    probabilities: Mapping[str, float],
    temperature: float,
    people: int = PEOPLE,
) -> dict[str, int]:
    """How many of some people would name each expression.

    Args:
        probabilities: Of every class.
        temperature: As `find_vote_temperature` says.
        people: How many are asked. Defaults to 10.

    Returns:
        The classes that at least one would name, the most frequent first; the
        numbers add up to `people` (largest remainders).
    """
    names = list(probabilities)
    values = np.array([*probabilities.values()], float)
    shares = people * as_votes(values, temperature)
    counts = np.floor(shares).astype(int)
    rest = np.argsort(counts - shares, kind="stable")
    counts[rest[: people - counts.sum()]] += 1
    order = np.lexsort((-values, -counts))
    return {names[i]: int(counts[i]) for i in order if counts[i]}


def tell_votes(counts: Mapping[str, int]) -> str:
    """In words: `"of ten people 7 would say happy, 2 neutral, 1 sad"`."""
    people = sum(counts.values())
    who = "ten" if people == PEOPLE else f"{people}"
    (first, most), *others = counts.items()
    if not others:
        return f"all {who} people would say {first}"
    rest = "".join(f", {count} {name}" for name, count in others)
    return f"of {who} people {most} would say {first}{rest}"
