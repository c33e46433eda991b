"""Run the page's model and find faces in Python."""

from __future__ import annotations

import dataclasses
import os
import threading
from typing import Any, cast

import numpy as np

from kerafer.errors import UserError
from kerafer.faces.detector import Box
from kerafer.images import read_reduced
from kerafer.inference import ModelBundle, ModelSource
from kerafer.inference.backends import LiteRTBackend
from kerafer.inference.probabilities import UNSURE_BELOW
from kerafer.runtime.recognizer import Recognizer

# Faces are searched for at this size, pixels, or less.
_LONGEST_SIDE = 1280


class PageModel:
    """A .tflite file for the page, with what Python does for it.

    Several threads can use one instance.

    Args:
        model: A .tflite file, or the folder of an export.

    Attributes:
        file: The .tflite file.

    Raises:
        UserError: If there is no such file or it does not classify images.
    """

    def __init__(self, model: str | os.PathLike[str]) -> None:
        source = ModelSource.find(model)
        self.file = source.file
        if self.file.suffix.lower() != ".tflite":
            raise UserError(
                f"Browsers cannot run {self.file}. Use a .tflite file or the "
                "folder of an export:\n    kerafer export --model RUN"
            )
        self._bundle = ModelBundle.load(source)
        self._recognizer = Recognizer(self._bundle)
        self._one_image = threading.Lock()

    def facts(self) -> dict[str, Any]:
        """Describe the model to the page, as a dictionary for JSON.

        `range` holds `mean` and `std` of pixels for an input of floats.
        `output` holds scale and zero point of an integer output; the scale is
        0 for floats. `votes` is the vote temperature or `None`. `unsure` is
        the probability below which an answer is shown as unsure.
        """
        bundle, recognizer = self._bundle, self._recognizer
        scale, zero = self._quantization()
        return {
            "model": f"{self.file.resolve().parent.name}/{self.file.name}",
            "labels": list(bundle.labels),
            "input": list(bundle.input_shape),
            "whole": recognizer.uses_full_image,
            "margin": recognizer.crop_margin,
            "range": dataclasses.asdict(bundle.input_range),
            "output": {"scale": scale, "zero": zero},
            "votes": bundle.vote_temperature,
            "unsure": UNSURE_BELOW,
        }

    def find_faces(self, file: bytes) -> list[Box]:
        """Find the faces on an image file, the largest first.

        Raises:
            UnreadableImageError: If the bytes are not a readable image.
        """
        # One at a time: decoding an image can take a gigabyte.
        with self._one_image:
            image, times = read_reduced(file, _LONGEST_SIDE)
            found = self._recognizer.find_faces(image)
        boxes = [[times * side for side in face.box] for face in found]
        return [(x, y, width, height) for x, y, width, height in boxes]

    def predict(self, pixels: bytes) -> list[float]:
        """Return the probabilities of one face.

        Args:
            pixels: Red, green and blue of each pixel at the model's input
                size, row by row from the top.

        Raises:
            UserError: If the number of bytes does not match the input size.
        """
        height, width, _ = self._bundle.input_shape
        expected = height * width * 3
        if len(pixels) != expected:
            raise UserError(
                f"An image of {width} x {height} RGB pixels has {expected} "
                f"bytes. Received: {len(pixels)}."
            )
        image = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        return self._recognizer.probabilities([image])[0].tolist()

    def _quantization(self) -> tuple[float, int]:
        # A .tflite file has no other backend.
        return cast(LiteRTBackend, self._bundle.backend).output_quantization
