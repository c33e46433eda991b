"""Run models: LiteRT, ONNX Runtime, Keras and SavedModels."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kerafer.engine import load_backend, load_tensorflow
from kerafer.errors import UserError, first_line
from kerafer.extras import extra_for
from kerafer.files import native_path
from kerafer.inference.input_range import (
    METADATA_KEY,
    UNKNOWN,
)
from kerafer.inference.signature import TensorSpec, is_channels_first

if TYPE_CHECKING:
    import keras

# ONNX Runtime logs errors that it also raises.
_FATAL = 4


class Backend(Protocol):
    """Runs a model of one format; for one thread at a time.

    Attributes:
        inputs, outputs: What the model takes and gives.
        input_range: From the file's own metadata: a range as
            `InputRange.parse` takes it, `"unknown"` if the file must not be
            used without one, or `None` if it has no metadata.
    """

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    input_range: str | None

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Run images, one or more, of the model's size and range.

        Returns:
            Each output, float32 of shape `(images, ...)`.
        """


def open_backend(
    file: Path, threads: int = 2, outputs: Sequence[str] | None = None
) -> Backend:
    """Open a model's file with what runs it.

    Args:
        file: A `.tflite`, `.onnx` or `.keras` file or a SavedModel's folder.
        threads: For LiteRT and ONNX Runtime. Defaults to 2.
        outputs: Order of a SavedModel's outputs. Defaults to its own.

    Raises:
        UserError: If the file is damaged or a package is missing.
    """
    suffix = file.suffix.lower()
    if suffix == ".tflite":
        return LiteRTBackend(file, threads)
    if suffix == ".onnx":
        return OnnxBackend(file, threads)
    with extra_for(f"A {suffix or 'SavedModel'} model"):
        if suffix == ".keras":
            load_backend()
            from kerafer.models.load import load_model

            return KerasBackend(load_model(file))
        load_tensorflow()
        return SavedModelBackend(file, outputs)


class LiteRTBackend:
    """Run a `.tflite` file, image by image.

    Args:
        file: The file.
        threads: Of the interpreter. Defaults to 2.
        reference_kernels: Whether LiteRT's slow reference kernels run in place
            of XNNPACK. Defaults to False.

    Raises:
        UserError: If the file is damaged.
    """

    def __init__(
        self, file: Path, threads: int = 2, reference_kernels: bool = False
    ) -> None:
        self._file = file
        content = _read(file)
        if content[4:8] != b"TFL3":
            raise UserError(f"{file} is damaged or not a .tflite file.")
        self._interpreter = _interpreter(
            file, content, threads, reference_kernels
        )
        inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        self.inputs = [_litert_spec(one, "shape_signature") for one in inputs]
        self.outputs = [_litert_spec(one, "shape") for one in self._outputs]
        self._given = inputs[0]
        self._input = self._interpreter.tensor(self._given["index"])
        self._tensors = [
            self._interpreter.tensor(one["index"]) for one in self._outputs
        ]
        self.input_range = None
        if self.inputs[0].dtype != "uint8":
            from kerafer.inference.tflite_metadata import read_input_range

            self.input_range = read_input_range(content) or UNKNOWN

    @property
    def output_quantization(self) -> tuple[float, int]:
        """Scale and zero point of the first output; scale 0 for floats."""
        return self._outputs[0]["quantization"]

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Run images; see `Backend.run`."""
        images = self._quantize(images)
        found = [
            np.empty((len(images), *details["shape"][1:]), np.float32)
            for details in self._outputs
        ]
        for row, image in enumerate(images):
            # No view of a tensor may exist while the model runs.
            self._input()[0] = image
            try:
                self._interpreter.invoke()
            except RuntimeError as error:
                raise UserError(
                    f"LiteRT cannot run {self._file}: {first_line(error)}"
                ) from None
            for values, tensor in zip(found, self._tensors, strict=True):
                values[row] = tensor()[0]
        for values, details in zip(found, self._outputs, strict=True):
            scale, zero = details["quantization"]
            if scale:
                values -= zero
                values *= scale
        return found

    def _quantize(self, images: np.ndarray) -> np.ndarray:
        kind = self._given["dtype"]
        scale, zero = self._given["quantization"]
        # Pixels go into a uint8 tensor as they are, whatever its scale.
        if images.dtype == kind or not np.issubdtype(kind, np.integer):
            return images
        levels = np.rint(images / np.float32(scale or 1)) + zero
        limits = np.iinfo(kind)
        return levels.clip(limits.min, limits.max).astype(kind)


class OnnxBackend:
    """Run an `.onnx` file on the CPU.

    Args:
        file: With its weights inside.
        threads: Of ONNX Runtime. Defaults to 2.

    Raises:
        UserError: If the file is damaged or refers to other files.
    """

    def __init__(self, file: Path, threads: int = 2) -> None:
        with extra_for("An .onnx file"):
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _FATAL
        try:
            # From bytes, the file cannot name other files to be read.
            self._session = onnxruntime.InferenceSession(
                _read(file), options, providers=["CPUExecutionProvider"]
            )
        # ONNX Runtime raises errors of its own on damaged files.
        except Exception as error:
            raise UserError(
                f"Cannot open {file}: {first_line(error)}\nAn .onnx file must "
                "be whole and contain its weights."
            ) from None
        self.inputs = [*map(_onnx_spec, self._session.get_inputs())]
        self.outputs = [*map(_onnx_spec, self._session.get_outputs())]
        # PyTorch exports channels first.
        self._transposes = is_channels_first(self.inputs[0].shape)
        if self._transposes:
            batch, channels, *sides = self.inputs[0].shape or ()
            self.inputs[0] = self.inputs[0]._replace(
                shape=[batch, *sides, channels]
            )
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.input_range = metadata.get(METADATA_KEY)

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Run images; see `Backend.run`."""
        given = self.inputs[0]
        images = images.astype(given.dtype)
        if self._transposes:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        one = given.shape is not None and given.shape[0] == 1
        batches = [image[None] for image in images] if one else [images]
        answers = [
            self._session.run(None, {given.name: batch}) for batch in batches
        ]
        return [_joined(parts) for parts in zip(*answers, strict=True)]


class SavedModelBackend:
    """Run a SavedModel through its signature `serving_default`.

    A SavedModel is a program that can read and write files: open only those
    whose origin you know.

    Args:
        folder: The SavedModel.
        outputs: Order of its outputs. Defaults to its own.

    Raises:
        UserError: If it cannot be loaded.
    """

    def __init__(
        self, folder: Path, outputs: Sequence[str] | None = None
    ) -> None:
        import tensorflow as tf

        try:
            # The module owns the variables that the signature uses.
            with native_path(folder) as path:
                self._module = tf.saved_model.load(path)
            self._serve = self._module.signatures["serving_default"]
        # TensorFlow raises nearly every error on damaged ones.
        except Exception as error:
            raise UserError(
                f"Cannot open the SavedModel {folder}: {first_line(error)}\n"
                "It must be whole and have the signature serving_default."
            ) from None
        inputs = self._serve.structured_input_signature[1]
        answers = self._serve.structured_outputs
        self.inputs = [_tf_spec(*item) for item in inputs.items()]
        self.outputs = [
            _tf_spec(name, answers[name]) for name in outputs or answers
        ]
        note = folder / "assets.extra" / METADATA_KEY
        self.input_range = note.read_text("utf-8") if note.is_file() else None

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Run images; see `Backend.run`."""
        import tensorflow as tf

        given = self.inputs[0]
        batch = tf.cast(images, given.dtype)
        one = given.shape is not None and given.shape[0] == 1
        batches = tf.split(batch, len(images)) if one else [batch]
        answers = [self._serve(**{given.name: batch}) for batch in batches]
        return [
            _joined([answer[output.name] for answer in answers])
            for output in self.outputs
        ]


class KerasBackend:
    """Run a Keras model.

    Args:
        model: Built.

    Attributes:
        model: With one input and one output tensor where the given model has
            one of each, in whatever structure.
        scales_pixels: Whether it begins by scaling its input.
    """

    input_range: str | None = None

    def __init__(self, model: keras.Model) -> None:
        import keras

        from kerafer.models.graph import built_shape

        inputs = getattr(model, "inputs", None) or []
        outputs = getattr(model, "outputs", None) or []
        # Not a sequence of layers, nor one tensor in a list or a dictionary.
        is_plain = inputs and all(
            isinstance(getattr(model, end, None), keras.KerasTensor)
            for end in ("input", "output")
        )
        if not inputs and (shape := built_shape(model)):
            # A subclassed model has no graph.
            image = keras.Input(shape[1:])
            inputs, outputs = [image], keras.tree.flatten(model(image))
        self.inputs = [_keras_spec("image", tensor) for tensor in inputs]
        names = _keras_names(model, len(outputs))
        self.outputs = [*map(_keras_spec, names, outputs)]
        if not is_plain and len(inputs) == len(outputs) == 1:
            model = keras.Model(inputs[0], outputs[0], name=model.name)
        self.model = model
        self.scales_pixels = _scales_pixels(model)

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Run images; see `Backend.run`."""
        import keras

        answer = keras.tree.flatten(self.model.predict_on_batch(images))
        return [np.asarray(values, np.float32) for values in answer]


def _read(file: Path) -> bytes:
    # Libraries get the content: not all of them can open every path.
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}.") from None


def _interpreter(
    file: Path, content: bytes, threads: int, reference_kernels: bool
) -> Any:
    if threads < 1:
        raise UserError(f"threads must be at least 1. Received: {threads}.")
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise UserError(
            f".tflite files need a package that is missing ({error}):\n"
            '    pip install "ai-edge-litert>=2.1,<3"'
        ) from None
    try:
        with _without_remarks():
            interpreter = Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_op_resolver_type=OpResolverType.BUILTIN_REF
                if reference_kernels
                else OpResolverType.AUTO,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"LiteRT cannot open {file}: {first_line(error)}\nThe .tflite "
            "file is damaged or has operations that LiteRT does not know."
        ) from None
    return interpreter


def _without_remarks() -> contextlib.AbstractContextManager[None]:
    """Drop LiteRT's remarks in a command; a library must not do so."""
    # It takes long to import, and is not needed in the library.
    console = sys.modules.get("kerafer.console")
    if console is None or console.console.quiet:
        return contextlib.nullcontext()
    return console.silence()


def _joined(parts: Sequence[Any]) -> np.ndarray:
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


def _litert_spec(details: dict[str, Any], shape: str) -> TensorSpec:
    kind = np.dtype(details["dtype"]).name
    return TensorSpec(details["name"], details[shape].tolist(), kind)


def _onnx_spec(value: Any) -> TensorSpec:
    # An open side is a word.
    shape = [side if isinstance(side, int) else None for side in value.shape]
    kinds = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
    return TensorSpec(value.name, shape, kinds.get(value.type, value.type))


def _tf_spec(name: str, spec: Any) -> TensorSpec:
    known = spec.shape.rank is not None
    shape = spec.shape.as_list() if known else None
    return TensorSpec(name, shape, spec.dtype.name)


def _keras_spec(name: str, tensor: Any) -> TensorSpec:
    import keras

    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return TensorSpec(name, tensor.shape, dtype)


def _keras_names(model: keras.Model, count: int) -> list[str]:
    """Keys of a dictionary of outputs, else numbers."""
    answer = getattr(model, "output", None)
    if isinstance(answer, dict) and len(answer) == count:
        return sorted(answer)
    return [f"output {index}" for index in range(count)]


def _scales_pixels(model: Any) -> bool:
    """Whether one of the first layers is a Rescaling or Normalization."""
    import keras

    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    layers = [
        layer
        for layer in getattr(model, "layers", [])
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    if any(isinstance(layer, kinds) for layer in layers[:3]):
        return True
    return bool(layers) and _scales_pixels(layers[0])
