"""Facial action units of the seven expressions (EMFACS)."""

from __future__ import annotations

import numpy as np

Units = dict[int, float]

# Intensity of the action units that show each expression. FACS' names: 1, 2
# inner and outer brow raiser, 4 brow lowerer, 5 upper lid raiser, 6 cheek
# raiser, 7 lid tightener, 9 nose wrinkler, 10 upper lip raiser, 12 and 15 lip
# corner puller and depressor, 17 chin raiser, 20 lip stretcher, 23 and 24 lip
# tightener and pressor, 25 lips part, 26 jaw drop.
PROTOTYPES: dict[str, Units] = {
    "angry": {4: 1.0, 5: 0.6, 7: 0.7, 17: 0.3, 23: 0.9, 24: 0.3},
    "disgusted": {4: 0.3, 9: 1.0, 10: 1.0, 15: 0.3, 17: 0.5, 25: 0.3},
    "fearful": {1: 1.0, 2: 0.6, 4: 0.7, 5: 1.0, 7: 0.3, 20: 1.0, 25: 0.9},
    "happy": {6: 1.0, 12: 1.0, 25: 0.7},
    "neutral": {},
    "sad": {1: 1.0, 4: 0.8, 15: 1.0, 17: 0.7},
    "surprised": {1: 1.0, 2: 1.0, 5: 0.9, 25: 0.8, 26: 0.9},
}
_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 24, 25, 26)


def draw_action_units(
    expression: str, intensity: float, rng: np.random.Generator
) -> Units:
    """Draw the intensity (0 to about 1.1) of every action unit.

    Units vary around `intensity` times the prototype of an expression (a key
    of `PROTOTYPES`), and units that do not belong to it move a little.
    """
    prototype = PROTOTYPES[expression]
    return {
        unit: prototype.get(unit, 0.0) * intensity * rng.uniform(0.82, 1.12)
        + rng.uniform(0.0, 0.08)
        for unit in _UNITS
    }
