"""Expressions as facial action units (EMFACS)."""

from __future__ import annotations

import numpy as np

from kerafer.errors import UserError

#: The action units that the synthetic face knows, with FACS' names.
ACTION_UNITS = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
}

#: For every class the ways of showing it: action unit and full intensity.
PROTOTYPES: dict[str, tuple[dict[int, float], ...]] = {
    "angry": (
        {4: 1.0, 5: 0.6, 7: 0.7, 23: 0.9, 17: 0.3},
        {4: 1.0, 5: 0.7, 7: 0.6, 24: 1.0},
    ),
    "disgusted": (
        {9: 1.0, 10: 1.0, 17: 0.3, 4: 0.3, 25: 0.5},
        {9: 1.0, 10: 0.8, 15: 0.6, 17: 0.7, 4: 0.3},
    ),
    "fearful": (
        {1: 1.0, 2: 0.6, 4: 0.7, 5: 1.0, 7: 0.3, 20: 1.0, 25: 0.9},
        {1: 1.0, 2: 0.5, 4: 0.8, 5: 0.9, 7: 0.3, 20: 0.9, 25: 1.0, 26: 0.2},
    ),
    "happy": (
        {6: 1.0, 12: 1.0, 25: 0.9},
        {6: 0.8, 12: 1.0, 25: 0.3},
    ),
    "neutral": ({},),
    "sad": (
        {1: 1.0, 4: 0.8, 15: 1.0, 17: 0.6},
        {1: 1.0, 4: 0.6, 15: 0.9, 17: 0.9},
    ),
    "surprised": (
        {1: 1.0, 2: 1.0, 5: 0.9, 25: 0.8, 26: 1.0},
        {1: 0.9, 2: 1.0, 5: 1.0, 25: 0.8, 26: 0.7},
    ),
}


def draw_action_units(
    expression: str, intensity: float, rng: np.random.Generator
) -> dict[int, float]:
    """Draw how strongly every action unit is shown for an expression.

    Args:
        expression: One of KDEF's seven classes, the keys of `PROTOTYPES`.
        intensity: 0 (nothing is seen) to 1 (the full prototype). The single
            units vary around it, and those that do not belong to the
            expression move a little.
        rng: Where the chance comes from.

    Returns:
        Intensity (0 to about 1.1) of every unit in `ACTION_UNITS`.

    Raises:
        UserError: For another expression.
    """
    if expression not in PROTOTYPES:
        raise UserError(
            f"An expression is one of {', '.join(PROTOTYPES)}. "
            f"Received: {expression}."
        )
    ways = PROTOTYPES[expression]
    prototype = ways[rng.integers(len(ways))]
    vary = rng.uniform(0.82, 1.12, len(ACTION_UNITS)).tolist()
    idle = rng.uniform(0.0, 0.08, len(ACTION_UNITS)).tolist()
    return {
        unit: prototype.get(unit, 0.0) * intensity * vary[i] + idle[i]
        for i, unit in enumerate(ACTION_UNITS)
    }
