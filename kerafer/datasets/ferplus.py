"""FER+: FER2013's images with the votes of ten people each."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from kerafer.datasets import scan
from kerafer.datasets.dataset import MAJORITY, SHARE, Dataset
from kerafer.datasets.fer2013 import CLASSES as FER2013_CLASSES
from kerafer.datasets.fer2013 import CSV_FILES, read_fer2013
from kerafer.datasets.specs import FERPLUS
from kerafer.errors import UserError
from kerafer.tables import find_separator

CLASSES = (*FER2013_CLASSES, "contempt")
VOTES_FILE = "fer2013new.csv"

# The classes as the list of votes calls them.
_COLUMNS = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "neutral",
    "sadness",
    "surprise",
    "contempt",
)
_NO_CLASS = ("unknown", "NF")
_FOLDERS = {
    "train": "FER2013Train",
    "validation": "FER2013Valid",
    "test": "FER2013Test",
}


def read_ferplus(root: Path, verify: bool = True) -> Dataset:
    """Read FER+ in its official layout, or as two CSV files.

    A vote that one person alone gave counts as none, as FER+'s authors do;
    images whose most frequent vote is then "unknown" or "no face" are left
    out, and so are those that no two people agree on. What is left are the
    shares of the classes; the label is the most frequent one, of equal ones
    the first. `majority` in the manifest says whether it has more than half
    of all votes, which is what FER+'s authors evaluate on.

    Args:
        root: The folder with `fer2013new.csv` and either `FER2013Train/`,
            `FER2013Valid/` or `FER2013Test/`, which have `fer0000000.png`,
            or FER2013's CSV file of pixels, whose rows are in the same order.
        verify: Whether every image is decoded once. Defaults to `True`.

    Raises:
        UserError: If there is no image or no list of votes.

    Reference:
        Barsoum et al., "Training Deep Networks for Facial Expression
        Recognition with Crowd-Sourced Label Distribution", ICMI (2016).
    """
    table = root / VOTES_FILE
    if not table.is_file():
        raise FERPLUS.missing(f"{root} has no {VOTES_FILE}")
    pixels, known = None, set()
    if not any((root / folder).is_dir() for folder in _FOLDERS.values()):
        pixels = _pixels(root)
        known = set(pixels.manifest["path"])
    rows, strange, seen = [], [], set()
    for line, row in _rows(table):
        path, split = _place(row, line, root, known)
        if path is None:
            continue
        if path in seen:
            strange.append((path, f"line {line} names it again"))
            continue
        seen.add(path)
        try:
            shares, majority = _shares(row)
        except ValueError as error:
            strange.append((path, str(error)))
            continue
        label = CLASSES[int(np.argmax(shares))]
        rows.append((path, label, split, majority, *shares))
    if not rows:
        raise FERPLUS.missing(f"{root} has no image that {VOTES_FILE} names")
    names = (SHARE + name for name in CLASSES)
    dataset = Dataset(
        **FERPLUS.facts,
        manifest=pd.DataFrame(
            rows, columns=["path", "label", "split", MAJORITY, *names]
        ),
        class_names=CLASSES,
        root=None if pixels else root,
        read=pixels.read if pixels else None,
        fingerprint=pixels.fingerprint if pixels else "",
        left_out=scan.left_out(strange),
    )
    return scan.verify(dataset) if verify else dataset


def _pixels(root: Path) -> Dataset:
    """FER2013's table of pixels, beside the list of votes."""
    for name in CSV_FILES:
        if (root / name).is_file():
            return read_fer2013(root / name)
    raise FERPLUS.missing(
        f"{root} has neither the folders {', '.join(_FOLDERS.values())} nor "
        f"FER2013's {CSV_FILES[0]}",
    )


def _place(
    row: dict[str, str], line: int, root: Path, known: set[str]
) -> tuple[str | None, str]:
    """Where the image of a row is, if it is there, and its part."""
    split = scan.split_of(row["Usage"]) or ""
    name = row["Image name"].strip()
    # 173 of FER2013's images are none, and have no name in the list.
    if not name or not split:
        return None, split
    if not known:
        path = f"{_FOLDERS[split]}/{name}"
        there = Path(name).name == name and (root / path).is_file()
    else:
        file, _, _ = next(iter(known)).rpartition("#")
        path = f"{file}#{line}"
        there = path in known
    return path if there else None, split


def _rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    wanted = ["Usage", "Image name", *_COLUMNS, *_NO_CLASS]
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(
            file, restval="", delimiter=find_separator(table)
        )
        lacking = [c for c in wanted if c not in (reader.fieldnames or ())]
        if lacking:
            raise UserError(
                f"FER+'s list of votes has the columns {', '.join(wanted)}. "
                f"Missing: {', '.join(lacking)} in {table}."
            )
        return [(line, row) for line, row in enumerate(reader, 2)]


def _shares(row: dict[str, str]) -> tuple[np.ndarray, bool]:
    """The share of each class, in the order of `CLASSES`; sums to 1.

    And whether one has more than half of all votes.
    """
    votes = {}
    for name in (*_COLUMNS, *_NO_CLASS):
        count = row[name].strip()
        if not count.isdecimal() or int(count) > 1000:
            raise ValueError(f"votes are counts, not {count[:20]!r}")
        votes[name] = int(count) if int(count) > 1 else 0
    most = max(votes.values())
    if most == 0:
        raise ValueError("no two people agree on it")
    for name in _NO_CLASS:
        if votes[name] == most:
            raise ValueError(f"most votes are {name}")
    counts = np.array([votes[name] for name in _COLUMNS], float)
    return counts / counts.sum(), 2 * most > sum(votes.values())
