"""Images to try the page with: synthetic faces, one for each expression."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image

from kerafer.datasets.kdef import CLASSES
from kerafer.datasets.synthetic.dataset import draw_image

# Other people than the ones that the data set synthetic draws by default, each
# with the seed of those of whom the models that come along say what was meant,
# also where the box is a few percent off. Of drawn disgust they say it of
# nobody.
_SIZE = (320, 400)
_DRAWN = {
    "HA": ("F24", 1),
    "SU": ("M08", 1),
    "NE": ("F01", 1),
    "SA": ("M01", 4),
    "AN": ("M35", 104),
    "AF": ("F26", 5),
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
    return [_draw(code, *drawn) for code, drawn in _DRAWN.items()]


def _draw(code: str, person: str, seed: int) -> Example:
    path = f"A{person}/A{person}{code}S.JPG"
    stream = io.BytesIO()
    Image.fromarray(draw_image(path, seed, _SIZE)).save(stream, "PNG")
    expression = CLASSES[code]
    caption = f"A synthetic face, meant to look {expression}"
    return Example(f"{expression}.png", caption, stream.getvalue())
