"""Images to try the page with: synthetic faces, one for each expression."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image

from kerafer.data.kdef import CLASSES
from kerafer.data.synthetic.dataset import draw_image

# Other people than the ones that the data set synthetic draws by default, and
# those of them of whom the models that come along say what was meant. Of
# drawn disgust they say it of nobody.
_SEED = 1
_SIZE = (320, 400)
_DRAWN = {
    "HA": "F24",
    "SU": "M08",
    "NE": "F01",
    "SA": "M13",
    "AN": "M03",
    "AF": "F06",
}


class Example(NamedTuple):
    """An image to try.

    Args:
        name: Of its file.
        caption: What it shows.
        png: The bytes of a PNG file, RGB, 320 x 400 pixels.
    """

    name: str
    caption: str
    png: bytes


def examples() -> list[Example]:
    """Draw a portrait of six of KDEF's expressions each, a smile first."""
    return [_draw(code, person) for code, person in _DRAWN.items()]


def _draw(code: str, person: str) -> Example:
    path = f"A{person}/A{person}{code}S.JPG"
    stream = io.BytesIO()
    Image.fromarray(draw_image(path, _SEED, _SIZE)).save(stream, "PNG")
    expression = CLASSES[code]
    caption = f"A synthetic face, meant to look {expression}"
    return Example(f"{expression}.png", caption, stream.getvalue())
