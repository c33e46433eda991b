"""Everything that decides an export."""

from __future__ import annotations

import dataclasses

from kerafer.errors import ConfigError
from kerafer.inference import InputRange
from kerafer.settings import MOST_THREADS, Settings, setting

# The name in `formats`, and the file.
FILES = {
    "keras": "model.keras",
    "savedmodel": "saved_model",
    "float32": "float32.tflite",
    "float16": "float16.tflite",
    "dynamic": "dynamic.tflite",
    "int8": "int8.tflite",
    "onnx": "model.onnx",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(Settings):
    """An export's settings.

    Raises:
        UserError: For an unknown format or a gate out of its range.
    """

    formats: str = setting(
        "savedmodel,float16,dynamic,int8",
        f"any of {', '.join(FILES)}, with commas between, or all",
    )
    calibration: int = setting(
        200,
        "training images that give int8 its ranges",
        least=1,
    )
    seed: int = setting(
        0, "of the choice of these images", least=0, most=2**32 - 1
    )
    threads: int = setting(
        2, "that the files are verified with", least=1, most=MOST_THREADS
    )
    min_agreement: float = setting(
        99.0,
        "gate: percent of test images with the Keras model's answer, for "
        "keras, savedmodel, float32, float16 and onnx",
        least=0,
        most=100,
    )
    input_range: str | None = setting(
        None,
        "values that a model takes whose files take float32: 0..255, 0..1, "
        "-1..1 or mean/std; it is written into the files",
        metavar="RANGE",
    )
    keep_gray: bool = setting(
        False,
        "let the files of a gray model take gray images; else they take RGB, "
        "as most of those who have images do",
    )
    max_drop_dynamic: float = setting(
        0.5,
        "gate: points of accuracy that dynamic may lose",
        most=100,
    )
    max_drop_int8: float = setting(
        0.5,
        "gate: points of accuracy that int8 may lose",
        most=100,
    )
    require_integer: bool = setting(
        False,
        "gate: int8 must not contain floating-point tensors",
    )
    allow_drop: bool = setting(
        False, "keep files that miss their gate; the manifest says so"
    )
    also_on: str | None = setting(
        None,
        "folder or .zip of other labelled images, <class>/*, that the model "
        "never saw; the model card tells how it does on them",
    )
    subject_pattern: str | None = setting(
        None,
        "regular expression whose group is the person in a file's name "
        "(of also_on); its intervals are over people then",
    )

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
        if self.subject_pattern and not self.also_on:
            raise ConfigError(
                "`subject_pattern` is about the images of `also_on`. "
                f"Received: {self.subject_pattern} without `also_on`."
            )

    @property
    def chosen(self) -> tuple[str, ...]:
        """The formats, in the order of `FILES`."""
        words = [word.strip() for word in self.formats.split(",")]
        if words == ["all"]:
            return tuple(FILES)
        unknown = [word for word in words if word and word not in FILES]
        return (*(name for name in FILES if name in words), *unknown)
