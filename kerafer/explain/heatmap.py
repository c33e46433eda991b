"""Heat maps over images."""

from __future__ import annotations

import cv2
import numpy as np

from kerafer.errors import UserError
from kerafer.images import resize

# Matplotlib has it under the same name, for the bar of a sheet.
COLOUR_MAP = "viridis"
_PALEST, _STRONGEST = 0.15, 0.6


def overlay(
    image: np.ndarray, heatmap: np.ndarray, probability: float = 1.0
) -> np.ndarray:
    """Lay a heat map over an image: violet for 0 over green to yellow for 1.

    Args:
        image: uint8 RGB or gray, of shape `(height, width, 3)` or
            `(height, width, 1)`.
        heatmap: 0 to 1, of shape `(height, width)`; another size is enlarged
            or shrunk to the image's. What is outside counts as 0 or 1.
        probability: Of the class that is explained, 0 to 1: where it is low,
            the colours are pale. Defaults to 1.

    Returns:
        uint8 RGB of the image's height and width.

    Raises:
        UserError: For arrays of other kinds.
    """
    if (
        image.ndim != 3
        or image.shape[2] not in (1, 3)
        or image.dtype != np.uint8
        or heatmap.ndim != 2
    ):
        raise UserError(
            "An image is uint8 of shape (height, width, 1 or 3), a heat map "
            f"of shape (height, width). Received: {image.dtype} {image.shape} "
            f"and {heatmap.shape}."
        )
    heat = np.clip(heatmap, 0.0, 1.0).astype(np.float32)
    heat = resize(heat, image.shape[:2])
    levels = np.rint(255 * heat).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    # Gray below: an image's own red would pass for heat.
    gray = image.astype(np.float32).mean(axis=2, keepdims=True)
    share = float(np.clip(probability, 0.0, 1.0))
    opacity = _PALEST + (_STRONGEST - _PALEST) * share
    return np.rint(gray * (1 - opacity) + colours * opacity).astype(np.uint8)
