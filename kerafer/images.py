"""Decode untrusted images."""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import math
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageOps

from kerafer.errors import UserError

FORMATS = (
    *("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "AVIF"),
    "JPEG2000",
)
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic"),
    *(".heif", ".hif", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".apng"),
)
MAX_PIXELS = 100_000_000

_TOO_LARGE = f"an image has at most {MAX_PIXELS:,} pixels"
_BLANK_RANGE = 4
# Kinds of files that are told by name.
_KINDS = 8
_DRAFT_SIZE = (64, 64)
# 16-bit images whose values span less, of 255, are worth a warning.
_SMALL_RANGE = 25
# TIFF tags.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE = 258, 262, 281
_WHITE_IS_ZERO = 0
# What stands after "ftyp" in a HEIC file. AVIF's own are Pillow's.
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1")

# A file, its bytes, an open file, an image of Pillow, or pixels.
ImageLike: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | Image.Image
    | np.ndarray
)


class UnreadableImageError(UserError):
    """An image that cannot be read.

    Args:
        name: The file.
        reason: Why, without a full stop.
        is_image: Whether only a package is missing to read it.
    """

    def __init__(self, name: str, reason: str, is_image: bool = False) -> None:
        super().__init__(f"The image {name} cannot be read: {reason}.")
        self.name = name
        self.reason = reason
        self.is_image = is_image


def read_image(source: str | os.PathLike | bytes) -> np.ndarray:
    """Decode an image to upright RGB.

    Reads the formats in `FORMATS`, and HEIC if `pillow-heif` is installed, up
    to `MAX_PIXELS` (100 megapixels), which is checked before decoding. Applies
    the EXIF rotation, converts gray, palette and CMYK images to RGB, scales 16
    bits to 8 and shows transparent pixels on white. Of an animation or a
    multi-page file, it returns the first image.

    Args:
        source: A path, or the bytes of a file.

    Returns:
        uint8 RGB of shape `(height, width, 3)`.

    Raises:
        UnreadableImageError: If the file is missing, empty, cut off, damaged,
            too large or no image.
    """
    return _three_channels(_decode(source))


def read_reduced(
    source: str | os.PathLike | bytes, longest_side: int
) -> tuple[np.ndarray, int]:
    """Decode a large JPEG at a reduced size, to save memory and time.

    Args:
        source: As for `read_image`.
        longest_side: A JPEG is decoded at a half, a quarter or an eighth of
            its size if its longer side is then at least this. Others keep
            their size.

    Returns:
        uint8 RGB, and the factor by which it was reduced.

    Raises:
        UnreadableImageError: As `read_image`.
    """
    with _opened(source) as image:
        width = image.width
        scale = longest_side / max(image.size)
        if scale < 1:
            across, down = (math.ceil(scale * side) for side in image.size)
            image.draft(None, (across, down))
        # A side that is no multiple is rounded up.
        times = round(width / image.width)
        return _three_channels(_load(image)), times


def read_first_image(source: str | os.PathLike) -> tuple[np.ndarray, bool]:
    """Decode the first image of a file, as `read_image` does.

    Returns:
        uint8 RGB, and whether the file has more images. The previews that
        cameras append to a JPEG do not count.

    Raises:
        UnreadableImageError: As `read_image`.
    """
    with _opened(source) as image:
        pixels = _three_channels(_load(image))
        has_several = False
        # Counting reads on, where the file may be damaged.
        with contextlib.suppress(Exception):
            has_several = image.format != "MPO" and image.is_animated
        return pixels, has_several


def as_image(source: ImageLike, bgr: bool = False) -> np.ndarray:
    """Convert an image in memory or in a file to an array.

    Args:
        source: A path, the bytes of a file, a file opened for reading bytes,
            an image of Pillow, or a uint8 array of shape `(height, width, 3)`
            in the order R, G, B, or `(height, width)` or
            `(height, width, 1)`, gray.
        bgr: Whether an array is in the order B, G, R, as OpenCV reads images
            and cameras. Defaults to `False`.

    Returns:
        uint8 RGB of shape `(height, width, 3)`.

    Raises:
        UnreadableImageError: As `read_image`.
        UserError: For anything else, such as a tensor or floats, whose range
            is unknown.
    """
    if isinstance(source, np.ndarray):
        image = _checked_array(source)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if bgr else image
    if isinstance(source, (str, os.PathLike, bytes)):
        return read_image(source)
    if isinstance(source, (bytearray, memoryview)):
        return read_image(bytes(source))
    if isinstance(source, Image.Image):
        with _told("of Pillow"):
            _refuse_too_large(source.width * source.height)
            return _three_channels(_pixels(_eight_bit(source).copy()))
    if isinstance(source, io.BytesIO):
        # Whoever has just written it stands at its end.
        return read_image(source.getvalue())
    if hasattr(source, "read"):
        content = source.read()
        if isinstance(content, bytes):
            return read_image(content)
        raise _no_image("a file opened for text", "Open it with 'rb'.")
    kind = type(source).__name__
    if source is None:
        hint = "cv2.imread gives None for a file that it can't read."
    elif hasattr(source, "shape"):
        kind = f"{kind} of shape {tuple(source.shape)}"
        hint = "Give a tensor as a uint8 array: np.asarray(image)."
    else:
        hint = ""
    raise _no_image(kind, hint)


def _checked_array(image: np.ndarray) -> np.ndarray:
    shape, hint = image.shape, ""
    fits = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
    if fits and 0 not in shape and image.dtype == np.uint8:
        gray = image[..., 0] if shape[2:] == (1,) else image
        return np.ascontiguousarray(_three_channels(gray))
    if len(shape) == 4:
        hint = "Give several as a list."
    elif len(shape) == 3 and shape[2] == 4:
        hint = "Of R, G, B and opacity PIL.Image.fromarray(image) makes one."
    elif len(shape) == 3 and shape[0] in (1, 3) and not fits:
        hint = "The channels come last: np.moveaxis(image, 0, -1)."
    elif image.dtype.kind == "f":
        hint = "Where 1.0 is white: (255 * image).round().astype('uint8')."
    raise _no_image(f"{image.dtype} of shape {shape}", hint)


def _no_image(received: str, hint: str) -> UserError:
    return UserError(
        "An image is a file, its bytes, an image of Pillow, or a uint8 array, "
        "RGB of shape (height, width, 3) or gray of shape (height, width). "
        "Received: "
        f"{received}." + (f"\n{hint}" if hint else "")
    )


def _three_channels(image: np.ndarray) -> np.ndarray:
    return np.stack([image] * 3, axis=-1) if image.ndim == 2 else image


def is_image(path: str | os.PathLike) -> bool:
    """Return whether a file begins like an image."""
    try:
        with _opened(path):
            return True
    except UnreadableImageError as error:
        return error.is_image


def describe_kinds(paths: Iterable[str | os.PathLike]) -> str:
    """Count files by suffix.

    Example:

        >>> describe_kinds(["a.txt", "b.TXT", "c.pdf", "README"])
        '2 .txt, 1 .pdf, 1 without a suffix'
    """
    suffixes = collections.Counter(
        os.path.splitext(path)[1].lower() or "without a suffix"
        for path in paths
    )
    most = suffixes.most_common(_KINDS)
    told = [f"{n:,} {suffix}" for suffix, n in most]
    others = suffixes.total() - sum(n for _, n in most)
    return ", ".join([*told, f"{others:,} others"] if others else told)


def find_flaw(path: str | os.PathLike) -> str | None:
    """Return why an image cannot be used, or `None` for a good image.

    Large JPEGs are decoded small, which is several times faster. Only those
    that look blank are decoded again at their size.
    """
    try:
        with _opened(path) as image:
            image.draft("L", _DRAFT_SIZE)
            looks_blank = is_blank(_load(image))
        if looks_blank and is_blank(_decode(path)):
            return "it is blank"
    except UnreadableImageError as error:
        return error.reason
    return None


def is_blank(image: np.ndarray) -> bool:
    """Return whether an image shows a single colour.

    A channel may range over 4 of 255 levels, because JPEG is not exact. KDEF
    includes some black images.
    """
    height, width = image.shape[:2]
    pixels = image.reshape(height * width, -1)
    return bool(np.ptp(pixels, axis=0).max() <= _BLANK_RANGE)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to `(height, width)`, without keeping the aspect ratio.

    The article resizes its crops to a square in this way. An axis that shrinks
    is averaged over areas, one that grows is interpolated linearly.

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
    """Resize an image to a model's input, and convert it to gray if needed.

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
        return _load(image)


@contextlib.contextmanager
def _opened(source: str | os.PathLike | bytes) -> Iterator[Image.Image]:
    """Read the header, and raise every error as an UnreadableImageError."""
    with _told(_name(source)):
        _refuse_no_file(source)
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        with _quiet(), _open(stream) as image:
            _refuse_too_large(image.width * image.height)
            yield image


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Raise every error as an UnreadableImageError."""
    try:
        yield
    except _RefusedError as error:
        raise UnreadableImageError(name, *error.args) from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(name, _TOO_LARGE) from None
    except Image.UnidentifiedImageError:
        reason = f"it is no whole image of the kinds {', '.join(FORMATS)}"
        raise UnreadableImageError(name, reason) from None
    # Of a damaged file Pillow's decoders raise nearly every built-in error.
    except Exception as error:
        reason = f"the file is damaged ({str(error).rstrip('.')})"
        raise UnreadableImageError(name, reason) from error


def _open(stream: str | os.PathLike | io.BytesIO) -> Image.Image:
    try:
        return Image.open(stream, formats=_known_formats())
    except Image.UnidentifiedImageError:
        if not _is_heif(stream):
            raise
    try:
        # Opened by its class: registering it would be for the whole process.
        from pillow_heif import HeifImageFile
    except ImportError:
        raise _RefusedError(
            "it is HEIC, which needs a package: pip install pillow-heif", True
        ) from None
    return HeifImageFile(stream)


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow has."""
    Image.init()
    return tuple(kind for kind in FORMATS if kind in Image.OPEN)


def _is_heif(stream: str | os.PathLike | io.BytesIO) -> bool:
    if isinstance(stream, io.BytesIO):
        head = stream.getvalue()[:12]
    else:
        with open(stream, "rb") as file:
            head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _HEIF_BRANDS


class _RefusedError(Exception):
    """The arguments of an `UnreadableImageError` except the name."""


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


def _load(image: Image.Image) -> np.ndarray:
    """Decode an image whose header was read."""
    # Of 16-bit colours Pillow keeps the upper 8 bits, and then forgets it.
    deep = re.search(";1[26]", str(getattr(image, "tile", "")))
    image.load()
    pixels = _pixels(image)
    if (deep or image.mode.startswith("I")) and np.ptp(pixels) < _SMALL_RANGE:
        name = getattr(image, "filename", "")
        _warn_of_small_range(os.path.dirname(name), name)
    return pixels


@functools.lru_cache(64)
def _warn_of_small_range(folder: str, name: str) -> None:
    # Takes long to import.
    from kerafer.console import console

    console.warn(
        f"The 16-bit image {name} uses less than a tenth of its range and may "
        "appear nearly uniform. If its values have fewer bits, scale them, or "
        "set the TIFF tag MaxSampleValue."
    )


def _pixels(image: Image.Image) -> np.ndarray:
    """RGB, or gray for an image that is gray, upright."""
    image = _eight_bit(image)
    # A damaged EXIF block says nothing about the pixels.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(
        image if image.mode in ("L", "RGB") else image.convert("RGB")
    )


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16 bits to 8, as the tags of a TIFF file require.

    Pillow would clip gray at 255, and takes white for 0 in 8 bits alone.
    """
    if image.mode == "F" or (
        image.mode == "I" and image.format not in ("PNG", "PPM")
    ):
        raise _RefusedError(
            "its pixels are 32-bit numbers, of which white is not known"
        )
    tags = getattr(image, "tag_v2", {})
    is_gray = image.mode.startswith("I")
    most = 2 ** _first(tags, _BITS_PER_SAMPLE, 16) - 1
    white = _first(tags, _MAX_SAMPLE_VALUE, most)
    if not 0 < white <= most:
        white = most
    # Of 16-bit colours Pillow has kept the upper half.
    is_scaled = image.mode in ("RGB", "RGBA") and white < most == 65535
    if not (is_gray or is_scaled):
        return image
    pixels = np.asarray(image).astype(np.float32)
    pixels *= (255 if is_gray else most) / white
    eight_bit = np.rint(pixels).clip(0, 255).astype(np.uint8)
    if is_gray and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        eight_bit = 255 - eight_bit
    scaled = Image.fromarray(eight_bit)
    scaled.info.update(exif=image.info.get("exif", b""))
    return scaled


def _first(tags: Mapping[int, Any], tag: int, default: int) -> int:
    """The first value of a TIFF tag that has one for each channel."""
    value = tags.get(tag, default)
    return value[0] if isinstance(value, tuple) else value


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
            if self.threads == 0 and self.catcher is not None:
                self.catcher.__exit__(None, None, None)


_QUIETER = _Quieter()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    _QUIETER.enter()
    try:
        yield
    finally:
        _QUIETER.leave()
