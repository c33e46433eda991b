"""FER2013, and FER+: its images with the votes of ten people each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from kerafer.class_names import match_classes
from kerafer.datasets import scan
from kerafer.datasets.dataset import (
    MAJORITY,
    PROB,
    VOTES,
    Dataset,
    skipped_table,
)
from kerafer.datasets.specs import FER2013, FERPLUS
from kerafer.images import is_blank

CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
FERPLUS_CLASSES = (*CLASSES, "contempt")
CSV_FILES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
VOTES_FILE = "fer2013new.csv"

_CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_LEVELS = {str(level): level for level in range(256)}
_SIDE = 48
# The columns of the votes, in the order of FERPLUS_CLASSES.
_VOTES = (
    *("anger", "disgust", "fear", "happiness", "neutral", "sadness"),
    *("surprise", "contempt"),
)
_NO_CLASS = ("unknown", "nf")
_FOLDERS = {
    "train": "FER2013Train",
    "validation": "FER2013Valid",
    "test": "FER2013Test",
}


def read_fer2013(root: Path) -> Dataset:
    """List FER2013's images.

    Args:
        root: The CSV file, a folder with `fer2013.csv`, `icml_face_data.csv`
            or `train.csv`, or a folder with `train/<class>/*` and, optionally,
            `test/<class>/*`. Of the CSV file's usages `PublicTest` is the
            validation part and `PrivateTest` the test part.

    Raises:
        UserError: If there is no image, or a folder of another name.
    """
    table = _find_csv(root)
    if table is not None:
        return _read_csv(table)
    if root.is_file():
        raise FER2013.missing(f"{root} is not a CSV file")
    return scan.read_tree(FER2013, root, CLASSES)


def _find_csv(root: Path) -> Path | None:
    if root.is_file():
        return root if root.suffix.lower() == ".csv" else None
    places = itertools.product((root, *scan.subfolders(root)), CSV_FILES)
    for folder, name in places:
        if (folder / name).is_file() and _has_pixels(folder / name):
            return folder / name
    return None


def _has_pixels(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().lower()
    return "emotion" in header and "pixels" in header


def _read_csv(path: Path) -> Dataset:
    table = scan.read_rows(
        path, ("emotion", "pixels"), "replace", skip_blank_lines=False
    )
    texts = table.map(lambda text: text.strip(' "\r\n'))
    faces = texts["pixels"].map(_parse_face)
    manifest = pd.DataFrame(
        {
            "path": [f"{path.name}#{row}" for row in range(2, len(table) + 2)],
            "label": _map_unique(texts["emotion"], _find_label),
        }
    )
    reasons = pd.Series(None, table.index, object)
    if "usage" in texts:
        manifest["split"] = _map_unique(texts["usage"], scan.split_of)
        reasons[manifest["split"].isna()] = "its usage is unknown"
    blank = faces.map(lambda face: face is not None and is_blank(face))
    reasons[blank] = "it is blank"
    reasons[faces.isna()] = "its pixels are not 48 x 48 numbers of 0 to 255"
    reasons[manifest["label"].isna()] = "its emotion is not 0 to 6 or a name"
    good = reasons.isna()
    if not good.any():
        raise FER2013.missing(f"{path} has no row with an image")
    pixels = dict(zip(manifest["path"][good], faces[good], strict=True))

    def read(name: str) -> np.ndarray:
        return np.repeat(pixels[name][..., None], 3, axis=-1)

    status = path.stat()
    skipped = zip(manifest["path"][~good], reasons[~good], strict=True)
    return Dataset(
        **FER2013.facts,
        manifest=manifest[good].reset_index(drop=True),
        class_names=CLASSES,
        read=read,
        fingerprint=f"{path.resolve()} {status.st_size} {status.st_mtime_ns}",
        skipped_files=skipped_table(list(skipped)),
    )


def _parse_face(text: str) -> np.ndarray | None:
    try:
        levels = bytes(map(_LEVELS.__getitem__, text.split()))
    except KeyError:
        return None
    if len(levels) != _SIDE**2:
        return None
    return np.frombuffer(levels, np.uint8).reshape(_SIDE, _SIDE)


def _find_label(text: str) -> str | None:
    """Return the class of a code, possibly `3.0`, or of a name."""
    (place,) = match_classes(_CODES, [text])
    if place is None:
        number = pd.to_numeric(text, errors="coerce")
        place = int(number) if number in range(len(_CODES)) else None
    return None if place is None else _CODES[place]


def _map_unique(
    texts: pd.Series, function: Callable[[str], str | None]
) -> pd.Series:
    return texts.map({text: function(text) for text in texts.unique()})


def read_ferplus(root: Path) -> Dataset:
    """List FER+'s images in its official layout, or as two CSV files.

    A vote of one person alone is ignored, as FER+'s authors do. Images are
    skipped if the most frequent vote is then "unknown" or "no face", or if no
    two people agree. The votes for the classes are the soft label; the label
    is the most frequent one, of equal ones the first. `majority` tells whether
    it has more than half of all votes, which FER+'s authors evaluate on.

    Args:
        root: The folder with `fer2013new.csv` and either `FER2013Train/`,
            `FER2013Valid/` or `FER2013Test/`, which have `fer0000000.png`,
            or FER2013's CSV file of pixels, whose rows are in the same order.

    Raises:
        UserError: If there is no image or no list of votes.

    Reference:
        Barsoum et al., "Training Deep Networks for Facial Expression
        Recognition with Crowd-Sourced Label Distribution", ICMI (2016).
    """
    file = root / VOTES_FILE
    if not file.is_file():
        raise FERPLUS.missing(f"{root} has no {VOTES_FILE}")
    table = _read_votes(file)
    pixels = None
    if any((root / folder).is_dir() for folder in _FOLDERS.values()):
        table["path"] = table["split"].map(_FOLDERS) + "/" + table["name"]
        flat = ~table["name"].str.contains(r"[/\\]")
        there = np.array([(root / path).is_file() for path in table["path"]])
        table = table[flat & there]
    else:
        pixels = _find_pixels(root)
        name = pixels.manifest["path"][0].rpartition("#")[0]
        table["path"] = [f"{name}#{row + 2}" for row in table.index]
        table = table[table["path"].isin(pixels.manifest["path"])]
    if table.empty:
        raise FERPLUS.missing(f"{root} has no image that {VOTES_FILE} names")
    votes = table[[*_VOTES, *_NO_CLASS]].to_numpy(float)
    counted = np.where(votes > 1, votes, 0)
    most = counted.max(axis=1)
    of_classes = counted[:, : len(_VOTES)]
    reasons = pd.Series(None, table.index, object)
    for place, name in enumerate(_NO_CLASS, len(_VOTES)):
        reasons[counted[:, place] == most] = f"most votes are {name}"
    reasons[most == 0] = "no two people agree on it"
    reasons[np.isnan(votes).any(axis=1)] = "its votes are not counts"
    reasons[table["path"].duplicated()] = "it is listed again"
    good = reasons.isna().to_numpy()
    if not good.any():
        raise FERPLUS.missing(f"{file} has no image with votes for a class")
    of_classes = of_classes[good]
    names = np.array(FERPLUS_CLASSES, object)
    manifest = pd.DataFrame(
        {
            "path": table["path"][good].to_numpy(),
            "label": names[of_classes.argmax(axis=1)],
            "split": table["split"][good].to_numpy(),
            MAJORITY: 2 * most[good] > counted[good].sum(axis=1),
        }
    )
    columns = [PROB + name for name in FERPLUS_CLASSES]
    manifest[columns] = of_classes / of_classes.sum(axis=1, keepdims=True)
    columns = [VOTES + name for name in (*FERPLUS_CLASSES, *_NO_CLASS)]
    manifest[columns] = votes[good].astype(int)
    skipped = zip(table["path"][~good], reasons[~good], strict=True)
    return Dataset(
        **FERPLUS.facts,
        manifest=manifest,
        class_names=FERPLUS_CLASSES,
        root=None if pixels else root,
        read=pixels.read if pixels else None,
        fingerprint=pixels.fingerprint if pixels else "",
        skipped_files=skipped_table(list(skipped)),
    )


def _read_votes(file: Path) -> pd.DataFrame:
    """Return split, name and votes of the rows that have an image."""
    wanted = ("usage", "image name", *_VOTES, *_NO_CLASS)
    table = scan.read_rows(file, wanted, "replace")
    for name in (*_VOTES, *_NO_CLASS):
        counts = table[name].str.strip()
        counts = counts.where(counts.str.fullmatch("[0-9]{1,3}"))
        table[name] = pd.to_numeric(counts)
    table["split"] = _map_unique(table["usage"], scan.split_of)
    table["name"] = table["image name"].str.strip()
    # 173 of FER2013's images are empty, and have no name in the list.
    return table[table["split"].notna() & (table["name"] != "")]


def _find_pixels(root: Path) -> Dataset:
    """Return FER2013's table of pixels, beside the list of votes."""
    for name in CSV_FILES:
        if (root / name).is_file():
            return read_fer2013(root / name)
    raise FERPLUS.missing(
        f"{root} has neither the folders {', '.join(_FOLDERS.values())} nor "
        f"FER2013's {CSV_FILES[0]}",
    )
