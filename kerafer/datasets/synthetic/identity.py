"""Who is drawn: the traits that stay with a person."""

from __future__ import annotations

import dataclasses

import numpy as np

Colour = tuple[float, float, float]

SKIN: tuple[Colour, ...] = (
    (242, 210, 192),
    (238, 200, 176),
    (232, 190, 158),
    (228, 182, 148),
    (214, 164, 126),
    (196, 144, 106),
    (172, 120, 84),
    (146, 98, 68),
    (118, 78, 54),
    (98, 66, 50),
)
DARK_HAIR: tuple[Colour, ...] = ((30, 26, 26), (52, 36, 28), (78, 52, 36))
FAIR_HAIR: tuple[Colour, ...] = (
    (112, 74, 46),
    (150, 78, 44),
    (176, 132, 78),
    (216, 182, 122),
)
GREY_HAIR: tuple[Colour, ...] = ((150, 148, 148), (206, 204, 202))
DARK_EYES: tuple[Colour, ...] = ((66, 42, 28), (92, 58, 34))
FAIR_EYES: tuple[Colour, ...] = ((76, 118, 158), (84, 124, 90), (112, 124, 132))
FABRIC: tuple[Colour, ...] = (
    (52, 74, 112),
    (138, 48, 58),
    (62, 104, 88),
    (222, 214, 198),
    (74, 70, 78),
    (198, 142, 60),
    (128, 92, 140),
    (164, 176, 186),
)
FRAMES: tuple[Colour, ...] = ((34, 32, 36), (110, 62, 40), (150, 132, 92))
#: Hair style and weight, by the letter of the subject.
HAIR_STYLES = {
    "F": (
        ("long", 5),
        ("bob", 4),
        ("bun", 3),
        ("fringe", 3),
        ("curly", 3),
        ("short", 2),
        ("hijab", 2),
    ),
    "M": (
        ("short", 6),
        ("part", 5),
        ("crop", 4),
        ("curly", 2),
        ("bald", 3),
        ("long", 1),
        ("cap", 2),
    ),
}
BEARDS = (
    ("none", 10),
    ("stubble", 4),
    ("full", 3),
    ("goatee", 2),
    ("moustache", 2),
)


@dataclasses.dataclass(frozen=True)
class Identity:
    """The traits of one person, the same on every image of them.

    Colours are RGB from 0 to 255. The other numbers are factors around 1 of
    the average face, or shifts around 0 in units of about half a head's width.

    Args:
        skin: Colour of the skin.
        hair: Colour of the hair.
        brow: Colour of the brows and the beard.
        eyes: Colour of the irises.
        lips: Colour of the lips.
        covering: Colour of a cap or a hijab.
        hair_style: One of the names in `HAIR_STYLES`.
        beard: One of the names in `BEARDS`.
        glasses: Colour of the frame, or `None` for no glasses.
        round_glasses: Whether the lenses are round.
        age: 0 (no line) to 1 (deep lines).
        face_width: Factor of the whole head's width.
        jaw_width: Factor of the jaw's width.
        chin_length: Factor of the lower face's height.
        eye_size: Factor of the eyes' size.
        eye_distance: Factor of the eyes' distance.
        eye_tilt: How much the outer corners stand above the inner ones.
        brow_thickness: Factor of the brows' thickness.
        brow_height: Shift of the brows, upwards.
        nose_width: Factor of the nose's width.
        nose_length: Factor of the nose's length.
        nose_depth: Factor of how far the nose stands out.
        mouth_width: Factor of the mouth's width.
        lip_fullness: Factor of the lips' thickness.
        hair_volume: Factor of how far the hair stands off the head.
        part_side: -1 or 1, the side of the parting.
    """

    skin: Colour
    hair: Colour
    brow: Colour
    eyes: Colour
    lips: Colour
    covering: Colour
    hair_style: str
    beard: str
    glasses: Colour | None
    round_glasses: bool
    age: float
    face_width: float
    jaw_width: float
    chin_length: float
    eye_size: float
    eye_distance: float
    eye_tilt: float
    brow_thickness: float
    brow_height: float
    nose_width: float
    nose_length: float
    nose_depth: float
    mouth_width: float
    lip_fullness: float
    hair_volume: float
    part_side: int


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` (0 to 1) of the way from `first` to `second`."""
    red, green, blue = (
        a + (b - a) * share for a, b in zip(first, second, strict=True)
    )
    return red, green, blue


def draw_identity(subject: str, seed: int = 0) -> Identity:
    """Draw the traits of a person.

    Args:
        subject: KDEF's name of the person, such as `"F01"`. The first letter,
            `F` or `M`, decides which hair styles and beards are likely.
        seed: Seed of the population. Defaults to `0`.

    Returns:
        The identity; a pure function of the arguments.
    """
    rng = np.random.default_rng([seed, *subject.encode()])
    man = subject.startswith("M")

    def pick(options: tuple) -> Colour:
        return options[rng.integers(len(options))]

    def weighted(options: tuple[tuple[str, int], ...]) -> str:
        names, weights = zip(*options, strict=True)
        return names[rng.choice(len(names), p=np.divide(weights, sum(weights)))]

    def around(middle: float, spread: float) -> float:
        return float(rng.uniform(middle - spread, middle + spread))

    tone = rng.uniform(0, len(SKIN) - 1)
    skin = mix(SKIN[int(tone)], SKIN[int(tone) + 1], tone % 1)
    age = float(rng.beta(1.2, 2.2))
    fair = tone < 4 and rng.random() < 0.6
    hair = pick(FAIR_HAIR if fair else DARK_HAIR)
    brow = mix(hair, (30, 22, 20), 0.4)
    if age > 0.6:
        hair = pick(GREY_HAIR)
        brow = mix(brow, hair, 0.4)
    rosy = mix(skin, (176, 62, 66), 0.45 if man else 0.62)
    return Identity(
        skin=skin,
        hair=hair,
        brow=brow,
        eyes=pick(FAIR_EYES if fair else DARK_EYES),
        lips=mix(rosy, (110, 24, 40), 0.1 if man else 0.25),
        covering=pick(FABRIC),
        hair_style=weighted(HAIR_STYLES["M" if man else "F"]),
        beard=weighted(BEARDS) if man else "none",
        glasses=pick(FRAMES) if rng.random() < 0.22 else None,
        round_glasses=bool(rng.random() < 0.5),
        age=age,
        face_width=around(1.03 if man else 0.99, 0.06),
        jaw_width=around(1.08 if man else 0.96, 0.08),
        chin_length=around(1.02 if man else 0.97, 0.05),
        eye_size=around(0.98 if man else 1.08, 0.08),
        eye_distance=around(1.0, 0.07),
        eye_tilt=around(0.01, 0.025),
        brow_thickness=around(1.25 if man else 0.85, 0.25),
        brow_height=around(0.0 if man else 0.02, 0.02),
        nose_width=around(1.05 if man else 0.92, 0.17),
        nose_length=around(1.0, 0.08),
        nose_depth=around(1.0, 0.2),
        mouth_width=around(1.0, 0.09),
        lip_fullness=around(0.9 if man else 1.15, 0.25),
        hair_volume=around(1.0, 0.3),
        part_side=1 if rng.random() < 0.5 else -1,
    )
