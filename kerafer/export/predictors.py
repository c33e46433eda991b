"""Exported files as functions from an image to a model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerafer.extras import extra_for
from kerafer.files import native_path
from kerafer.quiet import stderr_held_back

# What ONNX Runtime logs; what fails is an error besides.
_FATAL = 4

Predictor = Callable[[np.ndarray], list[np.ndarray]]


def predictor(
    path: Path, threads: int = 2, outputs: Sequence[str] | None = None
) -> Predictor:
    """Load an exported file, of any format.

    Args:
        path: A .keras, .tflite or .onnx file or the folder of a SavedModel.
        threads: That compute; TensorFlow has its own count. Defaults to 2.
        outputs: Names of a SavedModel's outputs in order. Defaults to its own
            order.

    Returns:
        A function of one image, `(height, width, channels)`, as the files take
        it, that returns what the model says of it: an array for each output.

    Raises:
        UserError: Where the package that runs the file is not installed.
    """
    if path.suffix == ".tflite":
        return _tflite(path, threads)
    if path.suffix == ".onnx":
        return _onnx(path, threads)
    if path.suffix == ".keras":
        return _keras(path)
    return _saved_model(path, outputs)


def _tflite(path: Path, threads: int) -> Predictor:
    from ai_edge_litert.interpreter import Interpreter

    # It tells of its delegate.
    with stderr_held_back(), native_path(path) as file:
        interpreter = Interpreter(file, num_threads=threads)
        interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    targets = interpreter.get_output_details()

    def predict(image: np.ndarray) -> list[np.ndarray]:
        given = quantized(image, source["dtype"], *source["quantization"])
        interpreter.set_tensor(source["index"], given[None])
        interpreter.invoke()
        answers = []
        for target in targets:
            (values,) = interpreter.get_tensor(target["index"])
            scale, zero = target["quantization"]
            if scale:
                values = (values.astype(np.float32) - zero) * np.float32(scale)
            answers.append(values)
        return answers

    return predict


def quantized(
    image: np.ndarray, kind: type, scale: float, zero: int
) -> np.ndarray:
    """An image as a tensor of a file: numbers in the steps that it has."""
    if not scale or np.issubdtype(kind, np.floating):
        return image.astype(kind, copy=False)
    levels = np.rint(image / np.float32(scale)) + zero
    limits = np.iinfo(kind)
    return levels.clip(limits.min, limits.max).astype(kind)


def onnx_session(path: Path, threads: int) -> Any:
    """ONNX Runtime on the processor, with a file that has its weights in it.

    Raises:
        MissingExtraError: Where ONNX Runtime is not installed.
    """
    with extra_for("An .onnx file"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _FATAL
    # As bytes: a path would let the file name others to be read.
    return onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )


def _onnx(path: Path, threads: int) -> Predictor:
    session = onnx_session(path, threads)
    (source,) = session.get_inputs()

    def predict(image: np.ndarray) -> list[np.ndarray]:
        batch = image[None].astype(np.float32)
        return [answer[0] for answer in session.run(None, {source.name: batch})]

    return predict


def _keras(path: Path) -> Predictor:
    from kerafer.export.inference import image_input, keras_answers
    from kerafer.models import load_model

    model = load_model(path)

    def predict(image: np.ndarray) -> list[np.ndarray]:
        given = image_input(
            model,
            str(image.dtype),
            image.shape[:2],
            image.shape[2] == 1,
            image[None],
        )
        answers = keras_answers(model, given, image[None])
        return [y[0] for y in answers.values()]

    return predict


def _saved_model(path: Path, outputs: Sequence[str] | None) -> Predictor:
    import tensorflow as tf

    with native_path(path) as native:
        loaded = tf.saved_model.load(native)
    function = loaded.signatures["serving_default"]
    names = outputs or list(function.structured_outputs)

    def predict(image: np.ndarray) -> list[np.ndarray]:
        # The function alone does not keep the weights alive.
        _ = loaded
        answer = function(image=tf.constant(image[None]))
        return [answer[name].numpy()[0] for name in names]

    return predict
