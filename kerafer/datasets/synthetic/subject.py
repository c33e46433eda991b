"""Draw the traits that stay the same on all images of a subject."""

from __future__ import annotations

import dataclasses

import numpy as np

Colour = tuple[float, ...]


def palette(colours: str) -> list[Colour]:
    """Parse hexadecimal colours."""
    return [tuple(bytes.fromhex(colour)) for colour in colours.split()]


_SKIN = palette("f2d2c0 e8be9e d6a47e ac7854 764e36 624232")
_HAIR = palette("1e1a1a 34241c 4e3424 704a2e 964e2c b0844e ceccca")
_EYES = palette("422a1c 5c3a22 4c769e")
_INK: Colour = (34, 22, 20)


@dataclasses.dataclass(frozen=True)
class Subject:
    """The traits of one subject.

    Colours are RGB, 0 to 255. Most numbers are factors of an average face.
    """

    skin: Colour
    hair: Colour
    brow: Colour
    eyes: Colour
    lips: Colour
    long_hair: bool
    hair_volume: float
    face_width: float
    jaw_width: float
    chin_length: float
    eye_size: float
    eye_distance: float
    brow_thickness: float
    nose_width: float
    mouth_width: float
    lip_fullness: float


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour `share` (0 to 1) of the way to `second`."""
    pairs = zip(first, second, strict=True)
    return tuple(a + (b - a) * share for a, b in pairs)


def darker(colour: Colour, share: float) -> Colour:
    """Darken a colour by `share` (0 to 1)."""
    return mix(colour, _INK, share)


def draw_subject(name: str, seed: int = 0) -> Subject:
    """Draw the traits of a subject of KDEF's name, such as `"F01"`.

    Women (`F`) and men (`M`) have other proportions on average.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    man = name.startswith("M")

    def around(middle: float, spread: float) -> float:
        return float(rng.uniform(middle - spread, middle + spread))

    tone = float(rng.uniform(0, len(_SKIN) - 1))
    skin = mix(_SKIN[int(tone)], _SKIN[int(tone) + 1], tone % 1)
    # Dark skin goes with dark hair and eyes.
    hair = _HAIR[rng.integers(3 if tone > 2.5 else len(_HAIR))]
    eyes = _EYES[rng.integers(2 if tone > 2.5 else len(_EYES))]
    return Subject(
        skin=skin,
        hair=hair,
        brow=darker(hair, 0.4),
        eyes=eyes,
        lips=mix(skin, (156, 50, 60), 0.5 if man else 0.65),
        long_hair=not man and rng.random() < 0.6,
        hair_volume=around(0.1, 0.05),
        face_width=around(1.03 if man else 0.99, 0.06),
        jaw_width=around(1.08 if man else 0.96, 0.08),
        chin_length=around(1.02 if man else 0.97, 0.05),
        eye_size=around(0.98 if man else 1.08, 0.08),
        eye_distance=around(1.0, 0.07),
        brow_thickness=around(1.25 if man else 0.85, 0.25),
        nose_width=around(1.05 if man else 0.92, 0.17),
        mouth_width=around(1.0, 0.09),
        lip_fullness=around(0.9 if man else 1.15, 0.25),
    )
