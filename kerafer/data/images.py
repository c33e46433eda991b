"""Pictures from files that nobody has looked at before."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image, ImageOps

from kerafer.errors import UserError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 100_000_000

_TOO_LARGE = f"a picture has at most {MAX_PIXELS:,} pixels"
_BLANK_RANGE = 4
_DRAFT_SIZE = (64, 64)


class UnreadableImageError(UserError):
    """A file that no picture can be taken from.

    Args:
        name: The file, or what stands for it.
        reason: Why, a clause without a full stop.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The picture {name} cannot be read: {reason}.")
        self.name = name
        self.reason = reason


def read_image(source: str | os.PathLike | bytes) -> np.ndarray:
    """Decode a picture of any kind that a camera or a web page leaves behind.

    Only the formats of `FORMATS` are opened, and only up to `MAX_PIXELS`
    (100 megapixels), which is looked up in the header before anything is
    decoded. The EXIF rotation is applied. Gray, palette and CMYK pictures
    become RGB; 16-bit gray is scaled to 8 bit; transparent pixels are laid on
    white; of an animation or a multi-page file the first picture is taken.

    Args:
        source: A path, or the bytes of a file.

    Returns:
        uint8 RGB of shape `(height, width, 3)`.

    Raises:
        UnreadableImageError: If the file is missing, empty, cut off, damaged,
            too large or no picture.
    """
    image = _decode(source)
    return np.stack([image] * 3, axis=-1) if image.ndim == 2 else image


def find_flaw(path: str | os.PathLike) -> str | None:
    """What is wrong with a file: the reason, or `None` for a good picture.

    The whole file is decoded, large JPEGs at an eighth of their size, which is
    several times faster and notices as much.
    """
    try:
        if _looks_blank(path) and is_blank(_decode(path)):
            return "it is blank"
    except UnreadableImageError as error:
        return error.reason
    return None


def is_blank(image: np.ndarray) -> bool:
    """Whether a picture shows one colour only.

    A channel may range over 4 of 255 levels, which is what JPEG makes of an
    even surface. KDEF as it is handed out has some black pictures.
    """
    height, width = image.shape[:2]
    pixels = image.reshape(height * width, -1)
    return bool(np.ptp(pixels, axis=0).max() <= _BLANK_RANGE)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to `(height, width)`, each axis for itself.

    The sides are not kept in proportion and nothing is cut off or padded: the
    article resizes its crops to a square in this way. An axis that shrinks is
    averaged over areas, one that grows is interpolated linearly.

    Args:
        image: Array of shape `(height, width, 3)`.
        size: The new height and width.
    """
    shrunk = tuple(min(a, b) for a, b in zip(image.shape, size, strict=False))
    for target, interpolation in (
        (shrunk, cv2.INTER_AREA),
        (tuple(size), cv2.INTER_LINEAR),
    ):
        if image.shape[:2] != target:
            image = cv2.resize(image, target[::-1], interpolation=interpolation)
    return image


def fit(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Make a picture what a model takes.

    Args:
        image: uint8 RGB of shape `(height, width, 3)`.
        shape: Height, width and channels (3, or 1 for gray) of the result.
    """
    height, width, channels = shape
    image = resize(image, (height, width))
    if channels == 1:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return image


def _name(source: str | os.PathLike | bytes) -> str:
    if isinstance(source, bytes):
        return f"of {len(source)} bytes"
    return os.fspath(source)


def _decode(source: str | os.PathLike | bytes) -> np.ndarray:
    with _opened(source) as image:
        image.load()
        return _pixels(image)


def _looks_blank(source: str | os.PathLike) -> bool:
    """Decode all of a file, a JPEG small and gray, and compare its pixels."""
    with _opened(source) as image:
        image.draft("L", _DRAFT_SIZE)
        image.load()
        if image.mode != "L":
            return is_blank(_pixels(image))
        darkest, brightest = image.getextrema()
        return brightest - darkest <= _BLANK_RANGE


@contextlib.contextmanager
def _opened(source: str | os.PathLike | bytes) -> Iterator[Image.Image]:
    """An image whose header was read, with all errors turned into ours."""
    name = _name(source)
    try:
        _refuse_no_file(source)
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        with _quiet(), Image.open(stream, formats=FORMATS) as image:
            _refuse_too_large(image.width * image.height)
            yield image
    except _RefusedError as error:
        raise UnreadableImageError(name, str(error)) from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(name, _TOO_LARGE) from None
    except Image.UnidentifiedImageError:
        reason = f"it is no whole picture of the kinds {', '.join(FORMATS)}"
        raise UnreadableImageError(name, reason) from None
    # Of a damaged file Pillow's decoders raise nearly every built-in error.
    except Exception as error:
        reason = f"the file is damaged ({str(error).rstrip('.')})"
        raise UnreadableImageError(name, reason) from error


class _RefusedError(Exception):
    """The reason why a file is not taken."""


def _refuse_no_file(source: str | os.PathLike | bytes) -> None:
    if isinstance(source, bytes):
        size = len(source)
    else:
        try:
            status = os.stat(source)
        except (OSError, ValueError):
            raise _RefusedError("there is no such file") from None
        if not stat.S_ISREG(status.st_mode):
            raise _RefusedError("it is no file")
        size = status.st_size
    if size == 0:
        raise _RefusedError("the file is empty")


def _refuse_too_large(pixels: int) -> None:
    if pixels > MAX_PIXELS:
        raise _RefusedError(f"{_TOO_LARGE}, this one {pixels:,}")


def _pixels(image: Image.Image) -> np.ndarray:
    """RGB, or gray for a picture that is gray, upright."""
    image = _upright(_eight_bit(image))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image if image.mode == "L" else image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    # A damaged EXIF block says nothing about the pixels.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _eight_bit(image: Image.Image) -> Image.Image:
    """Gray of 16 bits scaled to 8: Pillow would clip it at 255."""
    if image.mode == "F" or (
        image.mode == "I" and image.format not in ("PNG", "PPM")
    ):
        raise _RefusedError(
            "its pixels are 32-bit numbers, of which white is not known"
        )
    if not image.mode.startswith("I"):
        return image
    gray = np.asarray(image).astype(np.float32) / 257
    eight = Image.fromarray(np.rint(gray).clip(0, 255).astype(np.uint8))
    eight.info.update(exif=image.info.get("exif", b""))
    return eight


class _Quieter:
    """Counts the threads that decode; the first in silences Pillow's remarks.

    `warnings.catch_warnings` is global before Python 3.14: threads that enter
    and leave it in turns would leave all warnings silenced for ever.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.threads = 0
        self.catcher: warnings.catch_warnings | None = None

    def enter(self) -> None:
        with self.lock:
            if self.threads == 0:
                self.catcher = warnings.catch_warnings()
                self.catcher.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self.threads += 1

    def leave(self) -> None:
        with self.lock:
            self.threads -= 1
            if self.threads == 0:
                self.catcher.__exit__(None, None, None)


_QUIETER = _Quieter()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    _QUIETER.enter()
    try:
        yield
    finally:
        _QUIETER.leave()
