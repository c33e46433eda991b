"""Draw the image of README's first screen.

    pip install scikit-image
    python docs/draw_answer.py docs/answer.png

The photograph is scikit-image's astronaut: Eileen Collins, by NASA, in the
public domain. It comes inside that package, as `skimage/data/astronaut.png`,
of which `kerafer predict` prints README's table.
"""

import sys
from pathlib import Path

from PIL import Image

import kerafer
from kerafer.runtime import annotate

_WIDTH = 400


def main() -> None:
    """Predict, annotate, and write the file that is named."""
    from skimage import data

    photograph = data.astronaut()[:400]
    faces = kerafer.Recognizer().predict(photograph)
    drawn = Image.fromarray(annotate(photograph, faces))
    height = round(drawn.height * _WIDTH / drawn.width)
    drawn = drawn.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    # 256 colours are seen as the photograph, at a third of the size.
    drawn.quantize(256).save(Path(sys.argv[1]), optimize=True)


if __name__ == "__main__":
    main()
