"""`kerafer.export_model`: a run, or any Keras model, for other machines."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kerafer.engine import load_tensorflow_backend
from kerafer.errors import ConfigError, UserError
from kerafer.export.config import FILES, ExportConfig
from kerafer.files import digest, keep_results, output_folder
from kerafer.inference import ModelSource
from kerafer.model_files import find_keras_file, model_path
from kerafer.training.run import Run

if TYPE_CHECKING:
    import keras
    import numpy as np

    from kerafer.datasets.split_dataset import SplitDataset
    from kerafer.export.export import Source
    from kerafer.images import ImageLike
    from kerafer.training.config import TrainingConfig

_DEFAULT = "savedmodel,float16,dynamic,int8"
_WITHOUT_IMAGES = "savedmodel,float16"


class NothingExportedError(UserError):
    """No file could be made, or each missed its gate.

    Attributes:
        left_out: By file, why.
    """

    def __init__(self, left_out: Mapping[str, str]) -> None:
        reasons = "; ".join(f"{name} {why}" for name, why in left_out.items())
        super().__init__(f"No file was written: {reasons}")
        self.left_out = left_out


def export_model(
    model: keras.Model | str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: str | Sequence[str] | None = None,
    images: np.ndarray
    | Sequence[ImageLike]
    | str
    | os.PathLike[str]
    | None = None,
    labels: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    input: str = "uint8",
    image_size: int | tuple[int, int] | None = None,
    keep_gray: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    force: bool = False,
    **gates: Any,
) -> dict[str, Any]:
    """Write a model as SavedModel, TFLite and ONNX, each compared with Keras.

    The folder also gets `manifest.json`, `MODEL_CARD.md`, `golden.npz` (drawn
    faces with the answers expected to them) and `labels.txt`. It is made
    beside and takes its place when all is well.

        kerafer.export_model("runs/mine", "phone")
        kerafer.export_model(model, "phone", images=x_test, labels=y_test,
                             class_names=["angry", "happy"])

    Args:
        model: A `keras.Model` that is built, whatever its kind: functional,
            `Sequential`, subclassed, nested, with one output or several; or a
            `.keras` file, or the folder of a run or an export. Where no
            `images` are given, a run's own calibrate and test its files.
        out: The folder, new or empty, or an earlier export of the same model,
            which gets further formats.
        formats: Any of keras, savedmodel, float32, float16, dynamic, int8,
            and onnx. Defaults to savedmodel, float16, and, where there
            are images, dynamic and int8.
        images: What the model was made for: uint8 of shape `(images, height,
            width, channels)`, or what `kerafer.images.as_image` takes, of
            any size; floats in the range of the training where `input` is
            `"float32"`; or a folder of images, `<class>/*` or without labels.
            Up to 200 of them, and at most half, give int8 its
            ranges; the others are answered by every file and by Keras.
        labels: Class index of each. Defaults to none: then the files are
            compared with Keras, and not with the truth.
        class_names: In the order of the model's first output. Defaults to
            those beside the model's file; without any, the files carry none.
        input: `"uint8"`, images as they are stored, 0 to 255, for a model that
            scales them itself; or `"float32"`, numbers as the model takes
            them. Defaults to `"uint8"`.
        image_size: Height and width, for a model that takes any size.
        keep_gray: Whether the files of a gray model take gray images. Defaults
            to `False`: they take RGB, and make it gray themselves.
        data_dir: Where a run's data set is now, if it has moved.
        force: Whether formats that `out` has already are made anew. Defaults
            to `False`.
        **gates: Further fields of `kerafer.export.config.ExportConfig`, such
            as `max_drop_int8`, `ignore_gates`, `external_test` or `threads`.

    Returns:
        The manifest, with what was measured of every file in `files`, and in
        `left_out`, by file, why one was not made or missed its gate.

    Raises:
        UserError: For a model, images, labels or formats that do not fit.
        NothingExportedError: Where no file could be written.
    """
    found = _Found.of(model, images)
    if formats is None:
        has_images = images is not None or found.run is not None
        formats = _DEFAULT if has_images else _WITHOUT_IMAGES
    config = _config(formats, keep_gray, gates)
    _check(
        found,
        config,
        images=images,
        kind=input,
        class_names=class_names,
        image_size=image_size,
        data_dir=data_dir,
    )
    # The files are made beside it.
    output_folder(output_folder(out).absolute().parent)
    # TensorFlow takes seconds to import; mistakes above come without it.
    load_tensorflow_backend("Exports")
    from kerafer.export.export import earlier_export, export

    sha256 = found.digest()
    earlier_export(Path(out), sha256)
    keep_results([Path(out, FILES[kind]) for kind in config.chosen], force)
    if found.run is not None:
        source = _of_run(found.run, config, sha256, input, data_dir)
    else:
        given = (images, labels, class_names, input, image_size)
        source = _of_any(found, config, sha256, *given)
    manifest, left_out = export(source, Path(out), config)
    if not manifest["files"]:
        raise NothingExportedError(left_out)
    return {**manifest, "left_out": left_out}


# === What was asked for ===


class _Found(NamedTuple):
    """A model, in memory or in a file, that may be a run's."""

    name: str
    memory: keras.Model | None
    file: Path | None
    run: Run | None

    @classmethod
    def of(
        cls, model: keras.Model | str | os.PathLike[str], images: object
    ) -> _Found:
        if not isinstance(model, (str, os.PathLike)):
            return cls(getattr(model, "name", ""), model, None, None)
        path = model_path(model)
        file = find_keras_file(path)
        run = _run_of(path, file) if images is None else None
        whole = run or path.is_dir()
        name = file.resolve().parent.name if whole else file.stem
        return cls(name, None, file, run)

    def load(self) -> keras.Model:
        from kerafer.export.any_model import without_half_precision
        from kerafer.models import load_model

        if self.file is not None:
            return load_model(self.file)
        return without_half_precision(self.memory)

    def digest(self) -> str:
        if self.file is not None:
            return digest(self.file)
        from kerafer.export.any_model import check_in_memory
        from kerafer.models.save import digest_of_weights

        check_in_memory(self.memory)
        return digest_of_weights(self.memory)


def default_folder(model: str | os.PathLike[str], images: object) -> Path:
    """Where the command writes an export: `exported/<name of the model>`.

    Args:
        model, images: As for `export_model`.
    """
    return Path("exported", _Found.of(model, images).name)


def _run_of(path: Path, file: Path) -> Run | None:
    """The run that a path is the folder or the best model of."""
    files = [file.parent / name for name in ("config.yaml", "split.csv")]
    missing = [x.name for x in files if not x.is_file()]
    if file.name != "best.keras" or len(missing) == len(files):
        return None
    if missing:
        raise UserError(
            "An export takes the folder of a run: the images of its split "
            "calibrate the files and test them.\n"
            f"{path} lacks {', '.join(missing)}."
        )
    return Run.open(file.parent)


def _config(
    formats: str | Sequence[str], keep_gray: bool, gates: Mapping[str, Any]
) -> ExportConfig:
    if not isinstance(formats, str):
        formats = ",".join(formats)
    known = {field.name for field in dataclasses.fields(ExportConfig)}
    if unknown := set(gates) - known:
        raise UserError(
            f"export_model has no argument {', '.join(sorted(unknown))}."
        )
    return ExportConfig(formats=formats, keep_gray=keep_gray, **gates)


def _check(
    found: _Found,
    config: ExportConfig,
    images: object,
    kind: str,
    class_names: object,
    image_size: object,
    data_dir: object,
) -> None:
    """Refuse settings that are not of this kind of model."""
    is_folder = isinstance(images, (str, os.PathLike))
    if kind == "float32" and (is_folder or found.run is not None):
        raise ConfigError(
            "Images of files are uint8, and `input` float32 is for a model "
            "that takes other numbers.\nIn Python kerafer.export_model takes "
            "images in these."
        )
    if found.run is not None:
        if class_names is not None or image_size is not None:
            raise ConfigError(
                "The names of its classes and its `image_size` a run knows by "
                "itself. Leave them out."
            )
        _check_others(config, found.run.config)
        return
    for name, value in (
        ("data_dir", data_dir),
        ("external_test", config.external_test),
    ):
        if value:
            raise ConfigError(
                f"`{name}` is about the folder of a run. Received a model "
                f"that is none, or `images` of it: {found.file or found.name}."
            )


def _check_others(config: ExportConfig, training: TrainingConfig) -> None:
    if not config.external_test:
        return
    others = Path(config.external_test)
    rule = "`external_test` is a folder or .zip of images, <class>/*"
    if not others.exists():
        raise ConfigError(f"{rule}. There is no {others}.")
    if others.is_file() and others.suffix.lower() != ".zip":
        raise ConfigError(f"{rule}. Received the file {others}.")
    own = training.data_dir and Path(training.data_dir)
    if own and own.resolve() == others.resolve():
        raise ConfigError(
            f"{rule}, that the model never saw. Received the data set of its "
            f"run, {others}, whose test images the model card has anyway."
        )


# === What is exported ===


def _of_any(
    found: _Found,
    config: ExportConfig,
    sha256: str,
    images: np.ndarray | Sequence[ImageLike] | str | os.PathLike[str] | None,
    labels: Sequence[int] | np.ndarray | None,
    class_names: Sequence[str] | None,
    kind: str,
    image_size: int | tuple[int, int] | None,
) -> Source:
    """A model that is no run."""
    from kerafer.datasets.image_folder import folder_images
    from kerafer.export.any_model import as_array, fitted, make_source
    from kerafer.export.inference import image_input

    model = found.load()
    if class_names is None and found.file is not None:
        class_names = _names_beside(model, found.file)
    if isinstance(images, (str, os.PathLike)):
        given = image_input(model, kind, image_size, config.keep_gray)
        images, labels = folder_images(Path(images), given.shape, class_names)
    else:
        if images is not None:
            images = as_array(images, kind, image_size)
        given = image_input(model, kind, image_size, config.keep_gray, images)
        images = None if images is None else fitted(images, given)
    facts, margin = None, None
    if found.file is not None:
        source = ModelSource(found.file)
        facts = _facts_beside(source, sha256)
        margin = source.crop_margin
    return make_source(
        model,
        found.name,
        sha256=sha256,
        given=given,
        config=config,
        images=images,
        labels=labels,
        class_names=class_names,
        facts=facts,
        face_margin=margin,
    )


def _names_beside(model: keras.Model, file: Path) -> tuple[str, ...] | None:
    classes = getattr(model, "output_shape", None)
    labels = ModelSource(file).labels
    if isinstance(classes, tuple) and len(classes) == 2 and labels:
        return labels if len(labels) == classes[1] else None
    return None


def _facts_beside(source: ModelSource, sha256: str) -> dict[str, Any] | None:
    """What an earlier export's manifest says of its model."""
    facts = source.manifest.get("source")
    if source.file.name == "model.keras" and isinstance(facts, dict):
        return {**facts, "sha256": sha256}
    return None


def _of_run(
    run: Run,
    config: ExportConfig,
    sha256: str,
    kind: str,
    data_dir: str | os.PathLike[str] | None,
) -> Source:
    import numpy as np

    from kerafer.datasets.specs import face_margin, find_spec
    from kerafer.datasets.split_dataset import find_data
    from kerafer.datasets.splits import stratified_sample
    from kerafer.evaluation.external_test import ExternalTest
    from kerafer.export.export import Source
    from kerafer.export.inference import image_input, keras_answers
    from kerafer.export.verify import Reference
    from kerafer.models import load_model

    training = run.config
    if data_dir:
        training = dataclasses.replace(training, data_dir=os.fspath(data_dir))
    model = load_model(run.path / "best.keras")
    data = find_data(training, run.path / "split.csv")
    images = data.decode(training)
    dataset = data.dataset
    if model.output_shape[-1] != len(dataset.class_names):
        raise UserError(
            "A run's model has one output for each class of its data set. "
            f"This one has {model.output_shape[-1]}, the data set "
            f"{', '.join(dataset.class_names)}."
        )
    train, test = data.rows("train"), data.rows("test")
    if not len(train) or len(test) < 2:
        raise UserError(
            "An export needs images for training, and at least 2 for test. "
            f"The split has {len(train)} and {len(test)}."
        )
    given = image_input(model, kind, keep_gray=config.keep_gray)
    margin = face_margin(
        dataset.margin, training.face_crop, training.face_margin
    )
    others = config.external_test and ExternalTest.load(
        Path(config.external_test),
        config.subject_pattern,
        dataset.class_names,
        given.shape,
        margin,
    )
    count = min(config.calibration, len(train))
    chosen = train[stratified_sample(dataset.labels[train], count, config.seed)]
    channels = given.shape[2] // images.shape[3]
    tested = np.repeat(images[test], channels, axis=3)
    reference = Reference(
        tested,
        keras_answers(model, given, tested),
        dataset.labels[test],
        tuple(dataset.class_names),
        dataset.manifest["subject"].to_numpy(object)[test]
        if dataset.has_subjects
        else None,
    )
    facts = {
        "architecture": training.arch,
        "run": run.path.name,
        "sha256": sha256,
        "data": dataset.source,
        "licence": dataset.licence,
        "derived_from": _derived_from(training),
        "faces": _framing(training.face_crop, margin),
        "split": f"that of the run, seed {training.seed}: {_sizes(data)}",
        "notes": list(data.notes),
        "limits": list(find_spec(dataset.name).limits),
    }
    calibration = np.repeat(images[chosen], channels, axis=3)
    return Source(
        model,
        given,
        facts=facts,
        calibration=calibration,
        reference=reference,
        face_margin=margin,
        external_test=others or None,
        vote_temperature=ModelSource(run.path / "best.keras").vote_temperature,
    )


def _framing(face_crop: str, margin: float | None) -> str:
    """How the training images show faces, for the model card."""
    if face_crop != "none":
        return f"cropped by {face_crop}, margin {margin:g}"
    if margin is None:
        return "whole images, not cropped"
    return "already cropped to the face in the data set"


def _sizes(data: SplitDataset) -> str:
    """How many images each part has."""
    from kerafer.datasets.splits import PARTS, UNUSED

    counts = [(part, len(data.rows(part))) for part in (*PARTS, UNUSED)]
    return ", ".join(f"{count:,} {part}" for part, count in counts if count)


def _derived_from(training: TrainingConfig) -> list[str]:
    """The models whose data is in these weights too."""
    began = [training.init_from] if training.init_from else []
    return [
        *(f"began with the weights of `{Path(name).name}`" for name in began),
        *(f"distilled from `{Path(name).name}`" for name in training.teachers),
    ]
