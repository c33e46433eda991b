"""Whether a model is right as often on dark and on unsharp faces.

Who is on the images of most sets is not known. What can be looked at without
that is what an image itself shows: how bright the middle of the face is, which
depends on skin and on light alike, and how sharp it is.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from scipy.stats import chi2_contingency

from kerafer import markdown

_GROUPS = 4
# With fewer images a group says little, and the test nothing.
_FEWEST = 100


def measure_subgroups(
    images: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> list[dict[str, Any]]:
    """Accuracy over quarters of the images, by brightness and by sharpness.

    Whether quarters differ by more than chance is told by a chi-squared test
    of right and wrong answers, with Holm's correction for the two; since
    quarters may show other expressions, what would be expected of each
    quarter's labels alone is told beside.

    Args:
        images: uint8 of shape `(images, height, width, channels)`, faces that
            fill the image.
        labels: Class index of each.
        predicted: Likewise.

    Returns:
        Two rows: `what`, `accuracy` of the quarters from the least to the
        most, `expected` of their labels, `images` of each and `p`; none for
        fewer than 100 images.
    """
    if len(images) < _FEWEST:
        return []
    right = predicted == labels
    rates = np.zeros(labels.max() + 1)
    for label in np.unique(labels):
        rates[label] = right[labels == label].mean()
    rows: list[dict[str, Any]] = []
    for what, values in (
        ("brightness of the face's middle", _brightness(images)),
        ("sharpness", _sharpness(images)),
    ):
        ranks = np.argsort(np.argsort(values, kind="stable"))
        groups = ranks * _GROUPS // len(values)
        masks = [groups == group for group in range(_GROUPS)]
        counts = [(right[m].sum(), (~right[m]).sum()) for m in masks]
        rows.append(
            {
                "what": what,
                "accuracy": [float(right[m].mean()) for m in masks],
                "expected": [float(rates[labels[m]].mean()) for m in masks],
                "images": [int(m.sum()) for m in masks],
                "p": _p(np.array(counts)),
            }
        )
    smaller, larger = sorted(rows, key=lambda row: row["p"])
    smaller["p"] = min(1.0, 2.0 * smaller["p"])
    larger["p"] = max(smaller["p"], larger["p"])
    return rows


def subgroups_section(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown for a model card.

    Args:
        rows: What `measure_subgroups` returned.
    """
    if not rows:
        return []
    return [
        "## Dark, bright and unsharp faces",
        "",
        "The test images in quarters, from the least to the most; in brackets "
        "the accuracy that a quarter's expressions alone would lead to:",
        "",
        *markdown.table(
            ("by", "1st", "2nd", "3rd", "4th", "p"),
            [
                (
                    row["what"],
                    *(
                        f"{accuracy:.1%} ({expected:.1%})"
                        for accuracy, expected in zip(
                            row["accuracy"], row["expected"], strict=True
                        )
                    ),
                    f"{row['p']:.2g}",
                )
                for row in rows
            ],
        ),
        "",
        "p is that of a chi-squared test for equal quarters, corrected for "
        "two. Brightness mixes skin with light and camera, and stands for no "
        "group of people; a large p does not show that all are treated alike.",
        "",
    ]


def _p(counts: np.ndarray) -> float:
    # Where all are right, or none is, there is nothing to differ.
    if not counts.sum(axis=0).all():
        return 1.0
    return float(chi2_contingency(counts).pvalue)


def _gray(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32).mean(axis=-1)


def _brightness(images: np.ndarray) -> np.ndarray:
    height, width = images.shape[1:3]
    top, left = height // 4, width // 4
    middle = _gray(images)[:, top : height - top, left : width - left]
    return middle.mean(axis=(1, 2))


def _sharpness(images: np.ndarray) -> np.ndarray:
    """Variance of the Laplacian of each image, by its own variance."""
    found = []
    for image in _gray(images):
        edges = cv2.Laplacian(image, cv2.CV_32F)
        found.append(edges.var() / max(image.var(), 1e-6))
    return np.array(found)
