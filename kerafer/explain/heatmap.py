"""Heat maps over pictures."""

from __future__ import annotations

import cv2
import numpy as np

from kerafer.data.images import resize
from kerafer.errors import UserError

# Matplotlib has it under the same name, for the bar of a sheet.
COLOUR_MAP = "turbo"
_OPACITY = 0.55


def overlay(image: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Lay a heat map over a picture: blue for 0 over green to red for 1.

    Args:
        image: uint8 RGB or gray, of shape `(height, width, 3)` or
            `(height, width, 1)`.
        heatmap: 0 to 1, of shape `(height, width)`; another size is enlarged
            or shrunk to the picture's. What is outside counts as 0 or 1.

    Returns:
        uint8 RGB of the picture's height and width.

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
            "A picture is uint8 of shape (height, width, 1 or 3), a heat map "
            f"of shape (height, width). Received: {image.dtype} {image.shape} "
            f"and {heatmap.shape}."
        )
    heat = np.clip(heatmap, 0.0, 1.0).astype(np.float32)
    heat = resize(heat, image.shape[:2])
    levels = np.rint(255 * heat).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1]
    # Gray below: a picture's own red would pass for heat.
    gray = image.astype(np.float32).mean(axis=2, keepdims=True)
    return np.rint(gray * (1 - _OPACITY) + colours * _OPACITY).astype(np.uint8)
