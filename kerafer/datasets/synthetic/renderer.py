"""Draw an image of a face from its subject and action units."""

from __future__ import annotations

import cv2
import numpy as np

from kerafer.datasets.synthetic.action_units import Units
from kerafer.datasets.synthetic.canvas import Canvas
from kerafer.datasets.synthetic.face import draw_face, jaw_drop
from kerafer.datasets.synthetic.head import Head, Pose, smooth
from kerafer.datasets.synthetic.subject import Colour, Subject, darker, palette

# Pixels per unit of the head, and height of the eyes, as shares of the width
# and the height.
_UNIT, _EYES = 0.38, 0.46
# OpenCV widens outlines by half a pixel, so small images are drawn larger.
_LEAST_WIDTH = 192
_COLOURS = palette("e2dcd0 aabac4 788880 c4a88c 5c6274 8a5862")


def render_face(
    subject: Subject,
    units: Units,
    pose: Pose,
    rng: np.random.Generator,
    size: tuple[int, int],
) -> np.ndarray:
    """Draw a face as uint8 RGB of shape `(height, width, 3)`.

    `size` is width and height. `rng` draws colours, gaze, light and noise.
    """
    finer = -(-_LEAST_WIDTH // size[0])
    width, height = size[0] * finer, size[1] * finer
    centre = width * (0.5 + pose.right), height * _EYES + width * pose.down
    unit = _UNIT * width * pose.scale
    canvas = Canvas(Head(subject, pose, unit, centre, jaw_drop(units)))
    wall, clothes = (
        tuple((rng.uniform(0.85, 1.1) * np.array(_COLOURS[i])).tolist())
        for i in rng.integers(len(_COLOURS), size=2)
    )
    gaze = rng.uniform(-0.03, 0.03), rng.uniform(-0.008, 0.015)
    _draw_person(canvas, subject, clothes)
    draw_face(canvas, subject, units, gaze)
    image = np.full((height, width, 3), wall, np.float64).astype(np.uint8)
    canvas.draw(image)
    # Light from one side.
    light = np.linspace(-1, 1, width) * rng.uniform(-0.3, 0.3)
    light = 128 * (rng.uniform(0.85, 1.05) + light)
    light = np.broadcast_to(light.astype(np.uint8)[:, None], image.shape)
    image = cv2.multiply(image, np.ascontiguousarray(light), scale=1 / 128)
    if finer > 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    noise = 128 + rng.uniform(1, 4) * rng.standard_normal(
        size[::-1], np.float32
    )
    noise = cv2.merge([np.rint(noise).astype(np.uint8)] * 3)
    return cv2.addWeighted(image, 1, noise, 1, -128)


def _draw_person(canvas: Canvas, subject: Subject, clothes: Colour) -> None:
    """Draw everything but the face."""
    head, skin = canvas.head, subject.skin
    volume = subject.hair_volume
    if subject.long_hair:
        behind = head.outline(0.3, volume, face=-0.6)
        turn = len(behind) // 2
        ends = behind[[turn - 1, turn]] + [[0.03, 1.3], [-0.03, 1.3]]
        behind = np.insert(behind, turn, ends, axis=0)
        canvas.fill(behind, darker(subject.hair, 0.25))
    middle = [-0.22 * head.sin, 0]
    half = 0.4 * subject.face_width * subject.jaw_width
    neck = [[half, 0.4], [half, 1.4], [-half, 1.4], [-half, 0.4]]
    canvas.fill(np.array(neck) + middle, darker(skin, 0.2))
    right = smooth([[0, 1.45], [half, 1.28], [1.25, 1.62], [1.75, 4.0]])
    canvas.fill(
        np.concatenate((right, right[::-1] * [-1, 1])) + middle, clothes
    )
    near = head.sides[-1]
    if not subject.long_hair:
        _draw_ear(canvas, subject, -near)
    canvas.fill(head.outline(head.chin), skin)
    canvas.fill(head.outline(0.45, volume, face=-0.62), subject.hair)
    line = [(0, -0.7), (0.45, -0.68), (0.72, -0.52), (0.88, -0.3), (0.97, 0.12)]
    right = np.concatenate((smooth(line), [(1.0, 0.3), (1.0, 0.75)]))
    face = np.concatenate((right[::-1] * [-1, 1], right))
    face[:, 0] *= head.sections(face[:, 1])[0]
    canvas.fill_face(face, skin, 0.0)
    if not subject.long_hair:
        _draw_ear(canvas, subject, near)


def _draw_ear(canvas: Canvas, subject: Subject, side: int) -> None:
    width, _, middle = canvas.head.sections(0.1)[:3]
    root = np.array([side * (width + 0.01), 0.1, middle - 0.1])
    shape = smooth(
        [[0, -0.2], [0.7, -0.24], [1, -0.1], [0.85, 0.1], [0.4, 0.25], [0, 0.2]]
    )
    for part, dark in ((1.0, 0.06), (0.6, 0.22)):
        along = shape[:, :1] * part * np.array([side * 0.09, 0.0, -0.14])
        down = shape[:, 1:] * part * [0.0, 0.95, 0.0]
        canvas.fill(root + along + down, darker(subject.skin, dark))
