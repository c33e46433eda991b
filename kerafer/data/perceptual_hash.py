"""Finding pictures that look the same, though their files differ."""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 32
_LOW = 8
_BLOCK = 256


def thumbnail(image: np.ndarray) -> np.ndarray:
    """A picture as 32 x 32 gray values.

    Args:
        image: uint8 RGB of shape `(height, width, 3)`.

    Returns:
        float32 of shape `(32, 32)`.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if min(gray.shape) > 2 * SIDE:
        # Area alone would keep the grain of a large picture.
        gray = cv2.blur(gray, tuple(n // SIDE for n in gray.shape[::-1]))
    return cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )


def perceptual_hash(thumb: np.ndarray) -> np.uint64:
    """64 bits that stay nearly the same when a picture is saved anew.

    The signs of the 8 x 8 lowest frequencies of the cosine transform, about
    their median (the mean brightness takes no part in that).

    Args:
        thumb: What `thumbnail` returned.

    Reference:
        Zauner, Implementation and Benchmarking of Perceptual Image Hash
        Functions (2010), section 3.2.1.
    """
    low = cv2.dct(thumb)[:_LOW, :_LOW].ravel()
    bits = low > np.median(low[1:])
    return np.packbits(bits).view(np.uint64)[0]


def near_pairs(
    hashes: np.ndarray, others: np.ndarray, distance: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of hashes that differ in few bits.

    Args:
        hashes: uint64 of shape `(n,)`.
        others: uint64 of shape `(n,)`, of the same pictures; the mirrored
            ones, or the same again.
        distance: Bits at most.

    Returns:
        Row in `hashes`, row in `others` and the bits that differ, for every
        pair whose first row is the smaller.
    """
    found = []
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK, None]
        bits = np.bitwise_count(block ^ others[None, start:])
        rows, columns = np.nonzero(bits <= distance)
        later = columns > rows
        rows, columns = rows[later], columns[later]
        found.append((rows + start, columns + start, bits[rows, columns]))
    first, second, bits = (np.concatenate(x) for x in zip(*found, strict=True))
    return first, second, bits.astype(int)
