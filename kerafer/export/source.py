"""Find the model to export, with images that calibrate and test its files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerafer.class_names import tidy
from kerafer.console import console
from kerafer.datasets.image_folder import folder_images
from kerafer.datasets.splits import stratified_sample
from kerafer.datasets.synthetic.dataset import draw_golden_images
from kerafer.errors import UserError
from kerafer.evaluation.external_test import ExternalTest
from kerafer.export.compare import Reference
from kerafer.export.config import ExportConfig
from kerafer.export.graph import predict_with_keras
from kerafer.export.image_input import ImageInput, image_input, model_shape
from kerafer.files import digest
from kerafer.images import ImageLike, as_image, resize
from kerafer.inference import InputRange, ModelSource
from kerafer.inference.input_range import PIXELS
from kerafer.inference.probabilities import is_probabilities
from kerafer.models import load_model
from kerafer.models.graph import in_float32
from kerafer.models.save import digest_of_weights

if TYPE_CHECKING:
    from kerafer.datasets import Dataset
    from kerafer.training.run import Run

_RANDOM_IMAGES = 16
_FEWEST_CALIBRATION, _FEW_CALIBRATION = 4, 50


@dataclasses.dataclass(frozen=True)
class Source:
    """A model and what its export needs.

    Args:
        model: The trained model, in float32.
        given: What the files take.
        facts: `architecture`, `run`, `sha256` of the model's file, `data`,
            `licence`, `derived_from`, `faces`, `split`, `notes` and `limits`,
            for the manifest.
        calibration: Images as the files take them; may be empty.
        reference: Test images with the model's outputs.
        input_range: The values that the files take; `None` if unknown.
        face_margin: Added to a face's box on each side, as a fraction of its
            longer side; `None` for whole images.
        vote_temperature: Of a model trained on votes. Default: none.
        external_test: Images of another kind to test on. Default: none.
        validation: Images, as the files take them, and labels on which
            thresholds are fitted. Default: none.
        tested: The data set of the test images. Default: none.
    """

    model: keras.Model
    given: ImageInput
    facts: dict[str, Any]
    calibration: np.ndarray
    reference: Reference
    input_range: InputRange | None
    face_margin: float | None = None
    vote_temperature: float | None = None
    external_test: ExternalTest | None = None
    validation: tuple[np.ndarray, np.ndarray] | None = None
    tested: Dataset | None = None


def source_of_run(
    run: Run,
    config: ExportConfig,
    data_dir: str | os.PathLike[str] | None = None,
) -> Source:
    """Use a run's model, with images of its training and test sets.

    Args:
        run: The run.
        config: The export's settings.
        data_dir: Where the run's data set is now. Default: where it was.

    Raises:
        UserError: If the data set is not that of the run.
    """
    from kerafer.datasets.decoded import decode_as
    from kerafer.datasets.loading import load_data
    from kerafer.datasets.specs import face_margin, find_spec

    training, best = run.config, run.path / "best.keras"
    if data_dir:
        training = dataclasses.replace(training, data_dir=os.fspath(data_dir))
    model = load_model(best)
    data = load_data(training, run.path / "split.csv")
    images = decode_as(data, training).pixels
    if model.output_shape[-1] != len(data.class_names):
        raise UserError(
            f"The run's model has {model.output_shape[-1]} outputs, but its "
            f"data set has other classes: {', '.join(data.class_names)}."
        )
    train, test = data.indices("train"), data.indices("test")
    others = data.indices("validation")
    if not len(train) or len(test) < 2:
        raise UserError(
            f"The run's split has {len(train)} training and {len(test)} test "
            "images. An export needs at least 1 and 2."
        )
    given = image_input(model, "uint8", keep_gray=config.keep_gray)
    margin = face_margin(data.margin, training.face_crop, training.face_margin)
    external = None
    if config.external_test:
        external = ExternalTest.load(
            Path(config.external_test),
            config.subject_pattern,
            data.class_names,
            given.shape,
            margin,
            config.external_note or "",
        )
    count = min(config.calibration, len(train))
    chosen = train[stratified_sample(data.labels[train], count, config.seed)]
    channels = given.shape[2] // images.shape[3]
    tested = np.repeat(images[test], channels, axis=3)
    began = [training.init_from] if training.init_from else []
    return Source(
        model,
        given,
        facts={
            "architecture": training.arch,
            "run": run.path.name,
            "sha256": digest(best),
            "data": data.source,
            "licence": data.licence,
            "derived_from": [
                *(f"initialized from `{Path(name).name}`" for name in began),
                *(
                    f"distilled from `{Path(name).name}`"
                    for name in training.teachers
                ),
            ],
            "faces": "as in the data set, not cropped"
            if training.face_crop == "none"
            else "cropped to the face found by MTCNN",
            "split": f"that of the run, seed {training.seed}: {_parts(data)}",
            "notes": list(data.notes),
            "limits": list(find_spec(data.name).limits),
        },
        calibration=np.repeat(images[chosen], channels, axis=3),
        reference=Reference(
            tested,
            predict_with_keras(model, given, tested),
            data.labels[test],
            tuple(data.class_names),
            data.manifest["subject"].to_numpy(object)[test]
            if data.has_subjects
            else None,
        ),
        input_range=PIXELS,
        face_margin=margin,
        vote_temperature=ModelSource(best).vote_temperature,
        external_test=external,
        validation=(
            np.repeat(images[others], channels, axis=3),
            data.labels[others],
        )
        if len(others)
        else None,
        tested=data.select(test),
    )


def _parts(data: Dataset) -> str:
    from kerafer.datasets.splits import PARTS, UNUSED

    counts = [(part, len(data.indices(part))) for part in (*PARTS, UNUSED)]
    return ", ".join(f"{count:,} {part}" for part, count in counts if count)


def source_of_file(
    file: Path,
    name: str,
    config: ExportConfig,
    images: Any = None,
    labels: Sequence[int] | np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    kind: str = "uint8",
    image_size: int | tuple[int, int] | None = None,
) -> Source:
    """Use a `.keras` file that is not a run's.

    Args:
        file: The file. Class names, crop margin and facts come from what is
            beside it.
        name: For the manifest.
        config: The export's settings.
        images, labels, class_names, kind, image_size: As for `export_model`.
    """
    found, model = ModelSource(file), load_model(file)
    shape = getattr(model, "output_shape", None)
    if class_names is None and isinstance(shape, tuple) and len(shape) == 2:
        known = found.labels or ()
        class_names = known if len(known) == shape[1] else None
    facts = found.manifest.get("source")
    if file.name != "model.keras" or not isinstance(facts, dict):
        facts = {}
    facts = {**facts, "sha256": digest(file)}
    given = (images, labels, class_names, kind, image_size)
    return dataclasses.replace(
        source_of_model(model, name, config, *given, facts=facts),
        face_margin=found.crop_margin,
        vote_temperature=found.vote_temperature,
    )


def source_of_model(
    model: keras.Model,
    name: str,
    config: ExportConfig,
    images: Any = None,
    labels: Sequence[int] | np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    kind: str = "uint8",
    image_size: int | tuple[int, int] | None = None,
    facts: dict[str, Any] | None = None,
) -> Source:
    """Use any Keras model.

    Args:
        model: Built.
        name: For the manifest.
        config: The export's settings.
        images, labels, class_names, kind, image_size: As for `export_model`.
        facts: For the manifest. Default: unknown.

    Raises:
        UserError: For a model, images, labels or names that do not fit.
    """
    model = _with_two_classes(_checked_model(model), class_names)
    if isinstance(images, (str, os.PathLike)):
        given = image_input(model, kind, image_size, config.keep_gray)
        images, labels = folder_images(Path(images), given.shape, class_names)
    else:
        if images is not None:
            images = _as_array(images, kind, image_size)
        given = image_input(model, kind, image_size, config.keep_gray, images)
        images = None if images is None else _fit(images, given)
    taken = PIXELS if kind == "uint8" else None
    if taken is None and config.input_range is not None:
        taken = InputRange.parse(config.input_range)
    calibration, tested, truth = _divide(images, labels, given, taken, config)
    outputs = predict_with_keras(model, given, tested)
    names = None if class_names is None else tuple(map(tidy, class_names))
    first = next(iter(outputs.values()))
    _check_names(first, names, truth)
    if truth is not None and names is None:
        names = tuple(f"class {n}" for n in range(first.shape[1]))
    split = (
        "images given to the export, some to calibrate and the others to test"
    )
    unknown = {
        "architecture": model.name,
        "run": name,
        "sha256": "",
        "data": "unknown",
        "licence": "unknown",
        "derived_from": [],
        "faces": "unknown",
        "split": "none: synthetic faces and random images"
        if images is None
        else split,
        "notes": [],
        "limits": ["The training data was not stated in the export."],
    }
    # A manifest may be anybody's.
    known = {
        key: value
        for key, value in (facts or {}).items()
        if isinstance(value, type(unknown.get(key)))
    }
    if "sha256" not in known:
        known["sha256"] = digest_of_weights(model)
    return Source(
        model,
        given,
        facts={**unknown, **known},
        calibration=calibration,
        reference=Reference(tested, outputs, truth, names),
        input_range=taken,
    )


def check_calibration(images: np.ndarray) -> None:
    """Refuse images that give int8 no useful ranges.

    Args:
        images: As the files take them.

    Raises:
        UserError: If they are too few, all equal, or were scaled before they
            became bytes.
    """
    if len(images) < _FEWEST_CALIBRATION:
        raise UserError(
            f"{len(images)} calibration images are too few for int8. Give "
            f"`images` of at least {2 * _FEWEST_CALIBRATION}, better 200: half "
            "of them calibrate."
        )
    if images.dtype == np.uint8 and images.max() <= 1:
        raise UserError(
            "All pixels of the calibration images are 0 or 1. They were "
            "probably scaled to 0..1 before the conversion to uint8. Give "
            "images of 0 to 255."
        )
    if (images == images[:1]).all() or np.ptp(images) == 0:
        raise UserError(
            "All calibration images are equal. Give images like those that "
            "the model was made for."
        )
    if len(images) < _FEW_CALIBRATION:
        console.warn(
            f"Only {len(images)} images calibrate int8. Its ranges are more "
            f"reliable with at least {_FEW_CALIBRATION}."
        )


def golden_images(
    given: ImageInput, taken: InputRange | None = None
) -> np.ndarray:
    """Draw synthetic faces as the files take them.

    Args:
        given: What the files take.
        taken: Range of floats. Default: -1 to 1, the most common.
    """
    drawn = draw_golden_images(given.shape)
    if given.kind == "uint8":
        return drawn
    taken = taken or InputRange.parse("-1..1")
    return taken.apply(drawn).astype(np.float32)


def _checked_model(model: keras.Model) -> keras.Model:
    """Return a model in float32 that can be exported."""
    if not isinstance(model, keras.Model):
        raise UserError(
            f"Cannot export a {type(model).__name__}. Give a keras.Model, a "
            ".keras file, or a folder with one."
        )
    if not model.built:
        raise UserError(
            f"{model.name} has no weights yet. Build it first:\n"
            "model(keras.ops.zeros((1, 224, 224, 3)))"
        )
    if getattr(model, "inputs", None):
        model_shape(model)
    if any(
        getattr(layer, "quantization_mode", None)
        for layer in model._flatten_layers()
    ):
        raise UserError(
            f"{model.name} was quantized with `quantize`. Export the model "
            "without it: the format int8 quantizes."
        )
    try:
        return in_float32(model)
    except (NotImplementedError, TypeError, ValueError):
        # A subclassed model without get_config stays as it is.
        return model


def _with_two_classes(
    model: keras.Model, class_names: Sequence[str] | None
) -> keras.Model:
    """Give a model of one sigmoid unit the probabilities of two classes."""
    shape = getattr(model, "output_shape", None)
    is_unit = isinstance(shape, tuple) and shape[1:] == (1,)
    if class_names is None or len(class_names) != 2 or not is_unit:
        return model
    image = keras.Input(model.input_shape[1:], name="image")
    second = model(image)
    both = keras.layers.Concatenate(name="probabilities")(
        [1.0 - second, second]
    )
    return keras.Model(image, both, name=model.name)


def _divide(
    images: np.ndarray | None,
    labels: Sequence[int] | np.ndarray | None,
    given: ImageInput,
    taken: InputRange | None,
    config: ExportConfig,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return images that calibrate, images that test, and their labels."""
    if images is None:
        if labels is not None:
            raise UserError("`labels` were given without `images`.")
        tested = _synthetic(given, taken)
        return tested[:0], tested, None
    truth = None
    order = np.zeros(len(images), int)
    if labels is not None:
        truth = order = np.asarray(labels)
        if truth.shape != (len(images),) or truth.dtype.kind not in "iu":
            raise UserError(
                f"`labels` must be {len(images)} class indices, one for each "
                f"image. Received: {truth.dtype} of shape {truth.shape}."
            )
    count = max(1, min(config.calibration, len(images) // 2))
    chosen = stratified_sample(order, count, config.seed)
    rest = np.setdiff1d(np.arange(len(images)), chosen)
    # A single image has both roles.
    rest = rest if len(rest) else chosen
    return images[chosen], images[rest], None if truth is None else truth[rest]


def _synthetic(given: ImageInput, taken: InputRange | None) -> np.ndarray:
    """Draw synthetic faces, and images of noise."""
    generator = np.random.default_rng(0)
    shape = (_RANDOM_IMAGES, *given.shape)
    noise: np.ndarray
    if given.kind == "uint8":
        noise = generator.integers(0, 256, shape, np.uint8)
    else:
        noise = generator.uniform(-1, 1, shape).astype(np.float32)
    return np.concatenate([golden_images(given, taken), noise])


def _as_array(
    images: np.ndarray | Sequence[ImageLike],
    kind: str,
    image_size: int | tuple[int, int] | None,
) -> np.ndarray:
    if not len(images):
        raise UserError("`images` is empty. Give at least one image.")
    if isinstance(images, np.ndarray) and images.ndim == 4:
        found = images
    else:
        size = (image_size,) * 2 if isinstance(image_size, int) else image_size
        read = [as_image(image) for image in images]
        size = size or read[0].shape[:2]
        found = np.stack([resize(image, size) for image in read])
    if (found.dtype == np.uint8) != (kind == "uint8"):
        raise UserError(
            f"`images` are {found.dtype}, but input is {kind!r}. Set input to "
            "'uint8' for pixels of 0 to 255, or to 'float32' for floats in "
            "the range of the training."
        )
    if kind == "float32":
        found = found.astype(np.float32, copy=False)
        if not np.isfinite(found).all():
            raise UserError("`images` contain NaN or infinity.")
    return found


def _fit(images: np.ndarray, given: ImageInput) -> np.ndarray:
    """Resize images, and give them the channels that the files take."""
    height, width, channels = given.shape
    if images.shape[1:3] != (height, width):
        images = np.stack([resize(image, (height, width)) for image in images])
        images = images.reshape(len(images), height, width, -1)
    if images.shape[3] == channels:
        return images
    if images.shape[3] == 1:
        return np.repeat(images, 3, axis=3)
    if (images.shape[3], channels) != (3, 1):
        raise UserError(
            f"`images` have {images.shape[3]} channels; the model takes "
            f"{channels}."
        )
    rgb = dataclasses.replace(given, shape=(height, width, 3), to_gray=True)
    return rgb.for_model(images).astype(images.dtype)


def _check_names(
    outputs: np.ndarray,
    names: tuple[str, ...] | None,
    labels: np.ndarray | None,
) -> None:
    """Check class names and labels against the model's first output."""
    if names is None and labels is None:
        return
    if not is_probabilities(outputs):
        raise UserError(
            "Labels and class names need a model whose first output is class "
            f"probabilities. {_problem(outputs)}"
        )
    classes = outputs.shape[1]
    if names is not None and (
        len(names) != classes or len(set(names)) != classes
    ):
        raise UserError(
            f"The model has {classes} classes and needs as many different "
            f"class names. Received: {', '.join(names)}."
        )
    if labels is not None and (labels.min() < 0 or labels.max() >= classes):
        raise UserError(
            f"`labels` must be 0 to {classes - 1}. Received: {labels.min()} to "
            f"{labels.max()}."
        )


def _problem(outputs: np.ndarray) -> str:
    """Explain why outputs are not class probabilities."""
    bounded = outputs.min() >= 0 and outputs.max() <= 1
    if bounded and outputs.shape[1:] == (1,):
        return (
            "This model has one sigmoid unit: give two class names, that for 0 "
            "first."
        )
    if bounded and outputs.ndim == 2:
        return (
            "The outputs of this model do not sum to 1: several classes may "
            "be right at once (multi-label). Leave labels and class names out; "
            "files are then compared by their numbers."
        )
    return (
        f"This model's have shape {outputs.shape[1:]} and range from "
        f"{outputs.min():.3g} to {outputs.max():.3g}. End the model in "
        "softmax, or leave labels and class names out."
    )
