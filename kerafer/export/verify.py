"""Whether an exported file answers as the Keras model does."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerafer.evaluation import classify
from kerafer.export.tflite_file import TfliteFile
from kerafer.files import size
from kerafer.inference.backends import open_backend
from kerafer.inference.probabilities import is_probabilities


@dataclasses.dataclass(frozen=True)
class Reference:
    """The images to answer and the Keras model's answers.

    Args:
        images: As the files take them, `(images, height, width, channels)`.
        outputs: The Keras model's, an array for each, by its name.
        labels: Class index of each image. Defaults to nobody knows.
        class_names: In the order of the probabilities. Defaults to none.
        subjects: Who is on each image. Defaults to nobody knows.
    """

    images: np.ndarray
    outputs: dict[str, np.ndarray]
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    subjects: np.ndarray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the outputs."""
        return tuple(self.outputs)

    @property
    def probabilities(self) -> np.ndarray:
        """Those of the classes, `(images, classes)`."""
        return self.outputs[self.names[0]]

    @property
    def scores(self) -> tuple[float | None, float | None]:
        """Accuracy and macro F1 of the Keras model."""
        return _scores(self, self.probabilities)


@dataclasses.dataclass(frozen=True)
class Verified:
    """How a file compares with the Keras model on the images.

    Args:
        accuracy, macro_f1: Of the file; `None` without labels.
        accuracy_lost: Points, hundredths of 1, below the Keras model.
        agreement: Part of the images with the same likeliest class; `None`
            where the model tells no classes.
        mean_difference, largest_difference: Of the outputs.
        part_of_range, mean_part_of_range: The largest and the mean difference
            as a part of the largest number of the output.
        milliseconds: Median for one image on this machine.
        bytes: Size.
        operators: How often each LiteRT operation occurs.
        float_tensors: How many tensors are of floats.
        n_images: How many were compared; 0 where nobody counted.
    """

    accuracy: float | None
    macro_f1: float | None
    accuracy_lost: float | None
    agreement: float | None
    mean_difference: float
    largest_difference: float
    part_of_range: float
    mean_part_of_range: float
    milliseconds: float
    bytes: int
    operators: dict[str, int] = dataclasses.field(default_factory=dict)
    float_tensors: int | None = None
    n_images: int = 0


class Answers(NamedTuple):
    """What a file says of images.

    Args:
        outputs: An array for each.
        milliseconds: Median for one image on this machine.
    """

    outputs: list[np.ndarray]
    milliseconds: float

    @property
    def probabilities(self) -> np.ndarray:
        """The first output, `(images, classes)`."""
        return self.outputs[0]


def open_file(
    path: Path, threads: int = 2, outputs: Sequence[str] | None = None
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Open an exported file of any format.

    Args:
        path: A .keras, .tflite or .onnx file or the folder of a SavedModel.
        threads: For LiteRT and ONNX Runtime. Defaults to 2.
        outputs: Order of a SavedModel's outputs. Defaults to its own.

    Returns:
        A function from one image, `(height, width, channels)` as the files
        take it, to an array for each output.
    """
    if path.suffix == ".keras":
        return _open_keras(path)
    backend = open_backend(path, threads, outputs)
    return lambda image: [y[0] for y in backend.run(image[None])]


def _open_keras(path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    from kerafer.export.inference import image_input, keras_answers
    from kerafer.models import load_model

    model = load_model(path)

    def predict(image: np.ndarray) -> list[np.ndarray]:
        # It may take gray where the files take RGB.
        size, is_gray = image.shape[:2], image.shape[2] == 1
        given = image_input(model, str(image.dtype), size, is_gray, image[None])
        answers = keras_answers(model, given, image[None])
        return [y[0] for y in answers.values()]

    return predict


def answer(
    path: Path,
    images: np.ndarray,
    threads: int = 2,
    outputs: tuple[str, ...] | None = None,
) -> Answers:
    """Run a file on images, one at a time.

    Args:
        path: A .keras, .tflite or .onnx file, or the folder of a SavedModel.
        images: As the file takes them, `(images, height, width, channels)`.
        threads: That compute. Defaults to 2.
        outputs: As for `open_file`.
    """
    predict = open_file(path, threads, outputs)
    answers, times = [], []
    for image in images:
        start = time.perf_counter()
        answers.append(predict(image))
        times.append(time.perf_counter() - start)
    stacked = [np.stack(parts) for parts in zip(*answers, strict=True)]
    return Answers(stacked, 1e3 * float(np.median(times)))


def verify(path: Path, answers: Answers, reference: Reference) -> Verified:
    """Compare a file's answers with those of the Keras model.

    Args:
        path: The file, whose size and operations are told.
        answers: To the images of `reference`.
        reference: What to compare with.
    """
    accuracy, macro_f1 = _scores(reference, answers.probabilities)
    before, _ = reference.scores
    differences, parts, means = [], [], []
    for ours, keras in zip(
        answers.outputs, reference.outputs.values(), strict=True
    ):
        # Written so that NaN is a difference.
        off = np.abs(ours.astype(np.float64) - keras)
        off = np.where(np.isfinite(off), off, np.inf)
        off[np.isnan(keras) & np.isnan(ours)] = 0
        differences.append(off.ravel())
        largest = max(np.abs(keras).max(), 1e-6)
        parts.append(off.max() / largest)
        means.append(off.mean() / largest)
    difference = np.concatenate(differences)
    verified = Verified(
        accuracy=accuracy,
        macro_f1=macro_f1,
        accuracy_lost=None
        if accuracy is None or before is None
        else 100.0 * (before - accuracy),
        agreement=_agreement(answers.probabilities, reference.probabilities),
        mean_difference=float(difference.mean()),
        largest_difference=float(difference.max()),
        part_of_range=float(max(parts)),
        mean_part_of_range=float(max(means)),
        milliseconds=answers.milliseconds,
        bytes=size(path),
        n_images=len(reference.images),
    )
    if path.suffix != ".tflite":
        return verified
    file = TfliteFile(path.read_bytes())
    return dataclasses.replace(
        verified,
        operators=file.operators,
        float_tensors=len(file.float_tensors),
    )


def _agreement(ours: np.ndarray, keras: np.ndarray) -> float | None:
    if not is_probabilities(keras):
        return None
    return float((ours.argmax(1) == keras.argmax(1)).mean())


def _scores(
    reference: Reference, probabilities: np.ndarray
) -> tuple[float | None, float | None]:
    if reference.labels is None or reference.class_names is None:
        return None, None
    scores = classify(reference.labels, probabilities, reference.class_names)
    return scores.accuracy, float(scores.macro["f1"])
