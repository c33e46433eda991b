"""Whether an exported file answers as the Keras model does."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerafer.evaluation import classify
from kerafer.export.predictors import predictor
from kerafer.export.tflite_file import TfliteFile


@dataclasses.dataclass(frozen=True)
class Reference:
    """The pictures to answer, the truth and the Keras model's answers.

    Args:
        pictures: uint8, `(pictures, height, width, channels)`.
        labels: Class index of each.
        class_names: In the order of the probabilities.
        probabilities: The Keras model's, `(pictures, classes)`.
        subjects: Who is on each picture. Defaults to nobody knows.
    """

    pictures: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    probabilities: np.ndarray
    subjects: np.ndarray | None = None

    @property
    def scores(self) -> tuple[float, float]:
        """Accuracy and macro F1 of the Keras model."""
        return _scores(self, self.probabilities)


@dataclasses.dataclass(frozen=True)
class Verified:
    """How a file compares with the Keras model on the test pictures.

    Args:
        accuracy, macro_f1: Of the file.
        accuracy_lost: Points, hundredths of 1, below the Keras model.
        agreement: Part of the pictures with the same likeliest class.
        mean_difference, largest_difference: Of the probabilities.
        milliseconds: Median for one picture on this machine.
        bytes: Size.
        operators: How often each LiteRT operation occurs.
        float_tensors: How many tensors are of floats.
    """

    accuracy: float
    macro_f1: float
    accuracy_lost: float
    agreement: float
    mean_difference: float
    largest_difference: float
    milliseconds: float
    bytes: int
    operators: dict[str, int] = dataclasses.field(default_factory=dict)
    float_tensors: int | None = None


class Answers(NamedTuple):
    """What a file says of pictures.

    Args:
        probabilities: `(pictures, classes)`.
        milliseconds: Median for one picture on this machine.
    """

    probabilities: np.ndarray
    milliseconds: float


def answer(path: Path, pictures: np.ndarray, threads: int = 2) -> Answers:
    """Run a file on pictures, one at a time.

    Args:
        path: A .keras, .tflite or .onnx file, or the folder of a SavedModel.
        pictures: uint8, `(pictures, height, width, channels)`.
        threads: That compute. Defaults to 2.
    """
    predict = predictor(path, threads)
    answers, times = [], []
    for picture in pictures:
        start = time.perf_counter()
        answers.append(predict(picture))
        times.append(time.perf_counter() - start)
    return Answers(np.stack(answers), 1e3 * float(np.median(times)))


def verify(path: Path, answers: Answers, reference: Reference) -> Verified:
    """Compare a file's answers with those of the Keras model.

    Args:
        path: The file, whose size and operations are told.
        answers: To the pictures of `reference`.
        reference: What to compare with.
    """
    probabilities = answers.probabilities
    accuracy, macro_f1 = _scores(reference, probabilities)
    difference = np.abs(probabilities - reference.probabilities)
    same = probabilities.argmax(1) == reference.probabilities.argmax(1)
    verified = Verified(
        accuracy=accuracy,
        macro_f1=macro_f1,
        accuracy_lost=100.0 * (reference.scores[0] - accuracy),
        agreement=float(same.mean()),
        mean_difference=float(difference.mean()),
        largest_difference=float(difference.max()),
        milliseconds=answers.milliseconds,
        bytes=size(path),
    )
    if path.suffix != ".tflite":
        return verified
    file = TfliteFile(path.read_bytes())
    return dataclasses.replace(
        verified,
        operators=file.operators,
        float_tensors=len(file.float_tensors),
    )


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _scores(
    reference: Reference, probabilities: np.ndarray
) -> tuple[float, float]:
    scores = classify(reference.labels, probabilities, reference.class_names)
    return scores.accuracy, float(scores.macro["f1"])
