"""Compare exported files with the Keras model, and judge them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerafer.evaluation import classify
from kerafer.export.config import ExportConfig
from kerafer.export.tflite import TfliteFile
from kerafer.files import size
from kerafer.inference.backends import LiteRTBackend, open_backend
from kerafer.inference.probabilities import is_probabilities

# Largest error of exact formats, as a fraction of the largest output.
_EXACT = {"keras": 1e-3, "savedmodel": 1e-3, "float32": 1e-3, "onnx": 1e-3}
# Mean error of other formats, as a fraction of the output's range.
_MOST_OF_RANGE = 0.1
# Percent of images with the same class in 8 bits, without labels.
_WITHOUT_LABELS = 90.0
# Logits this near to the largest, as a fraction of their range, are equal.
_TIE = 0.02


@dataclasses.dataclass(frozen=True)
class Reference:
    """Test images and the Keras model's outputs.

    Args:
        images: As the files take them, `(images, height, width, channels)`.
        outputs: An array for each of the model's outputs, by name.
        labels: Class index of each image. Default: unknown.
        class_names: In the order of the probabilities. Default: unknown.
        subjects: Who is on each image. Default: unknown.
    """

    images: np.ndarray
    outputs: dict[str, np.ndarray]
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    subjects: np.ndarray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(self.outputs)

    @property
    def probabilities(self) -> np.ndarray:
        """The first output, `(images, classes)`."""
        return self.outputs[self.names[0]]

    def score(
        self, probabilities: np.ndarray
    ) -> tuple[float | None, float | None]:
        """Return accuracy and macro F1; `None` without labels."""
        if self.labels is None or self.class_names is None:
            return None, None
        scores = classify(self.labels, probabilities, self.class_names)
        return scores.accuracy, float(scores.macro["f1"])


@dataclasses.dataclass(frozen=True)
class OutputComparison:
    """How one output of a file compares with the Keras model's.

    Args:
        agreement: Fraction of the images with the same predicted class; for
            logits, near ties count as equal. `None` for other numbers.
        largest: Largest difference as a fraction of the largest number.
        mean_of_range: Mean difference as a fraction of the output's range.
    """

    agreement: float | None
    largest: float
    mean_of_range: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How a file compares with the Keras model.

    Args:
        accuracy, macro_f1: Of the file; `None` without labels.
        accuracy_lost: Percentage points below the Keras model.
        agreement: Fraction of the images with the same predicted class in the
            first output; `None` if it is not probabilities.
        mean_difference, largest_difference: Of all outputs.
        part_of_range: Largest difference as a fraction of the largest number.
        outputs: By name.
        milliseconds: Median for one image on this machine.
        bytes: Size.
        operators: Count of each LiteRT operator.
        float_tensors: Number of floating-point tensors in a `.tflite` file.
        n_images: Number of images compared.
    """

    accuracy: float | None
    macro_f1: float | None
    accuracy_lost: float | None
    agreement: float | None
    mean_difference: float
    largest_difference: float
    part_of_range: float
    outputs: dict[str, OutputComparison]
    milliseconds: float
    bytes: int
    operators: dict[str, int] = dataclasses.field(default_factory=dict)
    float_tensors: int | None = None
    n_images: int = 0


class Answers(NamedTuple):
    """A file's outputs for images.

    Args:
        outputs: An array for each output.
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
        threads: For LiteRT and ONNX Runtime. Default: 2.
        outputs: Order of a SavedModel's outputs. Default: its own.

    Returns:
        A function from one image, `(height, width, channels)` as the files
        take it, to an array for each output.
    """
    if path.suffix == ".keras":
        return _open_keras(path)
    backend = open_backend(path, threads, outputs)
    return lambda image: [y[0] for y in backend.run(image[None])]


def _open_keras(path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    from kerafer.export.graph import predict_with_keras
    from kerafer.export.image_input import image_input
    from kerafer.models import load_model

    model = load_model(path)

    def predict(image: np.ndarray) -> list[np.ndarray]:
        # It may take gray where the files take RGB.
        size, is_gray = image.shape[:2], image.shape[2] == 1
        given = image_input(model, str(image.dtype), size, is_gray, image[None])
        answers = predict_with_keras(model, given, image[None])
        return [y[0] for y in answers.values()]

    return predict


def run_file(
    path: Path,
    images: np.ndarray,
    threads: int = 2,
    outputs: tuple[str, ...] | None = None,
) -> Answers:
    """Run a file on images, one at a time.

    Args:
        path, threads, outputs: As for `open_file`.
        images: As the file takes them, `(images, height, width, channels)`.
    """
    predict = open_file(path, threads, outputs)
    answers, times = [], []
    for image in images:
        start = time.perf_counter()
        answers.append(predict(image))
        times.append(time.perf_counter() - start)
    stacked = [np.stack(parts) for parts in zip(*answers, strict=True)]
    return Answers(stacked, 1e3 * float(np.median(times)))


def compare(path: Path, answers: Answers, reference: Reference) -> Comparison:
    """Compare a file's outputs with those of the Keras model.

    Args:
        path: The file.
        answers: To the images of `reference`.
        reference: What to compare with.
    """
    accuracy, macro_f1 = reference.score(answers.probabilities)
    before, _ = reference.score(reference.probabilities)
    outputs, differences = {}, []
    for (name, keras), ours in zip(
        reference.outputs.items(), answers.outputs, strict=True
    ):
        # NaN counts as a difference.
        off = np.abs(ours.astype(np.float64) - keras)
        off = np.where(np.isfinite(off), off, np.inf)
        off[np.isnan(keras) & np.isnan(ours)] = 0
        differences.append(off.ravel())
        outputs[name] = OutputComparison(
            _agreement(ours, keras),
            float(off.max() / max(np.abs(keras).max(), 1e-6)),
            float(off.mean() / max(np.ptp(keras), 1e-6)),
        )
    difference = np.concatenate(differences)
    first = outputs[reference.names[0]]
    facts: dict[str, Any] = {}
    if path.suffix == ".tflite":
        file = TfliteFile(path.read_bytes())
        facts["operators"] = file.operators
        facts["float_tensors"] = len(file.float_tensors)
    return Comparison(
        accuracy=accuracy,
        macro_f1=macro_f1,
        accuracy_lost=None
        if accuracy is None or before is None
        else 100.0 * (before - accuracy),
        agreement=first.agreement
        if is_probabilities(reference.probabilities)
        else None,
        mean_difference=float(difference.mean()),
        largest_difference=float(difference.max()),
        part_of_range=max(output.largest for output in outputs.values()),
        outputs=outputs,
        milliseconds=answers.milliseconds,
        bytes=size(path),
        n_images=len(reference.images),
        **facts,
    )


def compare_kernels(
    path: Path, images: np.ndarray, usual: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    """Run a `.tflite` file with LiteRT's reference kernels.

    They round to 8 bits in other places than XNNPACK, as other chips do.

    Args:
        path: The file.
        images: As the file takes them.
        usual: The first output of the usual kernels.

    Returns:
        The first output of the reference kernels, and how it differs.
    """
    backend = LiteRTBackend(path, reference_kernels=True)
    found = backend.run(images)[0]
    off = np.abs(found - usual)
    return found, {
        "n_images": len(images),
        "same_class": int(np.sum(found.argmax(-1) == usual.argmax(-1)))
        if usual.ndim == 2
        else None,
        "mean_difference": float(off.mean()),
        "largest_difference": float(off.max()),
    }


def missed_gate(
    kind: str, comparison: Comparison, config: ExportConfig
) -> str | None:
    """Describe the gate that a file misses.

    Args:
        kind: The format.
        comparison: With the Keras model.
        config: With the gates.

    Returns:
        The end of a sentence about the file, or `None`.
    """
    if kind in _EXACT and comparison.part_of_range > _EXACT[kind]:
        return (
            f"differs from the Keras model by {comparison.part_of_range:.2g} "
            f"of its largest output; the gate is {_EXACT[kind]:g}"
        )
    if kind == "int8" and config.require_integer and comparison.float_tensors:
        return (
            f"has {comparison.float_tensors} floating-point tensors; the gate "
            "`require_integer` allows none"
        )
    gates = {"dynamic": "max_drop_dynamic"}
    gates |= dict.fromkeys(("int8", "onnx-int8"), "max_drop_int8")
    outputs, exact = dict(comparison.outputs), kind not in gates
    if not exact and comparison.accuracy_lost is not None:
        allowed = getattr(config, gates[kind])
        # Half a point must not fail by the last digit of a float.
        if comparison.accuracy_lost > allowed + 1e-9:
            return _lost(comparison, allowed, gates[kind])
        del outputs[next(iter(outputs))]
    gate = config.min_agreement if exact else _WITHOUT_LABELS
    flag = " (`min_agreement`)" if exact else ""
    for name, output in outputs.items():
        if output.agreement is not None and 100 * output.agreement < gate:
            return (
                f"predicts the Keras model's class for only "
                f"{100 * output.agreement:.2f} % of the test images (output "
                f"{name}); the gate is {gate:g} %{flag}"
            )
        if output.agreement is None and output.mean_of_range > _MOST_OF_RANGE:
            return (
                f"differs from the Keras model by {output.mean_of_range:.2g} "
                f"of the range of output {name} on average; the gate is "
                f"{_MOST_OF_RANGE:g}"
            )
    return None


def _lost(comparison: Comparison, allowed: float, gate: str) -> str:
    lost, count = comparison.accuracy_lost or 0.0, comparison.n_images
    text = f"loses {lost:.2f} points of accuracy"
    if count:
        text += f" ({round(lost * count / 100):,} of {count:,} images)"
    text += f"; the gate is {allowed:g} (`{gate}`)"
    if count and 0 < allowed < 100 / count:
        text += (
            f". One image of {count:,} is {100 / count:.2f} points: the test "
            "set is too small for this gate"
        )
    return text


def _agreement(ours: np.ndarray, keras: np.ndarray) -> float | None:
    if is_probabilities(keras):
        return float((ours.argmax(1) == keras.argmax(1)).mean())
    if keras.ndim != 2 or keras.shape[1] < 3:
        return None
    # Logits, or numbers of which the largest stays near the largest.
    chosen = np.take_along_axis(keras, ours.argmax(1)[:, None], axis=1)[:, 0]
    return float(np.mean(keras.max(1) - chosen <= _TIE * np.ptp(keras)))
