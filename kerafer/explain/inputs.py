"""Images and classes that a model can be asked about."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from kerafer.errors import UserError
from kerafer.inference.probabilities import check_probabilities

BATCH_SIZE = 32


def checked_images(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The images as float32.

    Raises:
        UserError: Where they are not `(images, height, width, channels)` of
            the size that the model takes, or there is none.
    """
    images = np.asarray(images)
    wanted = tuple(model.input_shape[1:])
    fits = images.ndim == 4 and all(
        want in (None, got)
        for want, got in zip(wanted, images.shape[1:], strict=True)
    )
    if not fits or not len(images):
        raise UserError(
            "Images have the shape (images, height, width, channels), "
            f"here (1 or more, {', '.join(map(str, wanted))}). "
            f"Received: {images.shape}."
        )
    return images.astype(np.float32)


def predict(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The probabilities of images: float32, `(images, classes)`.

    Raises:
        UserError: Where the model gives something else, such as logits.
    """
    answers = _answers(model, images)
    check_probabilities(answers, f"model {model.name}")
    return answers


def _answers(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [
            np.asarray(
                model.predict_on_batch(images[at : at + BATCH_SIZE]),
                np.float32,
            )
            for at in range(0, len(images), BATCH_SIZE)
        ]
    )


def checked_classes(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | Sequence[int] | None,
) -> np.ndarray:
    """The class that is explained on each image.

    Args:
        model: Whose classes they are.
        images: What `checked_images` returned.
        class_index: One for all images, one for each, or `None` for the
            likeliest of each.

    Returns:
        int64 of shape `(images,)`.

    Raises:
        UserError: For a class that the model has not, another number of them
            than images, or answers of which none is the highest.
    """
    if class_index is None:
        # Scores before a softmax have a highest one, too.
        answers = _answers(model, images)
        if np.isnan(answers).any():
            raise UserError(
                "The likeliest class is that of the highest number. The model "
                f"{model.name} gives NaN on "
                f"{int(np.isnan(answers).any(axis=1).sum())} of "
                f"{len(answers)} images."
            )
        return answers.argmax(axis=1)
    count, classes = len(images), model.output_shape[-1]
    chosen = np.asarray(class_index)
    if (
        chosen.shape not in ((), (count,))
        or chosen.dtype.kind not in "iu"
        or chosen.min() < 0
        or chosen.max() >= classes
    ):
        raise UserError(
            f"`class_index` is one index from 0 to {classes - 1}, or one for "
            f"each of the {count} images. Received: {class_index}."
        )
    return np.broadcast_to(chosen, (count,)).astype(np.int64)
