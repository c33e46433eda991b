"""Hair, beards, head coverings and glasses."""

from __future__ import annotations

import dataclasses

import numpy as np

from kerafer.datasets.synthetic.features import (
    CIRCLE,
    FAR_EYE_ENDS,
    INK,
    WHITE,
    visible_sides,
)
from kerafer.datasets.synthetic.head import Head, pair, smooth
from kerafer.datasets.synthetic.identity import Identity, mix
from kerafer.datasets.synthetic.sheet import Sheet

Points = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class HairStyle:
    """How hair lies on the head.

    Args:
        line: Where the face begins, from the middle to the side: share of the
            half width, height.
        volume: How far it stands off the head.
        nape: Down to which height it covers the back of the head.
        length: Down to which height it hangs, 0 for hair that does not.
        fringe: The lower edge of hair that lies on the forehead, from side to
            side.
        curls: Number of curls on the outline.
        bun: Whether it is tied on the top.
    """

    line: Points
    volume: float
    nape: float = 0.45
    length: float = 0.0
    fringe: Points = ()
    curls: int = 0
    bun: bool = False


SHORT_LINE = (
    (0, -0.7),
    (0.45, -0.68),
    (0.72, -0.52),
    (0.88, -0.3),
    (0.97, 0.12),
)
HIGH_LINE = ((0, -0.72), (0.4, -0.78), (0.7, -0.62), (0.9, -0.3), (0.98, 0.05))
PARTED_LINE = (
    (0, -0.86),
    (0.3, -0.72),
    (0.68, -0.5),
    (0.9, -0.2),
    (0.97, 0.25),
)
STYLES = {
    "short": HairStyle(SHORT_LINE, 0.09),
    "crop": HairStyle(HIGH_LINE, 0.035),
    "part": HairStyle(
        SHORT_LINE,
        0.11,
        fringe=((-0.95, -0.3), (-0.6, -0.52), (0.0, -0.62), (0.5, -0.76)),
    ),
    "curly": HairStyle(SHORT_LINE, 0.17, nape=0.5, curls=15),
    "long": HairStyle(PARTED_LINE, 0.1, length=1.75),
    "bob": HairStyle(PARTED_LINE, 0.12, length=0.95),
    "fringe": HairStyle(
        PARTED_LINE,
        0.11,
        length=1.25,
        fringe=(
            (-0.93, -0.3),
            (-0.5, -0.45),
            (0.0, -0.47),
            (0.5, -0.45),
            (0.93, -0.3),
        ),
    ),
    "bun": HairStyle(SHORT_LINE, 0.06, bun=True),
}


def draw_behind(sheet: Sheet, identity: Identity) -> None:
    """Draw the hair (or the hijab) that the neck and the head lie on."""
    head = sheet.head
    style = STYLES.get(identity.hair_style)
    if style is None:
        return
    dark = mix(identity.hair, INK, 0.25)
    grow = style.volume * identity.hair_volume
    if style.bun:
        middle = np.array([-0.32 * head.sin, -1.24])
        sheet.fill(middle + CIRCLE * [0.27, 0.24], identity.hair)
        sheet.stroke(middle + CIRCLE[1:8] * [0.2, 0.17], dark, 0.03)
    if style.length:
        shape = head.outline(-1.0, 0.3, grow, face=-0.6)
        half = len(shape) // 2
        right, left = shape[half - 1], shape[half]
        hanging = np.array(
            [
                [right[0] + 0.05, (right[1] + style.length) / 2],
                [right[0] + 0.02, style.length],
                [left[0] - 0.02, style.length],
                [left[0] - 0.05, (left[1] + style.length) / 2],
            ]
        )
        outline = np.concatenate((shape[:half], hanging, shape[half:]))
        sheet.fill(outline, dark)
        if head.turned:
            _draw_locks(sheet, identity, visible_sides(head)[:-1])


def draw_hair(sheet: Sheet, identity: Identity) -> None:
    """Draw the hair on the head, and the face that it leaves free."""
    if identity.hair_style == "hijab":
        _draw_hijab(sheet, identity)
        return
    style = STYLES.get(
        "crop" if identity.hair_style == "cap" else identity.hair_style
    )
    if style is None:
        return
    head = sheet.head
    grow = style.volume * identity.hair_volume
    shape = head.outline(-1.1, style.nape, grow, face=-0.62)
    if style.curls:
        turns = np.linspace(0, style.curls * np.pi, len(shape))
        middle = shape.mean(0)
        away = (shape - middle) / np.linalg.norm(
            shape - middle, axis=1, keepdims=True
        )
        bumps = np.abs(np.sin(turns))[:, None] * 0.07
        shape = shape + away * bumps * (shape[:, 1:] < 0.3)
    sheet.fill(shape, identity.hair)
    _draw_face_below(sheet, identity, style.line)
    _draw_strands(sheet, identity, style, grow)
    if style.fringe and abs(head.yaw) < FAR_EYE_ENDS:
        edge = np.array(style.fringe) * [identity.part_side, 1]
        top = np.array([[x * 0.9, -0.85] for x, _ in edge])
        face = np.concatenate((smooth(edge), top[::-1]))
        sheet.fill_face(_spread(head, face), identity.hair, 0.05)


def draw_locks(sheet: Sheet, identity: Identity) -> None:
    """Draw long hair that falls beside the face."""
    head = sheet.head
    near = visible_sides(head)[-1]
    _draw_locks(sheet, identity, (near,) if head.turned else (-1, 1))


def _draw_locks(
    sheet: Sheet, identity: Identity, sides: tuple[int, ...]
) -> None:
    style = STYLES.get(identity.hair_style)
    if style is None or not style.length:
        return
    head = sheet.head
    grow = style.volume * identity.hair_volume
    for side in sides:
        heights = np.array([-0.75, -0.4, 0.0, 0.4, style.length])
        width, _, back, middle = head.sections(np.minimum(heights, 0.3))[:4]
        front = np.array([0.62, 0.9, 0.99, 1.0, 0.9]) * width
        fore = np.stack((side * front, heights, middle + 0.12), 1)
        fore[:2, 2] += (0.3, 0.15)
        hind = np.stack((side * (width + grow), heights, back), 1)
        if head.turned:
            hind *= (0.5, 1.0, 0.87)
        lock = np.concatenate((smooth(fore), smooth(hind)[::-1]))
        sheet.fill(lock, mix(identity.hair, INK, 0.06))
        sheet.stroke(smooth(fore), mix(identity.hair, INK, 0.35), 0.025)


def draw_cap(sheet: Sheet, identity: Identity) -> None:
    """Draw a cap with its peak."""
    if identity.hair_style != "cap":
        return
    head, cloth = sheet.head, identity.covering
    sheet.fill(head.outline(-1.1, -0.6, 0.09), cloth)
    angles = np.linspace(-1.25, 1.25, 15)
    width, front, _, middle = head.sections(np.full(15, -0.6))[:4]
    edge = np.stack(
        (
            (width + 0.05) * np.sin(angles),
            np.full(15, -0.62),
            middle + (front - middle) * np.cos(angles),
        ),
        1,
    )
    peak = edge + np.stack(
        (0 * angles, 0.11 * np.cos(angles), 0.5 * np.cos(angles) ** 0.7), 1
    )
    band = np.concatenate((edge - [0, 0.07, 0], edge[::-1]))
    sheet.fill(band, mix(cloth, INK, 0.2))
    sheet.fill(np.concatenate((edge, peak[::-1])), mix(cloth, INK, 0.38))


def draw_beard(sheet: Sheet, identity: Identity) -> None:
    """Draw the beard, which the mouth is drawn on."""
    head, kind = sheet.head, identity.beard
    if kind == "none":
        return
    chin = head.chin
    heavy = 0.16 if kind == "stubble" else 0.85
    colour = mix(identity.skin, identity.brow, heavy)
    if kind in ("full", "stubble"):
        edge = [(1.0, 0.08), (0.93, 0.24), (0.72, 0.5), (0.48, 0.56)]
        edge += [(0.2, 0.55), (0.0, 0.54)]
        jaw = np.linspace(0.1, chin, 14)
        side = pair(np.ones(14), jaw)
        right = np.concatenate((smooth(edge)[::-1], side))
        left = right[::-1] * [-1, 1]
        offset = 0.02 if kind == "stubble" else 0.05
        sheet.fill_face(
            _spread(head, np.concatenate((right, left))), colour, offset
        )
    if kind == "goatee":
        right = smooth(
            [(0.0, 0.75), (0.3, 0.8), (0.6, chin - 0.12), (0.5, chin)]
        )
        left = right[::-1] * [-1, 1]
        sheet.fill_face(
            _spread(head, np.concatenate((right, left))), colour, 0.05
        )
    if kind in ("goatee", "moustache", "full"):
        x = np.linspace(-0.26, 0.26, 13)
        top = pair(x, 0.515 + 1.2 * x**2)
        bottom = pair(x, 0.60 + 1.1 * x**2)
        sheet.fill_face(np.concatenate((top, bottom[::-1])), colour, 0.06)


def draw_glasses(sheet: Sheet, identity: Identity) -> None:
    """Draw glasses."""
    colour, head = identity.glasses, sheet.head
    if colour is None:
        return
    power = 1.0 if identity.round_glasses else 0.6
    ring = np.sign(CIRCLE) * np.abs(CIRCLE) ** power * [0.225, 0.175]
    sides = visible_sides(head)
    for side in sides:
        middle = np.array([side * 0.33 * identity.eye_distance, 0.03])
        lens = _plane(head, middle + ring)
        sheet.stroke(lens, colour, 0.036, ends=1.0)
    if len(sides) == 2:
        x = np.linspace(-0.11, 0.11, 7) * identity.eye_distance
        bridge = pair(x, -0.04 - 0.02 * np.cos(12 * x))
        sheet.stroke(_plane(head, bridge), colour, 0.036, ends=1.0)
    near = sides[-1]
    hinge = _plane(head, np.array([[near * 0.555, -0.03]]))[0]
    width, _, _, middle = head.sections(-0.02)[:4]
    ear = [near * (width + 0.02), -0.02, middle - 0.05]
    sheet.stroke(np.stack((hinge, ear)), colour, 0.036, ends=1.0)


def _plane(head: Head, face: np.ndarray) -> np.ndarray:
    """Points of the glasses, which bend less than the face does."""
    depth = 0.86 - 0.45 * face[:, 0] ** 2
    return np.stack((face[:, 0], face[:, 1], depth), 1)


def _draw_hijab(sheet: Sheet, identity: Identity) -> None:
    head, cloth = sheet.head, identity.covering
    shape = head.outline(-1.1, 0.3, 0.12)
    half = len(shape) // 2
    foot = np.array([[0.95, 1.45], [1.0, 2.2], [-1.0, 2.2], [-0.95, 1.45]])
    sheet.fill(np.concatenate((shape[:half], foot, shape[half:])), cloth)
    fold = mix(cloth, INK, 0.3)
    near = visible_sides(head)[-1]
    for start, end in ((0.75, 0.15), (0.6, -0.35)):
        line = [[near * start, 0.75], [near * 0.5, 1.2], [near * end, 1.7]]
        sheet.stroke(smooth(line), fold, 0.05)
    edge = ((0, -0.66), (0.45, -0.62), (0.75, -0.42), (0.88, 0.0), (0.9, 0.3))
    right = smooth(edge)
    bottom = np.linspace(0.35, head.chin - 0.01, 8)
    side = np.stack((np.full(8, 0.93), bottom), 1)
    right = np.concatenate((right, side))
    face = np.concatenate((right[::-1] * [-1, 1], right))
    face = _spread(head, face)
    sheet.fill_face(face, identity.skin, 0.0)
    sheet.stroke_face(face[8:-8], fold, 0.04)


def _draw_face_below(sheet: Sheet, identity: Identity, line: Points) -> None:
    """Fill the face below the hair line with skin."""
    right = np.concatenate((smooth(line), [(1.0, 0.3), (1.0, 0.75)]))
    face = np.concatenate((right[::-1] * [-1, 1], right))
    sheet.fill_face(_spread(sheet.head, face), identity.skin, 0.0)


def _draw_strands(
    sheet: Sheet, identity: Identity, style: HairStyle, grow: float
) -> None:
    head = sheet.head
    line = np.array(style.line)
    if abs(head.yaw) > FAR_EYE_ENDS:
        return
    near = visible_sides(head)[-1]
    for x in (-0.75, -0.45, -0.15, 0.15, 0.45, 0.75):
        if head.turned and x * near < 0.3:
            continue
        low = np.interp(abs(x), line[:, 0], line[:, 1]) - 0.03
        heights = np.linspace(-1.02, low, 5)
        across = x * np.array([0.35, 0.7, 0.9, 1.0, 1.0])
        face = _spread(head, pair(across, heights))
        share, other = (0.2, INK) if round(x * 20) % 2 else (0.1, WHITE)
        sheet.stroke_face(
            smooth(face), mix(identity.hair, other, share), 0.022, grow * 0.6
        )


def _spread(head: Head, points: np.ndarray) -> np.ndarray:
    """Points of the face whose first number is a share of its half width."""
    width = head.sections(points[:, 1])[0]
    return np.stack((points[:, 0] * width, points[:, 1]), 1)
