"""Pictures to try the page with: drawn faces, one for each expression."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image

from kerafer.data.kdef import CLASSES
from kerafer.data.synthetic.dataset import draw_picture

# Other people than the ones that the data set synthetic draws by default.
_SEED = 1
_SIZE = (320, 400)
_PEOPLE = {
    "HA": "F01",
    "SU": "M01",
    "AN": "M04",
    "SA": "F03",
    "AF": "F10",
    "DI": "M10",
    "NE": "F04",
}


class DrawnFace(NamedTuple):
    """A picture that `kerafer` drew.

    Args:
        expression: What it was drawn to show, such as `"happy"`.
        png: The bytes of a PNG file, RGB, 320 x 400 pixels.
    """

    expression: str
    png: bytes


def draw_faces() -> list[DrawnFace]:
    """Draw one face for each of KDEF's seven expressions, portraits."""
    return [_draw(code, person) for code, person in _PEOPLE.items()]


def _draw(code: str, person: str) -> DrawnFace:
    path = f"A{person}/A{person}{code}S.JPG"
    stream = io.BytesIO()
    picture = Image.fromarray(draw_picture(path, _SEED, _SIZE))
    picture.save(stream, "PNG")
    return DrawnFace(CLASSES[code], stream.getvalue())
