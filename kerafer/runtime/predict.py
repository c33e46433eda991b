"""Recognize expressions on images in one call."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, overload

from PIL import Image

from kerafer.errors import UserError
from kerafer.images import ImageLike, UnreadableImageError, as_image
from kerafer.runtime.recognizer import Recognizer
from kerafer.runtime.results import Faces


# One path is text, and so are several of one letter.
@overload
def predict(  # type: ignore[overload-overlap, unused-ignore]
    images: ImageLike,
    model: str | os.PathLike[str] | None = None,
    *,
    bgr: bool = False,
    input_range: str | None = None,
) -> Faces: ...


# Where nothing is known of NumPy, an array may be anything.
@overload
def predict(  # type: ignore[overload-cannot-match, unused-ignore]
    images: Iterable[ImageLike],
    model: str | os.PathLike[str] | None = None,
    *,
    bgr: bool = False,
    input_range: str | None = None,
) -> list[Faces]: ...


def predict(
    images: ImageLike | Iterable[ImageLike],
    model: str | os.PathLike[str] | None = None,
    *,
    bgr: bool = False,
    input_range: str | None = None,
) -> Faces | list[Faces]:
    """Find the faces on images and tell the expression of each.

    Every call loads the model and the detector: give many images as a list,
    or keep a `Recognizer`. Threads may call at once. TensorFlow is not
    needed.

    Args:
        images: What `kerafer.images.as_image` takes: a file, its bytes,
            an image of Pillow, or a uint8 array, RGB or gray; or several of
            such, in a list or anything else that can be gone through once.
        model: What `Recognizer` takes. Defaults to the included model.
        bgr: Whether arrays are in the order B, G, R, as OpenCV reads images.
            Defaults to `False`.
        input_range: As for `Recognizer`.

    Returns:
        Box, label and probabilities of each face, the largest first; an empty
        list where there is none, whose `problem` says why. For several
        images a list of these, also for those that can't be read. The box is
        the whole image for a model that was trained on whole ones, and for an
        image of at most 64 x 64 pixels on which no face is found.

    Raises:
        UnreadableImageError: For one file that is no image.
        UserError: For something else that is no image, or a model that is
            none.

    Example:

        for box, label, probabilities in kerafer.predict("people.jpg"):
            print(box, label, probabilities[label])

        for faces in kerafer.predict(["a.jpg", "b.jpg"]):
            print(faces.problem or [face.label for face in faces])
    """
    given: Any = images
    if not _is_several(images):
        image = as_image(given, bgr)
        return Recognizer(model, input_range=input_range).predict(image)
    recognizer = Recognizer(model, input_range=input_range)
    return [_predict_or_tell(recognizer, one, bgr) for one in given]


def _is_several(images: ImageLike | Iterable[ImageLike]) -> bool:
    one = (str, os.PathLike, bytes, bytearray, memoryview, dict, Image.Image)
    if isinstance(images, one) or hasattr(images, "read"):
        return False
    dtype = getattr(images, "dtype", None)
    # An array or a tensor is one image; a table's column of paths is not.
    if dtype is not None and getattr(dtype, "kind", "") not in tuple("OUT"):
        return False
    return isinstance(images, Iterable)


def _predict_or_tell(
    recognizer: Recognizer, source: ImageLike, bgr: bool
) -> Faces:
    try:
        image = as_image(source, bgr)
    except UnreadableImageError as error:
        return Faces(problem=error.reason)
    except UserError as error:
        return Faces(problem=str(error))
    return recognizer.predict(image)
