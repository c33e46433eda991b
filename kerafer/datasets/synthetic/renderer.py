"""A face, drawn from who it is and what its muscles do."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from kerafer.datasets.synthetic import features, hair
from kerafer.datasets.synthetic.action_units import ACTION_UNITS
from kerafer.datasets.synthetic.features import CIRCLE, INK, WHITE
from kerafer.datasets.synthetic.head import Head, moved, smooth
from kerafer.datasets.synthetic.identity import Identity, mix
from kerafer.datasets.synthetic.scene import Scene
from kerafer.datasets.synthetic.sheet import COARSE, Sheet
from kerafer.errors import UserError

# Pixels a unit of the head, and height of the eyes, as parts of the width.
UNIT = 0.38
EYES = 0.46
# OpenCV fattens outlines by half a pixel, so small images are drawn finer.
LEAST_WIDTH = 192


def render_face(
    identity: Identity,
    action_units: Mapping[int, float] | None = None,
    yaw: float = 0.0,
    scene: Scene | None = None,
    size: tuple[int, int] = (224, 224),
) -> np.ndarray:
    """Draw one image of a face.

    Another size shows the same scene; a taller image shows more below and
    above of it.

    Args:
        identity: Who is drawn.
        action_units: Intensity, 0 to 1, of the facial action units that move;
            keys of `ACTION_UNITS`. Defaults to none: a neutral face.
        yaw: Turn of the head in degrees, -90 to 90. Below zero the nose points
            to the image's left, and the person's left cheek is in sight.
            Defaults to 0.
        scene: Pose, light and surroundings. Defaults to a calm scene.
        size: Width and height in pixels. Defaults to `(224, 224)`.

    Returns:
        uint8 RGB of shape `(height, width, 3)`, the same for the same
        arguments.

    Raises:
        UserError: For an unknown action unit or a turn beyond a profile.
    """
    given = dict(action_units or {})
    unknown = sorted(set(given) - set(ACTION_UNITS))
    if unknown:
        raise UserError(
            f"The action units are {', '.join(map(str, ACTION_UNITS))}. "
            f"Received: {', '.join(map(str, unknown))}."
        )
    if abs(yaw) > 90:
        raise UserError(
            f"A face is turned by -90 to 90 degrees. Received: {yaw}."
        )
    units = {unit: given.get(unit, 0.0) for unit in ACTION_UNITS}
    scene = scene or Scene()
    rng = np.random.default_rng(scene.seed)
    finer = -(-LEAST_WIDTH // size[0])
    width, height = drawn = size[0] * finer, size[1] * finer
    head = Head(
        identity,
        yaw,
        scene.pitch,
        scene.roll,
        unit=UNIT * width * scene.scale,
        centre=(
            width * (0.5 + scene.shift[0]),
            height * EYES + width * scene.shift[1],
        ),
        jaw_drop=features.jaw_drop(units),
    )
    wall = _wall(scene, drawn, rng)
    sheet = Sheet(head, drawn)
    _draw_person(sheet, identity, units, scene)
    image = _light(sheet, wall, scene)
    if finer > 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return _expose(image, scene, rng)


def _draw_person(
    sheet: Sheet, identity: Identity, units: Mapping[int, float], scene: Scene
) -> None:
    head = sheet.head
    hair.draw_behind(sheet, identity)
    _draw_body(sheet, identity, scene)
    far, near = (1, -1) if head.sin > 0 else (-1, 1)
    covered = identity.hair_style in ("hijab", "long", "bob", "fringe")
    if not covered:
        _draw_ear(sheet, identity, far)
    sheet.fill(head.outline(-1.1, head.chin), identity.skin)
    hair.draw_hair(sheet, identity)
    if not covered:
        _draw_ear(sheet, identity, near)
    hair.draw_beard(sheet, identity)
    features.shade_face(sheet, identity, units)
    features.draw_forehead(sheet, identity, units)
    features.draw_eyes(
        sheet, identity, units, scene.gaze, identity.beard == "none"
    )
    features.draw_mouth(sheet, identity, units)
    light = np.sin(np.radians(scene.light)) * scene.contrast
    features.draw_nose(sheet, identity, units, light)
    features.draw_brows(sheet, identity, units)
    hair.draw_locks(sheet, identity)
    hair.draw_cap(sheet, identity)
    hair.draw_glasses(sheet, identity)
    _draw_occluder(sheet, identity, scene)


def _wall(
    scene: Scene, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    width, height = size
    rows = round(COARSE * height / width)
    share = np.linspace(0, 1, rows)[:, None, None]
    upper, lower = (np.array(colour) for colour in scene.wall)
    wall = np.broadcast_to(upper + (lower - upper) * share, (rows, COARSE, 3))
    wall = wall.astype(np.uint8, order="C")
    for x, y, radius, tone in rng.uniform(-1, 1, (3, 4)).tolist():
        colour = mix(scene.wall[0], WHITE if tone > 0 else INK, 0.3 * abs(tone))
        middle = (
            round((0.5 + 0.6 * x) * COARSE),
            round((0.5 + 0.6 * y) * rows),
        )
        cv2.circle(wall, middle, round(14 + 8 * radius), colour, -1)
    wall = cv2.GaussianBlur(wall, (0, 0), 3)
    return cv2.resize(wall, size, interpolation=cv2.INTER_LINEAR)


def _draw_body(sheet: Sheet, identity: Identity, scene: Scene) -> None:
    head, skin, cloth = sheet.head, identity.skin, scene.clothes
    middle = -0.22 * head.sin
    broad = 1.12 if identity.beard != "none" else 1.0
    half = 0.40 * identity.face_width * identity.jaw_width
    neck = np.array(
        [
            [middle + half, 0.4],
            [middle + half * 0.96, 1.1],
            [middle + half, 1.4],
            [middle - half, 1.4],
            [middle - half * 0.96, 1.1],
            [middle - half, 0.4],
        ]
    )
    sheet.fill(smooth(neck), mix(skin, INK, 0.1))
    jaw = moved(head.outline(0.45, head.chin), 0, 0.1)
    jaw[:, 0] = np.clip(jaw[:, 0], middle - half * 0.95, middle + half * 0.95)
    sheet.fill(jaw, mix(skin, INK, 0.3))
    right = smooth(
        [
            [half * 1.02, 1.26],
            [half * 1.4, 1.4],
            [1.25 * broad, 1.62],
            [1.62 * broad, 2.1],
            [1.75 * broad, 4.0],
        ]
    )
    dip = smooth(
        [
            [-half * 1.02, 1.26],
            [0, 1.26 + scene.collar * 1.6],
            [half * 1.02, 1.26],
        ]
    )
    body = np.concatenate((right, right[::-1] * [-1, 1], dip[1:-1]))
    body[:, 0] += middle
    sheet.fill(body, cloth)
    dip[:, 0] += middle
    sheet.stroke(dip, mix(cloth, INK, 0.3), 0.07, ends=1.0)


def _draw_ear(sheet: Sheet, identity: Identity, side: int) -> None:
    width, _, _, middle = sheet.head.sections(0.1)[:4]
    root = np.array([side * (width + 0.01), 0.1, middle - 0.1])
    along = np.array([side * 0.55, 0.0, -0.8])
    shape = np.array(
        [
            [0.0, -0.2],
            [0.7, -0.24],
            [1.0, -0.1],
            [0.85, 0.1],
            [0.4, 0.25],
            [0.0, 0.2],
        ]
    )
    skin = identity.skin
    for part, colour in (
        (1.0, mix(skin, INK, 0.06)),
        (0.6, mix(skin, INK, 0.22)),
    ):
        curve = smooth(shape * part + [0.1 * (1 - part), 0])
        ear = root + curve[:, :1] * along * 0.17 + curve[:, 1:] * [0, 0.95, 0]
        sheet.fill(ear, colour)


def _draw_occluder(sheet: Sheet, identity: Identity, scene: Scene) -> None:
    side, skin = scene.occluder_side, identity.skin
    edge = mix(skin, INK, 0.35)
    if scene.occluder == "hand":
        palm = [
            [0.9, 2.2],
            [0.52, 1.5],
            [0.5, 1.0],
            [0.75, 0.75],
            [1.15, 1.1],
            [1.5, 2.2],
        ]
        sheet.fill(smooth(palm) * [side, 1], skin)
        for x, y in ((0.42, 0.72), (0.55, 0.52), (0.7, 0.45), (0.86, 0.55)):
            finger = np.array([[x + 0.14, 1.15], [x + 0.06, 0.95], [x, y]])
            sheet.stroke(smooth(finger) * [side, 1], edge, 0.175, ends=0.85)
            sheet.stroke(smooth(finger) * [side, 1], skin, 0.145, ends=0.85)
    elif scene.occluder == "scarf":
        cloth = mix(scene.wall[1], (170, 60, 60), 0.7)
        upper = [
            [-0.75, 0.75],
            [-0.4, 0.95],
            [0.0, 1.0],
            [0.4, 0.95],
            [0.75, 0.75],
        ]
        lower = [[0.85, 1.35], [0.0, 1.6], [-0.85, 1.35]]
        sheet.fill(np.concatenate((smooth(upper), smooth(lower))), cloth)
        for dip in (1.15, 1.32):
            line = [[-0.78, dip - 0.2], [0.0, dip], [0.78, dip - 0.2]]
            sheet.stroke(smooth(line), mix(cloth, INK, 0.3), 0.05)
    elif scene.occluder == "strand":
        line = [[0.1, -0.9], [0.4, -0.45], [0.46, 0.0], [0.62, 0.5], [0.6, 0.8]]
        colour = (
            identity.covering
            if identity.hair_style == "hijab"
            else identity.hair
        )
        sheet.stroke(smooth(line) * [side, 1], colour, 0.13, ends=0.2)
    elif scene.occluder == "cup":
        x = side * 0.34
        cup = [
            [x - 0.3, 0.86],
            [x + 0.3, 0.86],
            [x + 0.25, 1.5],
            [x - 0.25, 1.5],
        ]
        sheet.fill(np.array(cup), WHITE)
        sheet.fill([x, 0.86] + CIRCLE * [0.3, 0.05], (210, 206, 198))
        band = [
            [x - 0.285, 1.05],
            [x + 0.285, 1.05],
            [x + 0.27, 1.25],
            [x - 0.27, 1.25],
        ]
        sheet.fill(np.array(band), (176, 92, 74))


def _light(sheet: Sheet, wall: np.ndarray, scene: Scene) -> np.ndarray:
    """Light the person, not the wall, by a coarse map with soft shadows."""
    head, (columns, rows) = sheet.head, sheet.coarse_size
    middle = head.place(np.array([[-0.05 * head.sin, 0.0]]))[0] * sheet.coarse
    radius = head.unit * sheet.coarse
    across = (np.arange(columns) - middle[0])[None] / radius
    down = (np.arange(rows) - middle[1])[:, None] / (radius * 1.3)
    far = across**2 + down**2
    angle = np.radians(scene.light)
    facing = np.sin(angle) * across - 0.35 * down
    facing = facing / np.sqrt(np.maximum(far, 1))
    facing += np.cos(angle) * np.sqrt(np.maximum(1 - far, 0))
    facing = np.maximum(facing, 0.05)
    light = (1 + scene.contrast * (facing - 0.68)) * sheet.draw_shade()
    light = np.clip(light, 0, 255).astype(np.uint8)
    height, width = wall.shape[:2]
    light = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
    image = wall.copy()
    sheet.draw(image)
    drawn = cv2.transform(cv2.absdiff(image, wall), np.ones((1, 3)))
    lit = cv2.multiply(image, cv2.merge([light] * 3), scale=1 / 128)
    return cv2.copyTo(lit, drawn, wall)


def _expose(
    image: np.ndarray, scene: Scene, rng: np.random.Generator
) -> np.ndarray:
    """What the camera makes of it: colour, blur and noise."""
    height, width = image.shape[:2]
    sigma = scene.blur * width / 1000
    if sigma > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    tint = 1 + scene.warmth * np.array([0.07, 0.0, -0.09])
    levels = np.arange(256)[:, None] * (tint * scene.brightness)
    levels = np.clip(levels, 0, 255).astype(np.uint8)
    image = cv2.LUT(image, levels[None])
    if not scene.noise:
        return image
    noise = rng.standard_normal((height, width), np.float32) * scene.noise
    noise = np.rint(noise + 128).astype(np.uint8)
    return cv2.addWeighted(image, 1, cv2.merge([noise] * 3), 1, -128)
