"""Draw brows, eyes, nose and mouth as the action units shape them."""

from __future__ import annotations

import numpy as np

from kerafer.datasets.synthetic.action_units import Units
from kerafer.datasets.synthetic.canvas import Canvas
from kerafer.datasets.synthetic.head import smooth
from kerafer.datasets.synthetic.subject import Colour, Subject, darker, mix

_WHITE: Colour = (244, 243, 238)
_ACROSS_MOUTH = np.linspace(-1, 1, 25)
_ACROSS_EYE = np.linspace(-1, 1, 15)
_TURN = np.linspace(0, 2 * np.pi, 20)
CIRCLE = np.stack((np.cos(_TURN), np.sin(_TURN)), 1)


def jaw_drop(units: Units) -> float:
    """Return how far the chin is lowered, in units of the head."""
    return 0.19 * units[26] + 0.04 * units[25]


def brow_line(subject: Subject, units: Units, side: int) -> np.ndarray:
    """Return the middle of a brow from its inner to its outer end, `(n, 2)`.

    `side` is -1 for the image's left, 1 for its right.
    """
    # Together with the inner raiser, the lowerer mainly draws together.
    lowered = units[4] * (1 - 0.75 * min(units[1], 1))
    x = np.array([0.15, 0.27, 0.40, 0.50, 0.57]) * subject.eye_distance
    x -= np.array([1.0, 0.7, 0.35, 0.15, 0.0]) * units[4] * 0.055
    y = np.array([-0.255, -0.315, -0.335, -0.305, -0.255])
    y += np.array([-0.17, -0.11, -0.035, 0.01, 0.03]) * units[1]
    y += np.array([-0.02, -0.06, -0.125, -0.13, -0.11]) * units[2]
    y += np.array([0.155, 0.115, 0.06, 0.005, -0.03]) * lowered
    y += np.array([1.0, 0.8, 0.6, 0.4, 0.2]) * units[9] * 0.065
    return smooth(np.stack((side * x, y), 1), 4)


def eye_lids(subject: Subject, units: Units, side: int) -> np.ndarray:
    """Return the edges of upper and lower lid, `(2, n, 2)`, from inside."""
    t, size = _ACROSS_EYE, subject.eye_size
    even = 1 - t**2
    tight = units[7] + 0.8 * units[6] + 0.9 * units[9]
    upper = 0.092 + 0.09 * units[5] - 0.024 * tight
    lower = 0.062 + 0.016 * units[5] - 0.038 * tight
    worry = max(0.0, units[1] * units[4] * (1 - 1.2 * units[5]))
    frown = units[4] * max(0.0, 1 - 1.3 * units[1])
    top = -max(upper, 0.022) * (1 - np.abs(t) ** 2.4) ** 0.75
    top += even * (worry * (0.028 + 0.05 * t) + frown * (0.012 - 0.045 * t))
    bottom = max(lower, 0.004) * even**0.8 + even * worry * 0.01
    x = side * (0.33 * subject.eye_distance + 0.165 * size * t)
    edges = np.minimum(top, bottom) * size, bottom * size
    return np.stack([np.stack((x, edge - 0.01 * t), 1) for edge in edges])


def mouth_lines(subject: Subject, units: Units) -> np.ndarray:
    """Return the lips' four edges from left to right, `(4, n, 2)`.

    From above: outer and inner edge of the upper lip, inner and outer edge of
    the lower lip.
    """
    t = np.abs(_ACROSS_MOUTH)
    smile, stretch, drop = units[12], units[20], units[26]
    snarl, pressed = units[10], units[24] + 0.8 * units[23]
    half = 0.36 * smile + 0.32 * stretch - 0.24 * drop
    half -= 0.2 * units[23] + 0.08 * units[24] + 0.1 * units[17]
    half = 0.285 * subject.mouth_width * (1 + half)
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
    full = subject.lip_fullness * (1 - 0.62 * np.clip(pressed, 0, 1))
    bow = (1 - t**2) ** 0.65
    top = 0.058 * full * (1 - 0.3 * smile) * bow
    bottom = 0.068 * full * (1 + 0.35 * units[17] - 0.2 * stretch) * bow
    edges = (inner_top - top, inner_top, inner_bottom, inner_bottom + bottom)
    return np.stack(
        [np.stack((_ACROSS_MOUTH * half, edge), 1) for edge in edges]
    )


def draw_face(
    canvas: Canvas, subject: Subject, units: Units, gaze: tuple[float, float]
) -> None:
    """Draw the face; `gaze` shifts the irises to the right and down."""
    for side in canvas.head.sides:
        _draw_eye(canvas, subject, units, gaze, side)
        _draw_brow(canvas, subject, units, side)
    _draw_mouth(canvas, subject, units)
    for side in canvas.head.sides:
        _draw_nose(canvas, subject, units, side)


def _draw_eye(
    canvas: Canvas,
    subject: Subject,
    units: Units,
    gaze: tuple[float, float],
    side: int,
) -> None:
    upper, lower = eye_lids(subject, units, side)
    canvas.fill_face(np.concatenate((upper, lower[::-1])), _WHITE)
    middle = upper[7] * [1, 0] + [gaze[0], gaze[1] - 0.012]
    for radius, colour in ((0.084, subject.eyes), (0.039, (16, 12, 12))):
        disc = middle + CIRCLE * radius * subject.eye_size
        # The part of the iris between the lids.
        order = np.argsort(upper[:, 0])
        x = np.clip(disc[:, 0], upper[:, 0].min(), upper[:, 0].max())
        top = np.interp(x, upper[order, 0], upper[order, 1])
        bottom = np.interp(x, lower[order, 0], lower[order, 1])
        y = np.clip(disc[:, 1], top, bottom)
        canvas.fill_face(np.stack((x, y), 1), colour)
    canvas.stroke_face(lower, darker(subject.skin, 0.72), 0.014, ends=0.4)
    crease = upper - [0, 0.035 * (1 - 0.5 * min(units[5], 1))]
    canvas.stroke_face(crease, darker(subject.skin, 0.5), 0.014)
    canvas.stroke_face(upper, (34, 22, 20), 0.033, ends=0.45)


def _draw_brow(
    canvas: Canvas, subject: Subject, units: Units, side: int
) -> None:
    line = brow_line(subject, units, side)
    thick = np.interp(
        np.linspace(0, 1, len(line)), (0, 0.15, 0.5, 1), (0.7, 1, 0.9, 0.15)
    )
    half = (0.041 * subject.brow_thickness * thick)[:, None] * [0, 1]
    shape = np.concatenate((line - half, (line + half)[::-1]))
    canvas.fill_face(shape, subject.brow, 0.035)
    if units[4] > 0.2:
        frown = smooth([[0.045, -0.19], [0.055, -0.27], [0.05, -0.34]])
        colour = darker(subject.skin, min(0.5, 0.45 * units[4]))
        canvas.stroke_face(frown * [side, 1], colour, 0.022)


def _draw_nose(
    canvas: Canvas, subject: Subject, units: Units, side: int
) -> None:
    """Draw a half of the nose, which stands out at a turned face's edge."""
    skin, head = subject.skin, canvas.head
    lifted = 0.05 * units[9] + 0.015 * units[10]
    wide = subject.nose_width * (1 + 0.12 * (units[9] + units[12]))
    ala, half = 0.36 - lifted, 0.145 * wide
    ridge = [[0, -0.16, 0.0], [0, -0.04, 0.03], [0, 0.15, 0.12]]
    tip = [[0, 0.3, 0.235], [0, 0.36, 0.235], [0, 0.415, 0.17], [0, 0.45, 0.03]]
    wing = [[0.7, 0.085, 0.05], [1.0, 0.06, 0.0], [1.02, 0.0, 0.02]]
    wing = [[side * half * x, ala + y, z] for x, y, z in wing]
    flank = [[side * 0.075, 0.12, 0.045], [side * 0.06, -0.08, 0.0]]
    outline = np.array(ridge + tip + wing + flank)
    solid = head.lift(outline[:, :2], outline[:, 2])
    canvas.fill(solid, darker(skin, 0.05 + 0.03 * side))
    # The far wing of a turned nose is out of sight.
    if abs(head.sin) < 0.42 or side * head.sin < 0:
        nostril = [side * 0.062 * wide, 0.425 - lifted / 2]
        shape = nostril + CIRCLE * [0.038 * wide, 0.02]
        canvas.fill_face(shape, darker(skin, 0.66), 0.09)
        curve = smooth([[0.62, 0.095], [1, 0.07], [1.08, 0], [0.86, -0.06]])
        curve = curve * [side * half, 1] + [0, ala]
        canvas.stroke_face(curve, darker(skin, 0.42), 0.022, 0.04)


def _draw_mouth(canvas: Canvas, subject: Subject, units: Units) -> None:
    outer_top, inner_top, inner_bottom, outer_bottom = mouth_lines(
        subject, units
    )
    gap = inner_bottom[12, 1] - inner_top[12, 1]
    if gap > 0.02:
        inside = np.concatenate((inner_top, inner_bottom[::-1]))
        canvas.fill_face(inside, (66, 18, 24))
        shown = 0.3 + 0.5 * units[12] + 0.6 * units[10] + 0.4 * units[20]
        shown = min(1.0, shown, 0.1 / gap)
        edge = inner_top + (inner_bottom - inner_top) * shown
        teeth = np.concatenate((inner_top[1:-1], edge[-2:0:-1]))
        canvas.fill_face(teeth, _WHITE, 0.025)
    top = np.concatenate((outer_top, inner_top[::-1]))
    bottom = np.concatenate((inner_bottom, outer_bottom[::-1]))
    canvas.fill_face(bottom, mix(subject.lips, _WHITE, 0.06), 0.045)
    canvas.fill_face(top, darker(subject.lips, 0.12), 0.05)
    line = darker(subject.lips, 0.7)
    canvas.stroke_face(inner_top, line, 0.022, 0.045, ends=0.6)
    fold = 0.9 * units[12] + 0.8 * (units[10] + 0.8 * units[9])
    if fold > 0.12:
        for side in canvas.head.sides:
            end = inner_top[-1 if side > 0 else 0]
            curve = [
                [side * 0.155, 0.37 - 0.05 * units[9]],
                [side * 0.25, 0.44],
                [end[0] + side * 0.08, end[1] - 0.05],
                [end[0] + side * 0.07, end[1] + 0.03],
            ]
            colour = darker(subject.skin, min(0.46, 0.42 * fold))
            canvas.stroke_face(smooth(curve), colour, 0.026, 0.03)
