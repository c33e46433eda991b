"""Exported files as functions from pictures to probabilities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from kerafer.errors import UserError
from kerafer.quiet import stderr_held_back

Predictor = Callable[[np.ndarray], np.ndarray]


def predictor(path: Path, threads: int = 2) -> Predictor:
    """Load an exported file, of any format.

    Args:
        path: A .keras, .tflite or .onnx file or the folder of a SavedModel.
        threads: That compute; TensorFlow has its own count. Defaults to 2.

    Returns:
        A function of one uint8 picture, `(height, width, channels)`, that
        returns its probabilities, `(classes,)`.

    Raises:
        UserError: Where the package that runs the file is not installed.
    """
    if path.suffix == ".tflite":
        return _tflite(path, threads)
    if path.suffix == ".onnx":
        return _onnx(path, threads)
    if path.suffix == ".keras":
        return _keras(path)
    return _saved_model(path)


def _tflite(path: Path, threads: int) -> Predictor:
    from ai_edge_litert.interpreter import Interpreter

    # It tells of its delegate.
    with stderr_held_back():
        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    scale, zero = target["quantization"]

    def predict(picture: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source["index"], picture[None])
        interpreter.invoke()
        (values,) = interpreter.get_tensor(target["index"])
        if scale:
            return (values.astype(np.float32) - zero) * np.float32(scale)
        return values

    return predict


def _onnx(path: Path, threads: int) -> Predictor:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            "An .onnx file is run by onnxruntime: pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    (source,) = session.get_inputs()

    def predict(picture: np.ndarray) -> np.ndarray:
        batch = picture[None].astype(np.float32)
        ((probabilities,),) = session.run(None, {source.name: batch})
        return probabilities

    return predict


def _keras(path: Path) -> Predictor:
    from kerafer.models import load_model

    model = load_model(path)

    def predict(picture: np.ndarray) -> np.ndarray:
        return model.predict_on_batch(picture[None])[0]

    return predict


def _saved_model(path: Path) -> Predictor:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]

    def predict(picture: np.ndarray) -> np.ndarray:
        # The function alone does not keep the weights alive.
        _ = loaded
        answer = function(image=tf.constant(picture[None]))
        return answer["probabilities"].numpy()[0]

    return predict
