"""LiteRT and ONNX Runtime on the same model."""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kerafer.errors import UserError
from kerafer.export.predictors import Predictor, predictor
from kerafer.extras import extra_for
from kerafer.runtime.speed import speed_row


def engine_speed(
    export: str | os.PathLike[str], repeats: int = 20, threads: int = 2
) -> list[dict[str, object]]:
    """Time an export with LiteRT and with ONNX Runtime, floats and 8 bits.

    ONNX Runtime's model of 8 bits is made here of `model.onnx`, by its own
    static quantization (QDQ, a scale for each channel, ranges from the
    images of `golden.npz`). All predict these images one at a time, the
    four in turns; before each turn one image that does not count, after
    which the threads of the one before have gone to sleep.

    Args:
        export: A folder with `float32.tflite`, `int8.tflite`, `model.onnx` and
            `golden.npz`.
        repeats: Turns; the median counts. Defaults to 20.
        threads: Of each. Defaults to 2.

    Returns:
        A `speed_row` each, with `same_class`, the share of the images on
        which it answers as the Keras model did at export.

    Raises:
        UserError: Where a file or a package is missing.
    """
    folder = Path(export)
    _check(folder)
    with np.load(folder / "golden.npz", allow_pickle=False) as golden:
        images, answers = golden["images"], golden["keras"].argmax(axis=1)
    with tempfile.TemporaryDirectory() as name:
        quantized = Path(name) / "int8.onnx"
        _quantize(folder / "model.onnx", quantized, images)
        predictors = {
            "LiteRT float32": predictor(folder / "float32.tflite", threads),
            "ONNX Runtime float32": predictor(folder / "model.onnx", threads),
            "LiteRT int8": predictor(folder / "int8.tflite", threads),
            "ONNX Runtime int8": predictor(quantized, threads),
        }
        taken = _medians(predictors, images, repeats)
        return [
            speed_row(
                f"engine: {name}",
                taken[name],
                1,
                threads,
                same_class=_agreement(predict, images, answers),
            )
            for name, predict in predictors.items()
        ]


def _check(folder: Path) -> None:
    names = ("float32.tflite", "int8.tflite", "model.onnx", "golden.npz")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"The engines are compared on an export with {', '.join(names)}. "
            f"There is no {', no '.join(missing)} in {folder}.\n"
            "    kerafer export --model RUN --formats float32,int8,onnx\n"
            "makes them of a training's folder."
        )


def _quantize(source: Path, target: Path, images: np.ndarray) -> None:
    with extra_for("ONNX Runtime's part"):
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    batches = _batches(images)

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(batches, None)

    prepared = target.with_name("prepared.onnx")
    level = logging.root.level
    # It advises to do what was done on the line before.
    logging.root.setLevel(logging.ERROR)
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            target,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    finally:
        logging.root.setLevel(level)


def _batches(images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    for image in images:
        yield {"image": image[None].astype(np.float32)}


def _medians(
    predictors: dict[str, Predictor], images: np.ndarray, repeats: int
) -> dict[str, float]:
    """Seconds an image."""
    times: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(repeats):
        for name, predict in predictors.items():
            predict(images[0])
            for image in images:
                began = time.perf_counter()
                predict(image)
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _agreement(
    predict: Predictor, images: np.ndarray, answers: np.ndarray
) -> float:
    told = [int(predict(image)[0].argmax()) for image in images]
    return float(np.mean(told == answers))
