"""Draw example images for the page."""

from __future__ import annotations

import io

from PIL import Image

from kerafer.datasets.kdef import CLASSES
from kerafer.datasets.synthetic import draw_image

# Subjects and seeds for which the included models name the intended
# expression. They do so for few drawn faces that show fear or disgust.
_DRAWN = {
    "HA": ("F01", 1),
    "SU": ("F02", 1),
    "NE": ("M07", 1),
    "SA": ("M21", 1),
    "AN": ("M11", 2),
}


def draw_examples() -> dict[str, bytes]:
    """Return PNG files of 320 x 400 pixels by their captions."""
    files = {}
    for code, (subject, seed) in _DRAWN.items():
        path = f"A{subject}/A{subject}{code}S.JPG"
        stream = io.BytesIO()
        image = draw_image(path, seed, (320, 400))
        Image.fromarray(image).save(stream, "PNG")
        caption = f"A synthetic face, meant to look {CLASSES[code]}"
        files[caption] = stream.getvalue()
    return files
