"""Draw example images for the page."""

from __future__ import annotations

import io

from PIL import Image

from kerafer.datasets.kdef import CLASSES
from kerafer.datasets.synthetic.dataset import draw_image

# Subjects and seeds for which the included models name the intended
# expression. They do so for no drawn face that shows disgust.
_DRAWN = {
    "HA": ("F24", 1),
    "SU": ("M08", 1),
    "NE": ("F01", 1),
    "SA": ("M01", 4),
    "AN": ("M35", 104),
    "AF": ("F26", 5),
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
