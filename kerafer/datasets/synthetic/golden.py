"""Images with known answers, to check a file where it is used."""

from __future__ import annotations

import itertools

import numpy as np

from kerafer.datasets.kdef import CLASSES
from kerafer.datasets.synthetic.dataset import CLOSE_UP, draw_image
from kerafer.images import fit

GOLDEN_IMAGES = 16
# Other people than the ones that the data set synthetic draws by default.
_SEED = 1


def draw_golden_images(shape: tuple[int, int, int]) -> np.ndarray:
    """Draw faces of all expressions, each another person's.

    They are drawn and not taken from the data, since they go wherever the
    files go, and the photographs of a data set rarely may.

    Args:
        shape: Height, width and channels of one.

    Returns:
        uint8 of shape `(16, *shape)`.
    """
    height, width, _ = shape
    codes = itertools.islice(itertools.cycle(CLASSES), GOLDEN_IMAGES)
    people = (f"{'FM'[i % 2]}{i // 2 + 1:02d}" for i in itertools.count())
    return np.stack(
        [
            fit(
                draw_image(
                    f"A{person}/A{person}{code}S.JPG",
                    _SEED,
                    (width, height),
                    CLOSE_UP,
                ),
                shape,
            )
            for code, person in zip(codes, people, strict=False)
        ]
    )
