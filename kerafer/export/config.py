"""Everything that decides an export."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar

from annotated_types import Ge, Interval, Le

from kerafer.errors import ConfigError
from kerafer.inference import InputRange
from kerafer.settings import Seed, Settings, Threads

# The name in `formats`, and the file.
FILES = {
    "keras": "model.keras",
    "savedmodel": "saved_model",
    "float32": "float32.tflite",
    "float16": "float16.tflite",
    "dynamic": "dynamic.tflite",
    "int8": "int8.tflite",
    "onnx": "model.onnx",
    "onnx-int8": "model_int8.onnx",
}
Percent = Annotated[float, Interval(ge=0, le=100)]
Drop = Annotated[float, Le(100)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(Settings):
    """An export's settings.

    Raises:
        UserError: For an unknown format or a gate out of its range.
    """

    GROUPS: ClassVar[Mapping[str, str]] = {
        "min_agreement": "Gates",
        "external_test": "External test",
    }

    formats: str = "savedmodel,float16,dynamic,int8"
    """Formats, separated by commas: keras, savedmodel, float32, float16,
    dynamic, int8, onnx, onnx-int8, or all."""
    calibration: Annotated[int, Ge(1)] = 200
    """Number of training images that calibrate int8 and onnx-int8."""
    seed: Seed = 0
    """Random seed of the choice of these images."""
    threads: Threads = 2
    """Threads for the verification of the files."""
    input_range: str | None = None
    """Input values of a model whose files take float32: 0..255, 0..1, -1..1
    or mean/std. It is written into the files."""
    keep_gray: bool = False
    """Keep the gray input of a gray model. By default its files take RGB."""
    min_agreement: Percent = 99.0
    """Minimum agreement with the Keras model on the test images, in percent,
    for keras, savedmodel, float32, float16 and onnx."""
    max_drop_dynamic: Drop = 0.5
    """Maximum loss of accuracy of dynamic, in points."""
    max_drop_int8: Drop = 0.5
    """Maximum loss of accuracy of int8 and onnx-int8, in points."""
    require_integer: bool = False
    """Refuse an int8 file with floating-point tensors."""
    ignore_gates: bool = False
    """Keep files that miss their gate. The manifest records it."""
    external_test: str | None = None
    """Folder or .zip of other labeled images, <class>/*, that the model has
    not seen. The model card reports the scores."""
    external_note: str | None = None
    """Remark on the external test for the model card, such as how its images
    were labeled."""
    subject_pattern: str | None = None
    """Regular expression whose first group is the subject in a file name of
    the external test."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input_range is not None:
            InputRange.parse(self.input_range)
        unknown = [name for name in self.chosen if name not in FILES]
        if unknown or not self.chosen:
            raise ConfigError(
                f"`formats` takes {', '.join(FILES)}, or all. "
                f"Received: {self.formats}."
            )
        if self.subject_pattern and not self.external_test:
            raise ConfigError(
                "`subject_pattern` is about the images of `external_test`. "
                f"Received: {self.subject_pattern} without `external_test`."
            )

    @property
    def chosen(self) -> tuple[str, ...]:
        """The formats, in the order of `FILES`."""
        words = [word.strip() for word in self.formats.split(",")]
        if words == ["all"]:
            return tuple(FILES)
        unknown = [word for word in words if word and word not in FILES]
        return (*(name for name in FILES if name in words), *unknown)
