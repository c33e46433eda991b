"""Find a model's file and read the metadata beside it."""

from __future__ import annotations

import functools
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerafer.datasets.specs import face_margin, find_spec
from kerafer.errors import ConfigError, UserError
from kerafer.faces.crops import MARGIN
from kerafer.inference.input_range import PIXELS, UNKNOWN
from kerafer.model_files import (
    find_keras_file,
    included_models,
    keras_file_in,
    model_path,
    other_format_hint,
)
from kerafer.untrusted import decode_text, parse_yaml, read_json, read_text

# In an export the first that exists, unless the manifest tells whose scores
# are published. float16 has the answers of float32 at half the size.
EXPORTED = (
    *("float16.tflite", "float32.tflite", "int8.tflite", "dynamic.tflite"),
    "saved_model",
)
_SUFFIXES = (".tflite", ".keras", ".onnx")
_MAX_LABEL_BYTES = 1_000_000
# Such as `0 angry` or `0: angry`.
_NUMBERED = re.compile(r"([0-9]{1,4})(?:\s*[:,;]\s*|\s+)(\S.*)")


class ModelSource:
    """A model's file and what is written beside it, each file read once.

    Args:
        file: A `.tflite`, `.keras` or `.onnx` file or a SavedModel's folder.

    Attributes:
        file: As given.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @classmethod
    def find(
        cls, model: str | os.PathLike[str], keras_only: bool = False
    ) -> ModelSource:
        """Resolve what a user calls a model.

        Args:
            model: A `.tflite`, `.keras` or `.onnx` file, the folder of a
                SavedModel, a run (its `best.keras`) or an export (the file
                whose scores its manifest gives), or the name of an included
                model.
            keras_only: Whether it must be a `.keras` file.

        Raises:
            UserError: If there is no such model.
        """
        if not isinstance(model, (str, os.PathLike)):
            raise UserError(
                f"Cannot open a model from {type(model).__name__}. {_rule()}"
            )
        if keras_only:
            return cls(find_keras_file(model))
        path = model_path(model)
        if path.is_file():
            if path.suffix.lower() in _SUFFIXES:
                return cls(path)
            hint = other_format_hint(path) or f"\n{_rule()}"
            raise UserError(f"{path} is not a model kerafer can open.{hint}")
        if not path.exists():
            raise UserError(f"File not found: {path}\n{_rule()}")
        if (path / "saved_model.pb").is_file():
            return cls(path)
        return cls._in_folder(path)

    @classmethod
    def _in_folder(cls, folder: Path) -> ModelSource:
        if (folder / "best.keras").is_file():
            return cls(folder / "best.keras")
        # Its manifest is that of every file in the folder.
        source = cls(folder / "manifest.json")
        scores = source.manifest.get("scores")
        named = scores.get("file") if isinstance(scores, dict) else None
        for name in sorted(EXPORTED, key=lambda name: name != named):
            if (folder / name).exists():
                source.file = folder / name
                return source
        found = keras_file_in(folder)
        if found is None and (folder / "model.onnx").is_file():
            found = folder / "model.onnx"
        if found is None:
            raise UserError(f"No model found in {folder}.\n{_rule()}")
        source.file = found
        return source

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """The `manifest.json` of an export; empty without one."""
        return self._json("manifest.json")

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """The `metrics.json` of a finished run; empty without one."""
        return self._json("metrics.json")

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The `config.yaml` of a run; empty without one."""
        file = self._beside("config.yaml")
        try:
            text = "" if file is None else read_text(file)
            values = parse_yaml(text)
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    @property
    def name(self) -> str:
        """A run's name, or an exported file's with that of its folder."""
        file = self.file.resolve()
        if file.name == "best.keras":
            return file.parent.name
        return f"{file.parent.name}-{file.stem}" if self.manifest else file.stem

    @property
    def run(self) -> Path | None:
        """The folder of the run whose best model it is."""
        folder = self.file.parent
        is_run = (folder / "config.yaml").is_file()
        return folder if is_run and self.file.name == "best.keras" else None

    @property
    def crop_margin(self) -> float | None:
        """Added to a face's box on each side; `None` for whole images.

        A fraction of the box's longer side, as in training: from an export's
        manifest, a run's metrics, or the settings of an unfinished run.
        Otherwise 0.2.
        """
        for values in (self._input, self.metrics):
            if "face_margin" in values:
                return _margin(values["face_margin"])
        config = self.config
        if not {"dataset", "face_crop"} <= set(config):
            return MARGIN
        own = find_spec(str(config["dataset"])).margin
        given = config.get("face_margin")
        given = None if given is None else _margin(given)
        return face_margin(own, config["face_crop"], given)

    @property
    def vote_temperature(self) -> float | None:
        """Divides the logits to get people's votes; `None` if not trained on
        votes."""
        votes = self.manifest.get("votes")
        votes = votes if isinstance(votes, dict) else {}
        for value in (
            votes.get("temperature"),
            self.metrics.get("vote_temperature"),
        ):
            if isinstance(value, (int, float)) and 0.05 <= value <= 20:
                return float(value)
        return None

    @property
    def min_scores(self) -> dict[str, float] | None:
        """Thresholds of an export's answers, by class, if it has any."""
        found: Any = self.manifest
        for name in ("scores", "test", "selective", "min_scores"):
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else None

    @property
    def input_range(self) -> str | None:
        """The input range of an export; `None` if it is no export."""
        kind, found = self._input.get("kind"), self._input.get("range")
        if kind == "float32":
            return found if isinstance(found, str) else UNKNOWN
        return str(PIXELS) if kind == "uint8" else None

    @functools.cached_property
    def labels(self) -> tuple[str, ...] | None:
        """Class names: in the file, in `labels.txt` or of a finished run."""
        is_tflite = self.file.suffix.lower() == ".tflite"
        if is_tflite and (found := read_labels(self.file)):
            return found
        if (file := self._beside("labels.txt")) is not None:
            try:
                return split_labels(read_text(file))
            except (OSError, ValueError) as error:
                raise UserError(
                    f"Cannot read {file} as UTF-8 text: {error}."
                ) from None
        test = self.metrics.get("test")
        named = test.get("per_class") if isinstance(test, dict) else None
        return tuple(named) if isinstance(named, dict) else None

    @property
    def _input(self) -> dict[str, Any]:
        found = self.manifest.get("input")
        return found if isinstance(found, dict) else {}

    def _beside(self, name: str) -> Path | None:
        """A file in a SavedModel's folder or beside the model."""
        for folder in (self.file, self.file.parent):
            if (folder / name).is_file():
                return folder / name
        return None

    def _json(self, name: str) -> dict[str, Any]:
        file = self._beside(name)
        try:
            return {} if file is None else read_json(file)
        except (OSError, ValueError):
            return {}


def check_labels(
    labels: Sequence[str] | None, classes: int, model: str
) -> tuple[str, ...]:
    """Check class names against the number of outputs.

    Raises:
        UserError: If there are none, two are the same, or their number is
            another.
    """
    if labels is None:
        raise ConfigError(
            f"No class names found for {model}. Write them to labels.txt "
            "beside the model, one per line in the order of its outputs, or "
            "set `labels`."
        )
    if len(labels) != classes or len(set(labels)) != classes:
        raise UserError(
            f"{model} has {classes} outputs, so it needs {classes} different "
            f"class names. Received {len(labels)}: {', '.join(labels)}."
        )
    return tuple(labels)


def read_labels(file: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """Read the class names in a `.tflite` file's metadata.

    TFLite metadata keeps them in a text file with "label" in its name, in a
    zip archive appended to the model.

    Returns:
        The names in order, or `None` if none can be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for item in archive.infolist():
                name = item.filename.lower()
                if "label" in name and name.endswith(".txt"):
                    if item.file_size > _MAX_LABEL_BYTES:
                        return None
                    with archive.open(item) as stream:
                        content = stream.read(_MAX_LABEL_BYTES + 1)
                    return split_labels(decode_text(content))
    # zipfile and its decompressors raise nearly every error on damaged files.
    except Exception:
        return None
    return None


def split_labels(text: str) -> tuple[str, ...]:
    """Return the class names of a label file, one a line.

    Empty lines are skipped. If every line starts with the number of its
    output, as Teachable Machine writes them (`0 angry`), the names are
    returned without the numbers, in the order of the outputs.
    """
    names = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [_NUMBERED.fullmatch(name) for name in names]
    by_output = {int(line[1]): line[2] for line in numbered if line}
    if names and sorted(by_output) == list(range(len(names))):
        return tuple(by_output[output] for output in range(len(names)))
    return tuple(names)


def _margin(value: Any) -> float | None:
    if value is None:
        return None
    known = isinstance(value, (int, float)) and 0 <= value <= 1
    return float(value) if known else MARGIN


def _rule() -> str:
    return (
        "A model is a .tflite, .keras or .onnx file, the folder of a "
        "SavedModel, a run or an export, or an included model: "
        f"{', '.join(included_models())}."
    )
