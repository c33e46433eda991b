"""Models for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kerafer.classifier import Tensor, image_shape
from kerafer.errors import UserError, first_line
from kerafer.export.predictors import onnx_session
from kerafer.extras import MissingExtraError

_KINDS = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
_LARGEST = 2**31


class OnnxEngine:
    """An `.onnx` file, run by ONNX Runtime on the processor.

    Args:
        model: The file. It holds its weights itself.
        threads: How many ONNX Runtime may use. Defaults to 2.

    Raises:
        UserError: If the file can't be loaded, or takes or gives something
            else than an image and probabilities.
    """

    def __init__(self, model: Path, threads: int = 2) -> None:
        try:
            if model.stat().st_size > _LARGEST:
                raise ValueError("it is larger than 2 GiB")
            self._session = onnx_session(model, threads)
        except MissingExtraError:
            raise
        # Of a damaged file ONNX Runtime raises errors of its own.
        except Exception as error:
            raise UserError(
                "An .onnx file is whole and has its weights in it. "
                f"{model} can't be loaded: {first_line(error)}"
            ) from None
        inputs = self._session.get_inputs()
        outputs = self._session.get_outputs()
        self.input_shape = image_shape(
            model, [*map(_tensor, inputs)], [*map(_tensor, outputs)]
        )
        self._name = inputs[0].name
        self._kind = _tensor(inputs[0])[1]
        self._one = inputs[0].shape[0] == 1
        self.classes = int(outputs[0].shape[1])

    def run(self, images: np.ndarray) -> np.ndarray:
        """The model's answers, as `Engine.run` says."""
        if not len(images):
            return np.empty((0, self.classes), np.float32)
        images = images.astype(self._kind)
        batches = [x[None] for x in images] if self._one else [images]
        answers = [
            self._session.run(None, {self._name: batch})[0] for batch in batches
        ]
        return np.concatenate(answers).astype(np.float32)


def _tensor(value: object) -> Tensor:
    """Shape and kind; ONNX has a word for a side that is open."""
    shape = [side if isinstance(side, int) else None for side in value.shape]
    return shape, _KINDS.get(value.type, value.type)
