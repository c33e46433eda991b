"""Pictures to try the page with: a photograph, and drawn faces."""

from __future__ import annotations

import io
from importlib import resources
from typing import NamedTuple

from PIL import Image

from kerafer.data.kdef import CLASSES
from kerafer.data.synthetic.dataset import draw_picture

# Other people than the ones that the data set synthetic draws by default, and
# those of them of whom the models that come along say what was meant. Of
# drawn disgust they say it of nobody.
_SEED = 1
_SIZE = (320, 400)
_DRAWN = {
    "HA": "F24",
    "SU": "M08",
    "NE": "F01",
    "SA": "F35",
    "AN": "M22",
    "AF": "F07",
}


class Example(NamedTuple):
    """A picture to try.

    Args:
        name: Of its file.
        kind: Its media type.
        caption: What it shows.
        content: The file's bytes.
    """

    name: str
    kind: str
    caption: str
    content: bytes


def examples() -> list[Example]:
    """The photograph, a smile, and a drawn face of six expressions each."""
    drawn = [_draw(code, person) for code, person in _DRAWN.items()]
    return [_photograph(), *drawn]


def _photograph() -> Example:
    name = "astronaut.jpg"
    file = resources.files("kerafer.demo") / "examples" / name
    caption = "Eileen Collins, astronaut. Photograph: NASA, public domain"
    return Example(name, "image/jpeg", caption, file.read_bytes())


def _draw(code: str, person: str) -> Example:
    path = f"A{person}/A{person}{code}S.JPG"
    stream = io.BytesIO()
    Image.fromarray(draw_picture(path, _SEED, _SIZE)).save(stream, "PNG")
    expression = CLASSES[code]
    caption = f"A drawn face, meant to look {expression}"
    return Example(f"{expression}.png", "image/png", caption, stream.getvalue())
