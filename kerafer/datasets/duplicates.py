"""Find images that look the same, though their files differ."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pandas as pd

from kerafer.console import track

MAX_HASH_DISTANCE = 12
MAX_DIFFERENCE = 0.15

_SIDE = 32
_LOW = 8
# Hashes at once, against others at once: what a processor's cache holds.
_TILE = 256, 4096
# Distances at once: within so many the order of pairs does not matter.
_BAND = 7
# An image of which so many others only seem to be copies is like nothing.
_MAX_TRIES = 500
_SMOOTH = (3, 3)
_WINDOW = (6, 6)
_RIM = 2
_TURNS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Reduce a uint8 RGB image to 32 x 32 gray values, float32."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)


def perceptual_hash(thumb: np.ndarray) -> np.uint64:
    """Return 64 bits that stay nearly the same when an image is saved anew.

    They are the signs of the cosine transform's coefficients (1, 1) to (8, 8)
    of a thumbnail. Zauner compares them with their median; with zero, a mirror
    flips the same bits in every image.

    Reference:
        Zauner, Implementation and Benchmarking of Perceptual Image Hash
        Functions (2010), section 3.2.1.
    """
    return _pack(cv2.dct(thumb)[1 : _LOW + 1, 1 : _LOW + 1] > 0)


def _pack(bits: np.ndarray) -> np.uint64:
    return np.packbits(bits.ravel()).view(np.uint64)[0]


# `hash ^ MIRROR` is the hash of the mirrored image: odd columns of the cosine
# transform change their sign.
MIRROR = _pack(np.tile(np.arange(1, _LOW + 1) % 2 == 1, (_LOW, 1)))


def find_duplicates(
    digests: np.ndarray,
    thumbs: np.ndarray,
    max_hash_distance: int = MAX_HASH_DISTANCE,
    max_difference: float = MAX_DIFFERENCE,
) -> pd.DataFrame:
    """Find pairs of like images: enough of them to join every group.

    Args:
        digests: Of the pixels, one for each image.
        thumbs: What `thumbnail` returned.
        max_hash_distance: Bits of two hashes that may differ.
        max_difference: Largest `difference` of two thumbnails.

    Returns:
        Columns `a` and `b` (indices), `kind` (`exact`, `near` or `mirrored`)
        and `bits` (of the hashes that differ).
    """
    order = np.argsort(digests, kind="stable")
    same = digests[order][1:] == digests[order][:-1]
    # Two neighbours of one digest join all of that digest.
    exact = [
        (a, b, "exact", 0)
        for a, b in zip(order[:-1][same], order[1:][same], strict=True)
    ]
    # Of equal images one is compared with the others.
    rows = np.sort(order[np.concatenate([[True], ~same])])
    like = [
        (rows[a], rows[b], kind, bits)
        for a, b, kind, bits in _find_alike(
            thumbs[rows], max_hash_distance, max_difference
        )
    ]
    return pd.DataFrame(exact + like, columns=["a", "b", "kind", "bits"])


def _find_alike(
    thumbs: np.ndarray, max_distance: int, max_difference: float
) -> Iterator[tuple[int, int, str, int]]:
    """Yield pairs that join every group, about the nearest first.

    Images of one group are not compared again, so a group of many costs a
    comparison for each of them and not for each pair.
    """
    hashes = np.array([perceptual_hash(thumb) for thumb in thumbs])
    group = np.arange(len(hashes), dtype=np.int32)
    members = {n: [n] for n in range(len(hashes))}
    tries = np.zeros(len(hashes), int)
    bands = range(0, max_distance + 1, _BAND)
    kinds = (("near", hashes), ("mirrored", hashes ^ MIRROR))
    for low, (kind, others) in track(
        itertools.product(bands, kinds), "Comparing pairs", 2 * len(bands)
    ):
        high = min(low + _BAND - 1, max_distance)
        for a, b, bits in near_pairs(hashes, others, low, high, group):
            if group[a] == group[b] or max(tries[[a, b]]) >= _MAX_TRIES:
                continue
            other = thumbs[b] if kind == "near" else thumbs[b][:, ::-1]
            if difference(thumbs[a], other) > max_difference:
                tries[[a, b]] += 1
                continue
            large, small = group[a], group[b]
            if len(members[large]) < len(members[small]):
                large, small = small, large
            members[large] += members[small]
            group[members.pop(small)] = large
            yield a, b, kind, bits


def near_pairs(
    hashes: np.ndarray,
    others: np.ndarray,
    low: int,
    high: int,
    groups: np.ndarray,
) -> Iterator[tuple[int, int, int]]:
    """Yield pairs of hashes that differ in few bits, by blocks of them.

    Args:
        hashes: uint64 of shape `(n,)`.
        others: Those of the same images, mirrored or the same again.
        low, high: Bits that differ.
        groups: A number for each; pairs of one group are omitted. Changes by
            the caller count for later blocks.

    Yields:
        Index in `hashes`, a larger one in `others`, and the bits that differ;
        of each block the fewest bits first.
    """
    rows, columns = _TILE
    for top in range(0, len(hashes), rows):
        block = hashes[top : top + rows, None]
        for left in range(top, len(hashes), columns):
            bits = np.bitwise_count(block ^ others[None, left : left + columns])
            wanted = (low <= bits) & (bits <= high)
            if not wanted.any():
                continue
            ours = groups[top : top + rows, None]
            wanted &= ours != groups[None, left : left + columns]
            first, second = np.nonzero(wanted)
            count = bits[first, second].astype(int)
            order = np.lexsort((second, first, count))
            for a, b, distance in zip(
                first[order] + top,
                second[order] + left,
                count[order],
                strict=True,
            ):
                if b > a:
                    yield int(a), int(b), int(distance)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return how much two thumbnails differ where they differ most.

    The second is laid over the first by the affine map that correlates best,
    so that another crop of a photograph fits. Both are brought to mean 0 and
    standard deviation 1; the result is the root of the largest mean square of
    their difference in a window of 6 x 6. A correlation of the whole
    thumbnails would hardly notice a mouth that opens.

    Returns:
        0 for equal images, about 1.4 if they have nothing in common.

    Reference:
        Evangelidis and Psarakis, Parametric Image Alignment Using Enhanced
        Correlation Coefficient Maximization, IEEE PAMI 30 (10), 2008.
    """
    laid = np.ascontiguousarray(other)
    warp = np.eye(2, 3, dtype=np.float32)
    # It raises if it does not converge; then they are compared as they are.
    with contextlib.suppress(cv2.error):
        align: Any = cv2.findTransformECC
        _, warp = align(one, laid, warp, cv2.MOTION_AFFINE, _TURNS, None, 1)
        laid = cv2.warpAffine(
            laid,
            warp,
            (_SIDE, _SIDE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    squares = cv2.boxFilter((_level(one) - _level(laid)) ** 2, -1, _WINDOW)
    half = _WINDOW[0] // 2
    return float(np.sqrt(squares[half:-half, half:-half].max()))


def _level(thumb: np.ndarray) -> np.ndarray:
    """Smooth, remove the rim, and scale to mean 0 and standard deviation 1."""
    inner = cv2.blur(thumb, _SMOOTH)[_RIM:-_RIM, _RIM:-_RIM]
    return (inner - inner.mean()) / max(float(inner.std()), 1e-6)
