"""Models for LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kerafer.classifier import Tensor, image_shape
from kerafer.errors import UserError, first_line


class LiteRTEngine:
    """A `.tflite` file, run by LiteRT.

    Pictures are written straight into the interpreter's own buffer. One
    instance is for one thread at a time; `Predictor` sees to that.

    Args:
        model: The file.
        threads: How many LiteRT may use. Defaults to 2.

    Raises:
        UserError: If the file is no .tflite or a damaged one, or takes or
            gives something else than an image and probabilities.
    """

    def __init__(self, model: Path, threads: int = 2) -> None:
        self._interpreter = _interpreter(model, threads)
        self._file = model
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self.input_shape = image_shape(
            model,
            [_tensor(one, "shape_signature") for one in inputs],
            [_tensor(one, "shape") for one in outputs],
        )
        (given,), (answer,) = inputs, outputs
        kinds = given["dtype"], answer["dtype"]
        if not all(kind in (np.uint8, np.float32) for kind in kinds):
            raise UserError(
                "A .tflite file takes and gives uint8 or float32. "
                f"{model}: {kinds[0].__name__} and {kinds[1].__name__}."
            )
        # -1 stands for any batch; a fixed one other than 1 can't be filled.
        batch = int(given["shape_signature"][0])
        if batch not in (-1, 1):
            raise UserError(
                f"A model takes one picture at a time. {model} takes {batch}."
            )
        self.classes = int(answer["shape"][1])
        self._scale, self._zero = answer["quantization"]
        self._input = self._interpreter.tensor(given["index"])
        self._output = self._interpreter.tensor(answer["index"])

    def run(self, images: np.ndarray) -> np.ndarray:
        """The model's answers, as `Engine.run` says."""
        answers = np.empty((len(images), self.classes), np.float32)
        for image, answer in zip(images, answers, strict=True):
            # No view of a tensor may be alive while the model runs.
            self._input()[0] = image
            try:
                self._interpreter.invoke()
            except RuntimeError as error:
                raise UserError(
                    "A model takes every image of its size. "
                    f"{self._file} can't be run: {first_line(error)}"
                ) from None
            answer[:] = self._output()[0]
        if self._scale:
            answers -= self._zero
            answers *= self._scale
        return answers


def _interpreter(model: Path, threads: int) -> object:
    if threads < 1:
        raise UserError(f"threads must be at least 1. Received: {threads}.")
    try:
        with open(model, "rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise UserError(
            f"A model is a file that can be read. Received: {model} "
            f"({error.strerror})."
        ) from None
    if head[4:] != b"TFL3":
        raise UserError(
            "A .tflite file has the letters TFL3 after its first four bytes. "
            f"{model} has not; it is damaged or of another kind."
        )
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UserError(
            f".tflite files need a package that is missing ({error}):\n"
            '    pip install "ai-edge-litert>=2.1,<3"'
        ) from None
    try:
        interpreter = Interpreter(str(model), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"A .tflite file is whole and has only ops that LiteRT knows. "
            f"{model} can't be loaded: {first_line(error)}"
        ) from None
    return interpreter


def _tensor(details: dict[str, Any], shape: str) -> Tensor:
    return details[shape].tolist(), np.dtype(details["dtype"]).name
