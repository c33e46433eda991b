"""The model behind the page."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from kerafer.errors import UserError
from kerafer.faces.detector import Box
from kerafer.files import native_path
from kerafer.images import read_reduced
from kerafer.runtime.emotion_recognizer import EmotionRecognizer
from kerafer.runtime.predictors import find_model

# More than faces are searched at.
_LONGEST_SIDE = 1280
# Below, another class than the likeliest is more probable than it.
_UNSURE = 0.5


class PageModel:
    """A .tflite file for browsers, and what Python does beside them.

    Threads may share it.

    Args:
        model: A .tflite file that `EmotionRecognizer` takes, or the folder of
            an export.

    Attributes:
        file: The .tflite file.
        image_bytes: Of an image for `predict`.

    Raises:
        UserError: If there is no such file, or it is no model for images.
    """

    def __init__(self, model: str | os.PathLike[str]) -> None:
        self.file = find_model(model)
        if self.file.suffix.lower() != ".tflite":
            raise UserError(
                "Browsers take a .tflite file: name one, or the folder of an "
                f"export. Received: {self.file}.\n"
                "    kerafer export --model RUN\nmakes one of a run."
            )
        self._recognizer = EmotionRecognizer(self.file)
        self._one_image = threading.Lock()
        height, width, _ = self._recognizer.input_shape
        self.image_bytes = height * width * 3

    def facts(self) -> dict[str, Any]:
        """What the page has to know: names, input and output of the model.

        Returns:
            `model`, a name for people; `labels`; `input`, height, width and
            channels; `whole`, whether it takes images whole; `margin`, around
            a face; `output`, `scale` and `zero` of an output of integers, the
            scale 0 for one of floats; `votes`, the temperature that makes
            votes of its probabilities, or `None`; `unsure`, the probability
            below which an answer is none.
        """
        scale, zero = self._quantization()
        recognizer = self._recognizer
        return {
            "model": f"{self.file.resolve().parent.name}/{self.file.name}",
            "labels": list(recognizer.labels),
            "input": list(recognizer.input_shape),
            "whole": recognizer.takes_whole,
            "margin": recognizer.face_margin,
            "output": {"scale": scale, "zero": zero},
            "votes": recognizer.vote_temperature,
            "unsure": _UNSURE,
        }

    def find_faces(self, file: bytes) -> list[Box]:
        """The boxes of the faces on an image, the largest first.

        Args:
            file: The bytes of a file.

        Raises:
            UnreadableImageError: Where it is no image.
        """
        # One at a time: an image may take a gigabyte while it is decoded.
        with self._one_image:
            image, times = read_reduced(file, _LONGEST_SIDE)
            found = self._recognizer.find_faces(image)
        boxes = [[times * side for side in face.box] for face in found]
        return [(x, y, width, height) for x, y, width, height in boxes]

    def predict(self, pixels: bytes) -> list[float]:
        """The probabilities of one face, of the model's size.

        Args:
            pixels: R, G and B of each pixel, the rows from the top;
                `image_bytes` of them.
        """
        height, width, _ = self._recognizer.input_shape
        image = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        return self._recognizer.probabilities([image])[0].tolist()

    def _quantization(self) -> tuple[float, int]:
        from ai_edge_litert.interpreter import Interpreter

        with native_path(self.file) as path:
            (output,) = Interpreter(path).get_output_details()
        return output["quantization"]
