"""Finding images that look the same, though their files differ."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

SIDE = 32
_LOW = 8
# Hashes at once, against others at once: what a processor's cache holds.
_TILE = 256, 4096
# Odd columns of the cosine transform change their sign in a mirror.
_ODD = np.tile(np.arange(1, _LOW + 1) % 2 == 1, (_LOW, 1))
_SMOOTH = (3, 3)
_WINDOW = (6, 6)
_RIM = 2
_TURNS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """An image as 32 x 32 gray values.

    Args:
        image: uint8 RGB of shape `(height, width, 3)`.

    Returns:
        float32 of shape `(32, 32)`.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(
        gray.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )


def perceptual_hash(thumb: np.ndarray) -> np.uint64:
    """64 bits that stay nearly the same when an image is saved anew.

    The signs of the cosine transform's coefficients (1, 1) to (8, 8), which
    leave out the mean and what is even along an axis. Zauner compares them
    with their median; with zero, a mirror turns over the same bits in every
    image, and two images are as far apart whichever of them is mirrored.

    Args:
        thumb: What `thumbnail` returned.

    Reference:
        Zauner, Implementation and Benchmarking of Perceptual Image Hash
        Functions (2010), section 3.2.1.
    """
    low = cv2.dct(thumb)[1 : _LOW + 1, 1 : _LOW + 1]
    return _pack(low > 0)


def _pack(bits: np.ndarray) -> np.uint64:
    return np.packbits(bits.ravel()).view(np.uint64)[0]


MIRROR = _pack(_ODD)
"""The bits of a hash that a mirror turns over: `hash ^ MIRROR` is the hash of
the mirrored image."""


def near_pairs(
    hashes: np.ndarray,
    others: np.ndarray,
    least: int,
    most: int,
    groups: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs of hashes that differ in few bits, some at a time.

    Args:
        hashes: uint64 of shape `(n,)`.
        others: uint64 of shape `(n,)`, of the same images; the mirrored
            ones, or the same again.
        least, most: Bits that differ.
        groups: A number for each; pairs of one group are left out. What the
            caller changes in it counts from then on. Defaults to none.

    Yields:
        Row in `hashes`, row in `others` and the bits that differ, for pairs
        whose first row is the smaller; the fewest bits first.
    """
    rows, columns = _TILE
    for top in range(0, len(hashes), rows):
        block = hashes[top : top + rows, None]
        for left in range(top, len(hashes), columns):
            bits = np.bitwise_count(block ^ others[None, left : left + columns])
            wanted = (least <= bits) & (bits <= most)
            if groups is not None and wanted.any():
                ours = groups[top : top + rows, None]
                wanted &= ours != groups[None, left : left + columns]
            first, second = np.nonzero(wanted)
            count = bits[first, second].astype(int)
            first, second = first + top, second + left
            later = second > first
            if later.any():
                order = np.lexsort((second[later], first[later], count[later]))
                kept = np.flatnonzero(later)[order]
                yield first[kept], second[kept], count[kept]


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """How much two images differ where they differ most.

    The second is laid over the first by the affine map that correlates best,
    so that another cut of a photograph fits. Then both are brought to mean 0
    and standard deviation 1, and the root of the largest mean square of their
    difference in a window of 6 x 6 is taken. A correlation of the whole
    thumbnails would hardly notice a mouth that opens.

    Args:
        one: What `thumbnail` returned.
        other: The same of another image.

    Returns:
        0 for equal images, about 1.4 where they have nothing in common.

    Reference:
        Evangelidis and Psarakis, Parametric Image Alignment Using Enhanced
        Correlation Coefficient Maximization, IEEE PAMI 30 (10), 2008.
    """
    laid = np.ascontiguousarray(other)
    warp = np.eye(2, 3, dtype=np.float32)
    # It raises where it does not converge; then they are compared as they are.
    with contextlib.suppress(cv2.error):
        align: Any = cv2.findTransformECC
        _, warp = align(one, laid, warp, cv2.MOTION_AFFINE, _TURNS, None, 1)
        laid = cv2.warpAffine(
            laid,
            warp,
            (SIDE, SIDE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    squares = cv2.boxFilter((_level(one) - _level(laid)) ** 2, -1, _WINDOW)
    half = _WINDOW[0] // 2
    return float(np.sqrt(squares[half:-half, half:-half].max()))


def _level(thumb: np.ndarray) -> np.ndarray:
    """Smoothed, without the rim, of mean 0 and standard deviation 1."""
    inner = cv2.blur(thumb, _SMOOTH)[_RIM:-_RIM, _RIM:-_RIM]
    return (inner - inner.mean()) / max(float(inner.std()), 1e-6)
