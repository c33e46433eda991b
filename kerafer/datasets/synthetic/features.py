"""Brows, eyes, nose, mouth and wrinkles, as the action units shape them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kerafer.datasets.synthetic.head import Head, moved, pair, smooth
from kerafer.datasets.synthetic.identity import Colour, Identity, mix
from kerafer.datasets.synthetic.sheet import Sheet

Units = Mapping[int, float]

WHITE: Colour = (244, 243, 238)
INK: Colour = (34, 22, 20)
ACROSS_MOUTH = np.linspace(-1, 1, 25)
ACROSS_EYE = np.linspace(-1, 1, 15)
CIRCLE = np.stack(
    (
        np.cos(np.linspace(0, 2 * np.pi, 20)),
        np.sin(np.linspace(0, 2 * np.pi, 20)),
    ),
    1,
)
# Beyond this turn (degrees) the eye of the far side is out of sight.
FAR_EYE_ENDS = 62


def jaw_drop(units: Units) -> float:
    """How far the chin is lowered, in units of the head."""
    return 0.19 * units[26] + 0.04 * units[25]


def brow_line(identity: Identity, units: Units, side: int) -> np.ndarray:
    """The middle of a brow from its inner to its outer end, `(n, 2)`.

    Args:
        identity: Whose brow.
        units: Intensity of every action unit.
        side: -1 for the image's left, 1 for its right.
    """
    raised, arched = units[1], units[2]
    # Together with the inner raiser, the lowerer mainly draws together.
    lowered = units[4] * (1 - 0.75 * min(raised, 1))
    drawn = units[4] * 0.055
    wrinkled = units[9] * 0.065
    x = np.array([0.15, 0.27, 0.40, 0.50, 0.57]) * identity.eye_distance
    x -= np.array([1.0, 0.7, 0.35, 0.15, 0.0]) * drawn
    y = np.array([-0.255, -0.315, -0.335, -0.305, -0.255])
    y -= identity.brow_height
    y += np.array([-0.17, -0.11, -0.035, 0.01, 0.03]) * raised
    y += np.array([-0.02, -0.06, -0.125, -0.13, -0.11]) * arched
    y += np.array([0.155, 0.115, 0.06, 0.005, -0.03]) * lowered
    y += np.array([1.0, 0.8, 0.6, 0.4, 0.2]) * wrinkled
    return smooth(pair(side * x, y), 4)


def eye_lids(identity: Identity, units: Units, side: int) -> np.ndarray:
    """The edges of the upper and the lower lid, `(2, n, 2)`, from inside."""
    t, size = ACROSS_EYE, identity.eye_size
    even = 1 - t**2
    tight = units[7] + 0.8 * units[6] + 0.9 * units[9]
    upper = 0.092 + 0.09 * units[5] - 0.024 * tight
    lower = 0.062 + 0.016 * units[5] - 0.038 * tight
    worry = max(0.0, units[1] * units[4] * (1 - 1.2 * units[5]))
    frown = units[4] * max(0.0, 1 - 1.3 * units[1])
    top = -max(upper, 0.022) * (1 - np.abs(t) ** 2.4) ** 0.75
    top += even * (worry * (0.028 + 0.05 * t) + frown * (0.012 - 0.045 * t))
    bottom = max(lower, 0.004) * even**0.8
    bottom += even * worry * 0.01
    x = side * (0.33 * identity.eye_distance + 0.165 * size * t)
    tilt = -identity.eye_tilt * t
    return np.stack(
        [
            np.stack((x, tilt + np.minimum(top, bottom) * size), 1),
            pair(x, tilt + bottom * size),
        ]
    )


def mouth_lines(identity: Identity, units: Units) -> np.ndarray:
    """The lips' four edges from the image's left to its right, `(4, n, 2)`.

    From above: the upper lip's outer and inner edge, the lower lip's inner and
    outer edge.
    """
    t = np.abs(ACROSS_MOUTH)
    smile, stretch, drop = units[12], units[20], units[26]
    snarl, pressed = units[10], units[24] + 0.8 * units[23]
    half = (
        0.285
        * identity.mouth_width
        * (
            1
            + 0.36 * smile
            + 0.32 * stretch
            - 0.24 * drop
            - 0.2 * units[23]
            - 0.08 * units[24]
            - 0.1 * units[17]
        )
    )
    corner = 0.67 - 0.14 * smile + 0.125 * units[15] + 0.035 * stretch
    corner += 0.04 * snarl + 0.06 * drop
    middle = 0.67 + 0.03 * smile - 0.04 * units[17] - 0.03 * units[15]
    middle -= 0.055 * snarl
    line = middle + (corner - middle) * t**1.8
    square = np.clip(stretch + 0.6 * snarl, 0, 1)
    bell = (1 - t ** (2 + 2.5 * square)) ** (0.8 - 0.35 * min(drop, 1))
    gap = 0.135 * units[25] + 0.27 * drop + 0.06 * snarl
    curl = 0.05 * snarl * np.exp(-(((t - 0.45) / 0.3) ** 2))
    inner_top = line - 0.25 * gap * bell - curl
    inner_bottom = line + 0.75 * gap * bell
    full = identity.lip_fullness * (1 - 0.62 * np.clip(pressed, 0, 1))
    bow = (1 - t**2) ** 0.65
    cupid = 1 - 0.28 * np.exp(-((t / 0.16) ** 2))
    top = 0.058 * full * (1 - 0.3 * smile) * bow * cupid
    bottom = 0.068 * full * (1 + 0.35 * units[17] - 0.2 * stretch) * bow
    x = ACROSS_MOUTH * half
    edges = (inner_top - top, inner_top, inner_bottom, inner_bottom + bottom)
    return np.stack([pair(x, edge) for edge in edges])


def draw_eyes(
    sheet: Sheet,
    identity: Identity,
    units: Units,
    gaze: tuple[float, float],
    lashes: bool,
) -> None:
    """Draw both eyes with their lids, irises and the lines around them."""
    skin, head = identity.skin, sheet.head
    dark = mix(skin, INK, 0.72)
    for side in visible_sides(head):
        upper, lower = eye_lids(identity, units, side)
        crease = moved(upper, 0, -0.035 * (1 - 0.5 * min(units[5], 1)))
        crease[:, 0] = upper[:, 0] * 1.02
        lid = np.concatenate((crease, upper[::-1]))
        sheet.fill_face(lid, mix(skin, INK, 0.16))
        eye = np.concatenate((upper, lower[::-1]))
        sheet.fill_face(eye, WHITE)
        shadow = np.concatenate((upper, moved(upper, 0, 0.022)[::-1]))
        sheet.fill_face(shadow, (196, 190, 188))
        radius = 0.084 * identity.eye_size
        middle = upper[7] * [1, 0] + [gaze[0], gaze[1] - 0.012]
        for part, colour in (
            (1.0, mix(identity.eyes, INK, 0.45)),
            (0.84, identity.eyes),
            (0.46, (16, 12, 12)),
        ):
            disc = middle + CIRCLE * radius * part
            sheet.fill_face(_within(disc, upper, lower), colour)
        spark = middle + [0.028, -0.03] + CIRCLE * 0.018
        sheet.fill_face(_within(spark, upper, lower), (255, 255, 255))
        sheet.stroke_face(lower, dark, 0.014, ends=0.4)
        sheet.stroke_face(crease, mix(skin, INK, 0.5), 0.014)
        if lashes:
            tip = moved(upper[-1], side * 0.035, -0.03)
            upper = np.concatenate((upper, tip[None]))
        sheet.stroke_face(upper, INK, 0.036 if lashes else 0.03, ends=0.45)
        _draw_eye_wrinkles(sheet, identity, units, side, lower)


def _within(
    points: np.ndarray, upper: np.ndarray, lower: np.ndarray
) -> np.ndarray:
    """Move points that lie outside of the lids onto them."""
    order = np.argsort(upper[:, 0])
    x = np.clip(points[:, 0], upper[order[0], 0], upper[order[-1], 0])
    low = np.interp(x, upper[order, 0], upper[order, 1])
    high = np.interp(x, lower[order, 0], lower[order, 1])
    return np.stack((x, np.clip(points[:, 1], low, high)), 1)


def _draw_eye_wrinkles(
    sheet: Sheet, identity: Identity, units: Units, side: int, lower: np.ndarray
) -> None:
    skin = identity.skin
    bag = 0.3 * identity.age + 0.9 * units[6] + 0.5 * (units[7] + units[9])
    if bag > 0.12:
        line = moved(lower[2:-1] * [1, 0.6], 0, 0.068)
        sheet.stroke_face(line, mix(skin, INK, min(0.45, 0.4 * bag)), 0.022)
    feet = 0.25 * identity.age + units[6]
    if feet > 0.25:
        colour = mix(skin, INK, min(0.45, 0.4 * feet))
        outer = moved(lower[-1], side * 0.04, 0)
        for rise in (-0.07, 0.0, 0.07):
            end = moved(outer, side * 0.10, rise)
            bend = moved((outer + end) / 2, 0, 0.012)
            line = smooth(np.stack((moved(outer, 0, rise * 0.4), bend, end)))
            sheet.stroke_face(line, colour, 0.018)


def draw_brows(sheet: Sheet, identity: Identity, units: Units) -> None:
    """Draw the brows."""
    for side in visible_sides(sheet.head):
        line = brow_line(identity, units, side)
        thick = np.interp(
            np.linspace(0, 1, len(line)), (0, 0.15, 0.5, 1), (0.7, 1, 0.9, 0.15)
        )
        half = (0.041 * identity.brow_thickness * thick)[:, None] * [0, 1]
        shape = np.concatenate((line - half, (line + half)[::-1]))
        sheet.fill_face(shape, identity.brow, 0.035)


def draw_forehead(sheet: Sheet, identity: Identity, units: Units) -> None:
    """Draw the lines of the forehead and those between the brows."""
    skin = identity.skin
    raised = max(0.0, 0.5 * (units[1] + units[2]) + 0.25 * identity.age - 0.2)
    worry = max(0.0, units[1] - units[2]) * units[4]
    for row, height in enumerate((-0.53, -0.6)):
        strength = min(0.34, 0.34 * raised + 0.3 * worry)
        if strength > 0.06:
            half = 0.42 if raised > worry else 0.2
            x = np.linspace(-half, half, 9) * (1 - 0.12 * row)
            wave = 0.012 * np.cos(x * 14) + 0.03 * x**2
            line = pair(x, height + wave)
            sheet.stroke_face(line, mix(skin, INK, strength), 0.02)
    frown = units[4] + 0.15 * identity.age - 0.1
    if frown > 0.1:
        colour = mix(skin, INK, min(0.5, 0.5 * frown))
        for side in (-1, 1):
            line = np.array([[0.045, -0.19], [0.055, -0.27], [0.05, -0.34]])
            sheet.stroke_face(smooth(line) * [side, 1], colour, 0.022)


def draw_nose(
    sheet: Sheet, identity: Identity, units: Units, light: float
) -> None:
    """Draw the nose, which stands out at the edge of a turned face.

    Args:
        sheet: What is drawn on.
        identity: Whose nose.
        units: Intensity of every action unit.
        light: -1 for light from the image's left to 1 from its right.
    """
    skin, head = identity.skin, sheet.head
    lifted = 0.05 * units[9] + 0.015 * units[10]
    wide = identity.nose_width * (
        1 + 0.12 * units[9] + 0.12 * units[12] + 0.06 * units[10]
    )
    deep, long = identity.nose_depth, identity.nose_length
    ridge = [[0, -0.16, 0.0], [0, -0.04, 0.03], [0, 0.15, 0.12 * deep]]
    tip = [
        [0, 0.30 * long, 0.235 * deep],
        [0, 0.36 * long, 0.235 * deep],
        [0, 0.415 * long, 0.17 * deep],
        [0, 0.45 * long, 0.03],
    ]
    ala, wing = 0.36 * long - lifted, 0.145 * wide
    for side in visible_sides(head):
        flank = [
            [side * wing * 0.7, ala + 0.085, 0.05],
            [side * wing, ala + 0.06, 0.0],
            [side * wing * 1.02, ala, 0.02],
            [side * wing * 0.72, ala - 0.055, 0.05],
            [side * 0.075, 0.12, 0.045],
            [side * 0.06, -0.08, 0.0],
        ]
        points = np.array(ridge + tip + flank)
        solid = head.lift(points[:, :2], points[:, 2])
        tone = 0.05 - 0.05 * light * side
        sheet.fill(solid, mix(skin, INK, tone))
        if abs(head.yaw) < 25 or side * head.sin < 0:
            nostril = np.array([side * 0.062 * wide, 0.425 * long - lifted / 2])
            shape = nostril + CIRCLE * [0.038 * wide, 0.02]
            sheet.fill_face(shape, mix(skin, INK, 0.66), 0.09)
            curve = [
                [side * wing * 0.62, ala + 0.095],
                [side * wing * 1.0, ala + 0.07],
                [side * wing * 1.08, ala],
                [side * wing * 0.86, ala - 0.06],
            ]
            sheet.stroke_face(
                smooth(curve), mix(skin, INK, 0.42), 0.022, offset=0.04
            )
    if units[9] > 0.2:
        colour = mix(skin, INK, min(0.5, 0.55 * units[9]))
        for height in (-0.12, -0.055, 0.01):
            x = np.linspace(-0.075, 0.075, 7)
            line = pair(x, height - 5 * x**2 + 0.02)
            sheet.stroke_face(line, colour, 0.022, offset=0.05)
        for side in visible_sides(head):
            crease = [[0.07, 0.02], [0.115, 0.1], [0.13, 0.2]]
            sheet.stroke_face(
                smooth(crease) * [side, 1], colour, 0.024, offset=0.04
            )


def draw_mouth(sheet: Sheet, identity: Identity, units: Units) -> None:
    """Draw the lips, what is between them, and the folds around."""
    skin, lips = identity.skin, identity.lips
    outer_top, inner_top, inner_bottom, outer_bottom = mouth_lines(
        identity, units
    )
    gap = inner_bottom[12, 1] - inner_top[12, 1]
    inside = np.concatenate((inner_top, inner_bottom[::-1]))
    if gap > 0.02:
        sheet.fill_face(inside, (66, 18, 24), 0.02)
        _draw_teeth(sheet, units, inner_top, inner_bottom, gap)
    top = np.concatenate((outer_top, inner_top[::-1]))
    bottom = np.concatenate((inner_bottom, outer_bottom[::-1]))
    sheet.fill_face(bottom, mix(lips, WHITE, 0.06), 0.045)
    sheet.fill_face(top, mix(lips, INK, 0.12), 0.05)
    line = mix(lips, INK, 0.7)
    sheet.stroke_face(inner_top, line, 0.022, 0.045, ends=0.6)
    if gap > 0.02:
        sheet.stroke_face(inner_bottom, line, 0.014, 0.045, ends=0.8)
    _draw_folds(sheet, identity, units, inner_top)
    chin = 0.5 * units[17] + 0.35 * units[15]
    under = outer_bottom[12, 1] + 0.045
    if chin > 0.12:
        colour = mix(skin, INK, min(0.4, 0.5 * chin))
        x = np.linspace(-0.13, 0.13, 9)
        sheet.stroke_face(pair(x, under + 3 * x**2), colour, 0.028, 0.03)


def _draw_teeth(
    sheet: Sheet,
    units: Units,
    top: np.ndarray,
    bottom: np.ndarray,
    gap: float,
) -> None:
    shown = 0.3 + 0.5 * units[12] + 0.6 * units[10] + 0.2 * units[20]
    part = min(1.0, shown, 0.1 / gap)
    inner = slice(1, -1)
    edge = top + (bottom - top) * part
    teeth = np.concatenate((top[inner], edge[inner][::-1]))
    sheet.fill_face(teeth, WHITE, 0.025)
    lower = min(0.34, 0.5 * units[20])
    if lower > 0.1:
        edge = bottom + (top - bottom) * lower
        teeth = np.concatenate((bottom[inner], edge[inner][::-1]))
        sheet.fill_face(teeth, mix(WHITE, INK, 0.12), 0.025)
    elif gap > 0.16:
        edge = bottom + (top - bottom) * 0.3
        tongue = np.concatenate((bottom[5:-5], edge[5:-5][::-1]))
        sheet.fill_face(tongue, (186, 84, 86), 0.025)


def _draw_folds(
    sheet: Sheet, identity: Identity, units: Units, lips: np.ndarray
) -> None:
    skin = identity.skin
    pulled, curled = units[12], units[10] + 0.8 * units[9]
    skin = mix(skin, identity.brow, 0.85 if identity.beard == "full" else 0)
    fold = 0.35 * identity.age + 0.9 * pulled + 0.8 * curled
    down = units[15] + 0.3 * identity.age + 0.5 * units[20] - 0.15
    for side in visible_sides(sheet.head):
        end = lips[-1 if side > 0 else 0]
        if fold > 0.12:
            curve = [
                [side * 0.155, 0.37 - 0.05 * units[9]],
                [side * (0.24 + 0.03 * pulled), 0.45 - 0.03 * curled],
                [end[0] + side * (0.055 + 0.03 * pulled), end[1] - 0.05],
                [end[0] + side * (0.06 + 0.01 * pulled), end[1] + 0.03],
            ]
            colour = mix(skin, INK, min(0.46, 0.42 * fold))
            sheet.stroke_face(smooth(curve), colour, 0.026, 0.03)
        if down > 0.15:
            start = moved(end, side * 0.02, 0)
            line = np.stack(
                (
                    moved(start, 0, -0.01),
                    moved(start, side * 0.025, 0.05),
                    moved(start, side * 0.02, 0.13),
                )
            )
            colour = mix(skin, INK, min(0.45, 0.45 * down))
            sheet.stroke_face(smooth(line), colour, 0.026, 0.03)


def shade_face(sheet: Sheet, identity: Identity, units: Units) -> None:
    """Lay soft shadows and lights on the face."""
    puffed = units[6] + 0.4 * units[12]
    for side in visible_sides(sheet.head):
        socket = [side * 0.27, -0.1] + CIRCLE * [0.17, 0.11]
        sheet.shade_face(socket, -0.16 - 0.12 * units[4])
        hollow = [side * 0.52, 0.5] + CIRCLE * [0.09, 0.2]
        sheet.shade_face(hollow, -0.10 - 0.08 * identity.age)
        cheek = [side * 0.36, 0.28 - 0.05 * puffed] + CIRCLE * [0.14, 0.11]
        sheet.shade_face(cheek, 0.07 + 0.13 * puffed)
    _, _, _, lip = mouth_lines(identity, units)
    under = [0, lip[12, 1] + 0.04] + CIRCLE * [0.15, 0.035]
    sheet.shade_face(under, -0.2)
    chin = [0, sheet.head.chin - 0.14] + CIRCLE * [0.13, 0.07]
    sheet.shade_face(chin, 0.08)
    nose = [0, 0.43] + CIRCLE * [0.14, 0.04]
    sheet.shade_face(nose, -0.16)
    brow = [0, -0.25] + CIRCLE * [0.09, 0.1]
    sheet.shade_face(brow, -0.3 * min(1, units[4]))


def visible_sides(head: Head) -> tuple[int, ...]:
    """The sides that are in sight, the farther one first."""
    near = -1 if head.sin > 0 else 1
    return (near,) if abs(head.yaw) > FAR_EYE_ENDS else (-near, near)
