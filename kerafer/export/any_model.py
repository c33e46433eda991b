"""What an export needs of a Keras model of which nothing else is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerafer.class_names import tidy
from kerafer.datasets.splits import stratified_sample
from kerafer.errors import UserError
from kerafer.export.config import ExportConfig
from kerafer.export.export import Source, golden_images
from kerafer.export.inference import ImageInput, keras_answers
from kerafer.export.verify import Reference
from kerafer.images import ImageLike, as_image, resize
from kerafer.inference.probabilities import is_probabilities
from kerafer.models.graph import in_float32

_RANDOM_IMAGES = 16


def make_source(
    model: keras.Model,
    name: str,
    sha256: str,
    given: ImageInput,
    config: ExportConfig,
    images: np.ndarray | None,
    labels: Sequence[int] | np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    facts: dict[str, Any] | None = None,
    face_margin: float | None = None,
) -> Source:
    """What `export` takes, of a model of which nothing else is known.

    Args:
        model: In float32.
        name: For the manifest.
        sha256: Of the model.
        given: What the files take.
        config: The settings.
        images: As the files take them, or `None`.
        labels, class_names: As for `export_model`.
        facts: For the manifest, in place of "not told". Defaults to none.
        face_margin: As in `Source`. Defaults to whole images.

    Raises:
        UserError: For labels or names that do not fit.
    """
    names = None if class_names is None else tuple(map(tidy, class_names))
    if images is None:
        if labels is not None:
            raise UserError("labels are those of images. There are none.")
        tested, truth = _made_up(given), None
        calibration = tested[:0]
    else:
        truth = _checked_labels(labels, len(images))
        count = max(1, min(config.calibration, len(images) // 2))
        order = np.zeros(len(images), int) if truth is None else truth
        chosen = stratified_sample(order, count, config.seed)
        rest = np.setdiff1d(np.arange(len(images)), chosen)
        # One image is all there is.
        rest = rest if len(rest) else chosen
        calibration, tested = images[chosen], images[rest]
        truth = None if truth is None else truth[rest]
    outputs = keras_answers(model, given, tested)
    first = next(iter(outputs.values()))
    _check_names(first, names, truth)
    if truth is not None and names is None:
        names = tuple(f"class {n}" for n in range(first.shape[1]))
    reference = Reference(tested, outputs, truth, names)
    untold = {
        "architecture": model.name,
        "run": name,
        "sha256": sha256,
        "data": "not told",
        "licence": "not told",
        "derived_from": [],
        "faces": "not told",
        "split": "images given to the export, some for the ranges of 8 bits "
        "and the others to compare"
        if images is not None
        else "none: synthetic faces and random images",
        "notes": [],
        "limits": ["What it was trained on was not told to the export."],
    }
    # An earlier export's come from its manifest, which anyone may have written.
    known = {
        key: value
        for key, value in (facts or {}).items()
        if isinstance(value, type(untold.get(key)))
    }
    return Source(
        model,
        given,
        facts={**untold, **known},
        calibration=calibration,
        reference=reference,
        face_margin=face_margin,
    )


def check_in_memory(model: object) -> None:
    """Refuse what is no Keras model that is built.

    Raises:
        UserError: Says what it is.
    """
    if not isinstance(model, keras.Model):
        raise UserError(
            "A model is a keras.Model, a .keras file, or a folder with one. "
            f"Received: {type(model).__name__}."
        )
    if not model.built:
        raise UserError(
            f"{model.name} has no weights yet. Build it first:\n"
            "model(keras.ops.zeros((1, 224, 224, 3)))"
        )


def without_half_precision(model: keras.Model) -> keras.Model:
    """The model in float32, where it can be made so."""
    try:
        return in_float32(model)
    except (NotImplementedError, TypeError, ValueError):
        # A subclassed model without get_config: it stays as it is.
        return model


def as_array(
    images: np.ndarray | Sequence[ImageLike],
    kind: str,
    image_size: int | tuple[int, int] | None,
) -> np.ndarray:
    """Images of one size; a list of different ones gets that of the first.

    Args:
        images: As for `export_model`.
        kind: `"uint8"` or `"float32"`.
        image_size: That of the result; `None` takes that of the first.

    Raises:
        UserError: For numbers of another kind, or no image.
    """
    if not len(images):
        raise UserError("images are one or more. Received none.")
    if isinstance(images, np.ndarray) and images.ndim == 4:
        found = images
    else:
        size = (image_size,) * 2 if isinstance(image_size, int) else image_size
        read = [as_image(image) for image in images]
        size = size or read[0].shape[:2]
        found = np.stack([resize(image, size) for image in read])
    if found.dtype != np.uint8 and kind == "uint8":
        raise UserError(
            'images are uint8 where input is "uint8". Received: '
            f"{found.dtype}.\nA model that takes floats as they are has "
            'input="float32".'
        )
    if found.dtype == np.uint8 and kind == "float32":
        raise UserError(
            "images are floats, in the range of the training, where input is "
            '"float32". Received: uint8.'
        )
    if kind == "float32":
        found = found.astype(np.float32, copy=False)
        if not np.isfinite(found).all():
            raise UserError("images are finite numbers. Received NaN or inf.")
    return found


def fitted(images: np.ndarray, given: ImageInput) -> np.ndarray:
    """Images as the exported files take them.

    Raises:
        UserError: Where they can't be made so.
    """
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
            f"images have {channels} channels. Received: {images.shape[3]}."
        )
    rgb = dataclasses.replace(given, shape=(height, width, 3), to_gray=True)
    return rgb.for_model(images).astype(images.dtype)


def _made_up(given: ImageInput) -> np.ndarray:
    """Synthetic faces and noise."""
    generator = np.random.default_rng(0)
    shape = (_RANDOM_IMAGES, *given.shape)
    drawn = golden_images(given)
    if given.kind == "uint8":
        noise = generator.integers(0, 256, shape, np.uint8)
    else:
        noise = generator.uniform(-1, 1, shape).astype(np.float32)
    return np.concatenate([drawn, noise])


def _checked_labels(
    labels: Sequence[int] | np.ndarray | None, count: int
) -> np.ndarray | None:
    if labels is None:
        return None
    found = np.asarray(labels)
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise UserError(
            f"labels are the class index of each of {count} images. "
            f"Received: {found.dtype} of shape {found.shape}."
        )
    return found.astype(np.int64)


def _check_names(
    outputs: np.ndarray,
    names: tuple[str, ...] | None,
    labels: np.ndarray | None,
) -> None:
    if names is None and labels is None:
        return
    if not is_probabilities(outputs):
        raise UserError(
            "Labels and class names are for a model whose first output is the "
            f"probabilities of classes. This one's is of shape "
            f"{outputs.shape[1:]}, and no probabilities.\n"
            "End the model in softmax, or leave them out."
        )
    classes = outputs.shape[1]
    if names is not None and (
        len(names) != classes or len(set(names)) != classes
    ):
        raise UserError(
            f"class_names are {classes}, one for each output, all different. "
            f"Received: {', '.join(names)}."
        )
    if labels is not None and not (
        (labels >= 0).all() and (labels < classes).all()
    ):
        raise UserError(
            f"labels are 0 to {classes - 1}. Received: {labels.min()} to "
            f"{labels.max()}."
        )
