"""What runs a model's file, one class for each kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerafer.classifier import Tensor, image_shape
from kerafer.errors import UserError, first_line
from kerafer.export.predictors import onnx_session
from kerafer.extras import MissingExtraError
from kerafer.files import native_path

if TYPE_CHECKING:
    import keras


class LiteRTEngine:
    """A `.tflite` file, run by LiteRT.

    Images are written straight into the interpreter's own buffer. One
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
            [_litert_tensor(one, "shape_signature") for one in inputs],
            [_litert_tensor(one, "shape") for one in outputs],
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
                f"A model takes one image at a time. {model} takes {batch}."
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


def _interpreter(model: Path, threads: int) -> Any:
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
        with native_path(model) as path:
            interpreter = Interpreter(path, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"A .tflite file is whole and has only ops that LiteRT knows. "
            f"{model} can't be loaded: {first_line(error)}"
        ) from None
    return interpreter


def _litert_tensor(details: dict[str, Any], shape: str) -> Tensor:
    return details[shape].tolist(), np.dtype(details["dtype"]).name


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
            model, [*map(_onnx_tensor, inputs)], [*map(_onnx_tensor, outputs)]
        )
        self._name = inputs[0].name
        self._kind = _onnx_tensor(inputs[0])[1]
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


def _onnx_tensor(value: Any) -> Tensor:
    """Shape and kind; ONNX has a word for a side that is open."""
    shape = [side if isinstance(side, int) else None for side in value.shape]
    kind: str = value.type
    return shape, _KINDS.get(kind, kind)


class SavedModelEngine:
    """A SavedModel, run by TensorFlow through its `serving_default`.

    A SavedModel is a program and may read and write files: load only those
    whose origin you know.

    Args:
        model: The folder.

    Raises:
        UserError: If the folder can't be loaded, or the model takes or gives
            something else than an image and probabilities.
    """

    def __init__(self, model: Path) -> None:
        import tensorflow as tf

        try:
            # The module owns the variables that the signature uses.
            with native_path(model) as path:
                self._module = tf.saved_model.load(path)
            self._serve = self._module.signatures["serving_default"]
        # Of a damaged one TensorFlow raises nearly every error.
        except Exception as error:
            raise UserError(
                "A SavedModel is whole and has the signature serving_default. "
                f"{model} can't be loaded: {first_line(error)}"
            ) from None
        inputs = list(self._serve.structured_input_signature[1].items())
        outputs = list(self._serve.structured_outputs.items())
        self.input_shape = image_shape(
            model,
            [_spec_tensor(one) for _, one in inputs],
            [_spec_tensor(one) for _, one in outputs],
        )
        self._name, given = inputs[0]
        self._answer, answer = outputs[0]
        self.classes = int(answer.shape[1])
        self._dtype = given.dtype
        self._batch = given.shape[0]
        if self._batch not in (None, 1):
            raise UserError(
                "A model takes one image at a time, or any number. "
                f"{model} takes {self._batch}."
            )

    def run(self, images: np.ndarray) -> np.ndarray:
        """The model's answers, as `Engine.run` says."""
        if self._batch is None or not len(images):
            return self._call(images)
        return np.concatenate([self._call(image[None]) for image in images])

    def _call(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        if not len(images):
            return np.empty((0, self.classes), np.float32)
        batch = tf.cast(images, self._dtype)
        answer = self._serve(**{self._name: batch})[self._answer]
        return answer.numpy().astype(np.float32)


def _spec_tensor(spec: Any) -> Tensor:
    known = spec.shape.rank is not None
    return spec.shape.as_list() if known else None, spec.dtype.name


class KerasEngine:
    """A model of Keras', run by Keras.

    Args:
        model: A `.keras` file, or the model.

    Raises:
        UserError: If the file is no model that is safe to load, or the model
            takes or gives something else than an image and probabilities.
    """

    def __init__(self, model: Path | keras.Model) -> None:
        from kerafer.models.load import as_classifier, load_classifier

        if isinstance(model, Path):
            self._model = load_classifier(model)
        else:
            self._model = as_classifier(model, model.name)
        self.input_shape = self._model.input_shape[1:]
        self.classes = self._model.output_shape[1]

    def run(self, images: np.ndarray) -> np.ndarray:
        """The model's answers, as `Engine.run` says."""
        if not len(images):
            return np.empty((0, self.classes), np.float32)
        return np.asarray(self._model.predict_on_batch(images), np.float32)
