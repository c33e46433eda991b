"""What exported files take."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from kerafer.errors import ConfigError, UserError
from kerafer.inference.signature import (
    channels_first_message,
    is_channels_first,
)
from kerafer.models.graph import built_shape

# OpenCV's weights of R, G and B for gray.
LUMINANCE = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class ImageInput:
    """What the exported files take.

    Args:
        shape: Height, width and channels.
        kind: `"uint8"`, images as they are stored, or `"float32"`, numbers in
            the range that the model was trained with.
        to_gray: Whether RGB is converted for a model of gray images.
    """

    shape: tuple[int, int, int]
    kind: str
    to_gray: bool

    def for_model(self, images: np.ndarray) -> np.ndarray:
        """Convert images as the files take them to what the model takes."""
        if not self.to_gray:
            return images
        weights = np.array(LUMINANCE, np.float32)[:, None]
        gray = images.astype(np.float32) @ weights
        return gray if self.kind == "float32" else np.floor(gray + 0.5)


def image_input(
    model: keras.Model,
    kind: str,
    image_size: int | tuple[int, int] | None = None,
    keep_gray: bool = False,
    images: np.ndarray | None = None,
) -> ImageInput:
    """Find out what the files of a model take.

    Args:
        model: Built.
        kind: As in `ImageInput`.
        image_size: Height and width, for a model that takes any size.
        keep_gray: Whether the files of a gray model take gray images, too.
        images: Have the shape for a model that does not know it.

    Raises:
        UserError: If the model has several inputs, takes no images, or its
            size is unknown.
    """
    if kind not in ("uint8", "float32"):
        raise UserError(
            f"An exported file takes uint8 or float32. Received: {kind}."
        )
    shape = model_shape(model, images)
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    sides: list[Any] = []
    for known, wanted in zip(
        shape[1:3], image_size or (None,) * 2, strict=True
    ):
        if known is None and wanted is None:
            raise ConfigError(
                f"{model.name} takes images of any size; an exported file has "
                "one.\nGive `image_size`."
            )
        if None not in (known, wanted) and known != wanted:
            raise ConfigError(
                f"{model.name} takes images of {shape[1]} x {shape[2]}. "
                f"Received: {wanted} for `image_size`."
            )
        sides.append(known or wanted)
    to_gray = shape[3] == 1 and not keep_gray
    height, width = sides
    channels = 3 if to_gray else shape[3]
    return ImageInput((height, width, channels), kind, to_gray)


def model_shape(
    model: keras.Model, images: np.ndarray | None = None
) -> tuple[Any, ...]:
    """Return the shape of the images that a model takes, with the batch.

    Args:
        model: Built.
        images: Have the shape for a model that does not know it.

    Raises:
        UserError: If the model has several inputs, or takes no images.
    """
    given = getattr(model, "inputs", None) or []
    if len(given) > 1:
        raise UserError(
            f"An export is of a model of one image. {model.name} has "
            f"{len(given)} inputs.\nMake a model of one of them: "
            "keras.Model(image, ...)."
        )
    shape = tuple(given[0].shape) if given else built_shape(model)
    if not shape and images is not None:
        shape = (None, *images.shape[1:])
    if is_channels_first(shape):
        raise UserError(channels_first_message(model.name, shape))
    if not shape:
        raise UserError(
            f"The input shape of {model.name} is unknown. Call it once: "
            "model(keras.ops.zeros((1, 224, 224, 3)))."
        )
    if len(shape) != 4 or shape[3] not in (1, 3):
        remedy = ""
        if len(shape) == 5:
            remedy = "\nExport the part that sees one frame."
        if len(shape) == 4 and shape[3] == 4:
            remedy = (
                "\nFor RGBA, retrain with 3 channels, or compute the fourth "
                "channel inside the model."
            )
        raise UserError(
            f"{model.name} takes inputs of shape {shape}. An export needs a "
            "model of one gray or RGB image: (batch, height, width, 1 or 3)."
            f"{remedy}"
        )
    return shape
