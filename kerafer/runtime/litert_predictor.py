"""Models for LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kerafer.errors import UserError
from kerafer.runtime.predictors import picture_shape


class LiteRTPredictor:
    """A `.tflite` file, run by LiteRT.

    Pictures are written straight into the interpreter's own buffer. One
    instance is for one thread at a time.

    Args:
        model: The file.
        threads: How many LiteRT may use. Defaults to 2.

    Raises:
        UserError: If the file is no .tflite or a damaged one, or takes or
            gives something else than a picture and probabilities.
    """

    def __init__(self, model: Path, threads: int = 2) -> None:
        self._interpreter = _interpreter(model, threads)
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise UserError(
                "A model has one input and one output. "
                f"{model} has {len(inputs)} and {len(outputs)}."
            )
        (given,), (answer,) = inputs, outputs
        kinds = given["dtype"], answer["dtype"]
        if not all(kind in (np.uint8, np.float32) for kind in kinds):
            raise UserError(
                "A model takes and gives uint8 or float32. "
                f"{model}: {kinds[0].__name__} and {kinds[1].__name__}."
            )
        # -1 stands for any batch; a fixed one other than 1 can't be filled.
        batch = int(given["shape_signature"][0])
        if batch not in (-1, 1):
            raise UserError(
                f"A model takes one picture at a time. {model} takes {batch}."
            )
        self.input_shape = picture_shape(
            model,
            given["shape_signature"].tolist(),
            answer["shape"].tolist(),
        )
        self.classes = int(answer["shape"][1])
        self._scale, self._zero = answer["quantization"]
        self._input = self._interpreter.tensor(given["index"])
        self._output = self._interpreter.tensor(answer["index"])

    def run(self, images: np.ndarray) -> np.ndarray:
        """The probabilities of pictures, as `Predictor.run` says."""
        answers = np.empty((len(images), self.classes), np.float32)
        for image, answer in zip(images, answers, strict=True):
            # No view of a tensor may be alive while the model runs.
            self._input()[0] = image
            self._interpreter.invoke()
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
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"A .tflite file is whole and has only ops that LiteRT knows. "
            f"{model} can't be loaded: {reason[0]}"
        ) from None
    return interpreter
