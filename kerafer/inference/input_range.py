"""Convert pixel values to the range that a model was trained on."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from kerafer.errors import ConfigError

CHOICES = '0..255, 0..1, -1..1, or mean/std such as "127.5/127.5"'
# The entry of a file's metadata that kerafer writes.
METADATA_KEY = "kerafer.input_range"
UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class InputRange:
    """The values that a model takes: `(pixel - mean) / std`.

    Args:
        mean: Subtracted from pixels of 0 to 255; one number, or one for each
            channel.
        std: Divides the difference, likewise.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @classmethod
    def parse(cls, text: str) -> InputRange:
        """Read a range as users write it.

        Args:
            text: `"0..255"`, `"0..1"`, `"-1..1"`, or mean and standard
                deviation of pixels from 0 to 255, divided by a slash, such as
                `"123.7,116.8,103.9/58.4,57.1,57.4"`.

        Raises:
            ConfigError: For anything else.
        """
        if text in _NAMED:
            return _NAMED[text]
        try:
            mean, std = (
                tuple(map(float, part.split(","))) for part in text.split("/")
            )
            return cls.of(mean, std)
        except ValueError:
            raise ConfigError(
                f"Unknown `input_range`: {text!r}. Choose one of {CHOICES}."
            ) from None

    @classmethod
    def of(cls, mean: tuple[float, ...], std: tuple[float, ...]) -> InputRange:
        """Check numbers from a file or a user.

        Raises:
            ValueError: If they cannot normalize pixels.
        """
        if not all(map(math.isfinite, (*mean, *std))) or not all(std):
            raise ValueError("mean and std must be finite, std not 0")
        if {len(mean), len(std)} - {1, 3}:
            raise ValueError("mean and std are one or three numbers")
        return cls(mean, std)

    @property
    def is_identity(self) -> bool:
        """Whether the model takes pixel values as they are."""
        return self == PIXELS

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Convert images.

        Args:
            images: uint8 of shape `(..., channels)`.

        Returns:
            The images themselves for 0 to 255, otherwise float32.
        """
        if self.is_identity:
            return images
        mean, std = np.float32(self.mean), np.float32(self.std)
        return (images - mean) / std

    def __str__(self) -> str:
        for name, known in _NAMED.items():
            if self == known:
                return name
        parts = (self.mean, self.std)
        return "/".join(",".join(f"{x:.9g}" for x in part) for part in parts)


PIXELS = InputRange()
_NAMED = {
    "0..255": PIXELS,
    "0..1": InputRange((0.0,), (255.0,)),
    "-1..1": InputRange((127.5,), (127.5,)),
}
