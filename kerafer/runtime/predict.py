"""Expressions in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import overload

import numpy as np

from kerafer.data.images import read_image
from kerafer.runtime.emotion_recognizer import EmotionRecognizer
from kerafer.runtime.prediction import FacePrediction
from kerafer.runtime.shipped import shipped_model

Picture = str | os.PathLike[str] | np.ndarray


@overload
def predict(
    pictures: Picture, model: str | os.PathLike[str] | None = None
) -> list[FacePrediction]: ...


@overload
def predict(
    pictures: Sequence[Picture], model: str | os.PathLike[str] | None = None
) -> list[list[FacePrediction]]: ...


def predict(
    pictures: Picture | Sequence[Picture],
    model: str | os.PathLike[str] | None = None,
) -> list[FacePrediction] | list[list[FacePrediction]]:
    """Find the faces on pictures and tell the expression of each.

    Every call loads the model and the detector: give many pictures as a list,
    or keep an `EmotionRecognizer`. TensorFlow is not needed.

    Args:
        pictures: A file, or a picture, uint8 RGB of shape
            `(height, width, 3)`; or a list of such.
        model: What `EmotionRecognizer` takes. Defaults to the model that the
            package brings along.

    Returns:
        Box, label and probabilities of each face, the largest first; an empty
        list where there is none. For a list of pictures a list of these. The
        box is the whole picture for a model that was trained on whole ones,
        and for a picture of at most 64 x 64 pixels on which no face is found.

    Raises:
        UnreadableImageError: For a file that is no picture.
        UserError: For another kind of array, or a model that is none.

    Example:

        for box, label, probabilities in kerafer.predict("people.jpg"):
            print(box, label, probabilities[label])
    """
    recognizer = EmotionRecognizer(shipped_model() if model is None else model)
    if isinstance(pictures, (str, os.PathLike, np.ndarray)):
        return _predict(recognizer, pictures)
    return [_predict(recognizer, picture) for picture in pictures]


def _predict(
    recognizer: EmotionRecognizer, picture: Picture
) -> list[FacePrediction]:
    if isinstance(picture, (str, os.PathLike)):
        picture = read_image(picture)
    return recognizer.predict_faces(picture)
