"""FER2013, as a CSV file of pixels or as folders of images."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from kerafer.class_names import match_classes
from kerafer.console import track
from kerafer.datasets import scan
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.specs import FER2013
from kerafer.errors import UserError
from kerafer.images import is_blank
from kerafer.tables import find_separator

CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
CSV_FILES = ("fer2013.csv", "icml_face_data.csv", "train.csv")

_CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_LEVELS = {str(level): level for level in range(256)}
_SIZE = 48


def read_fer2013(root: Path, verify: bool = True) -> Dataset:
    """Read FER2013.

    Args:
        root: The CSV file, a folder with `fer2013.csv`, `icml_face_data.csv`
            or `train.csv`, or a folder with `train/<class>/*` and, if there
            is one, `test/<class>/*`. Of the CSV file's usages `PublicTest`
            is the validation part and `PrivateTest` the test part.
        verify: Whether every image is decoded once; that of a CSV file
            always is. Defaults to `True`.

    Raises:
        UserError: If there is no image, or a folder of another name.
    """
    table = _find_csv(root)
    if table is not None:
        return _read_csv(table)
    if root.is_file():
        raise FER2013.missing(f"{root} is no CSV file")
    folders = scan.class_folders(root)
    manifest, strange = scan.tree_manifest(
        root, folders, scan.folder_labels(folders, CLASSES)
    )
    if manifest.empty:
        raise FER2013.missing(f"{root} has no CSV file and no images")
    dataset = Dataset(
        **FER2013.facts,
        class_names=CLASSES,
        manifest=manifest,
        root=root,
        left_out=strange,
    )
    return scan.verify(dataset) if verify else dataset


def _find_csv(root: Path) -> Path | None:
    if root.is_file():
        return root if root.suffix.lower() == ".csv" else None
    for folder in (root, *scan.subfolders(root)):
        for name in CSV_FILES:
            path = folder / name
            if path.is_file() and {"emotion", "pixels"} <= set(_header(path)):
                return path
    return None


def _read_csv(path: Path) -> Dataset:
    rows, faces, strange = [], [], []
    for line, row in _rows(path):
        name = f"{path.name}#{line}"
        try:
            label, face, split = _parse(row)
        except ValueError as error:
            strange.append((name, f"the row is malformed: {error}"))
            continue
        rows.append((name, label, split))
        faces.append(face)
    if not rows:
        raise FER2013.missing(f"{path} has no row with an image")
    manifest = pd.DataFrame(rows, columns=["path", "label", "split"])
    if manifest["split"].isna().any():
        manifest = manifest.drop(columns="split")
    pixels = np.stack(faces)
    index = {name: i for i, name in enumerate(manifest["path"])}

    def read(name: str) -> np.ndarray:
        return np.repeat(pixels[index[name]][..., None], 3, axis=-1)

    status = path.stat()
    return Dataset(
        manifest=manifest,
        read=read,
        fingerprint=f"{path.resolve()} {status.st_size} {status.st_mtime_ns}",
        left_out=scan.left_out(strange),
        **FER2013.facts,
        class_names=CLASSES,
    )


def _fields(line: str, separator: str) -> list[str]:
    return [field.strip(' "\r\n') for field in line.split(separator)]


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        yield from file


def _header(path: Path) -> list[str]:
    line = next(_lines(path), "").lower()
    return _fields(line, find_separator(path))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of every line and its fields by the names of the columns."""
    header, separator = _header(path), find_separator(path)
    if not {"emotion", "pixels"} <= set(header):
        raise UserError(
            "FER2013's CSV file has the columns emotion, pixels and Usage. "
            f"Received: {', '.join(header)[:200] or 'none'} in {path}."
        )
    total = sum(1 for _ in _lines(path)) - 1
    lines = itertools.islice(_lines(path), 1, None)
    for number, line in enumerate(track(lines, "Reading rows", total), 2):
        empty = dict.fromkeys(header, "")
        yield (
            number,
            empty | dict(zip(header, _fields(line, separator), strict=False)),
        )


def _parse(row: dict[str, str]) -> tuple[str, np.ndarray, str | None]:
    label = _label(row["emotion"])
    try:
        levels = bytes(map(_LEVELS.__getitem__, row["pixels"].split()))
    except KeyError as error:
        raise ValueError(
            f"a pixel is 0 to 255, not {error.args[0][:20]!r}"
        ) from None
    if len(levels) != _SIZE**2:
        raise ValueError(f"a face has {_SIZE**2} pixels, not {len(levels)}")
    face = np.frombuffer(levels, np.uint8).reshape(_SIZE, _SIZE)
    if is_blank(face):
        raise ValueError("the image is blank")
    usage = row.get("usage")
    split = usage and scan.split_of(usage)
    if usage is not None and split is None:
        raise ValueError(
            f"the usage is Training, PublicTest or PrivateTest, not {usage!r}"
        )
    return label, face, split


def _label(told: str) -> str:
    """The class of a code, which tables may have made `3.0` of, or a name."""
    (place,) = match_classes(_CODES, [told])
    if place is None:
        with contextlib.suppress(ValueError):
            number = float(told)
            place = int(number) if number in range(len(_CODES)) else None
    if place is None:
        raise ValueError(
            f"the emotion is 0 to 6 or a name, {', '.join(_CODES)}, not "
            f"{told[:20]!r}"
        )
    return _CODES[place]
