"""Images in folders of classes, or in a list of them."""

from __future__ import annotations

import collections
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from kerafer.class_names import is_expression, same_word, tidy
from kerafer.datasets import scan
from kerafer.datasets.dataset import PROB, VOTES, Dataset, skipped_table
from kerafer.datasets.specs import FESR, FOLDER
from kerafer.errors import ConfigError, UserError, some_of

MANIFEST = "manifest.csv"
FESR_CLASSES = ("surprise", "joy", "neutral", "bored", "upset")


def read_folder(root: Path, subject_pattern: str | None = None) -> Dataset:
    r"""List `<class>/*`, `<split>/<class>/*` or what `manifest.csv` lists.

    The list has the columns `path` (relative to the folder) and `label` and,
    optionally, `subject`, `session`, `angle`, `split`, `margin` (the crop
    margin, the same for all images) and `prob:<class>` for every class (how
    many people, or which part of them, voted for it). Without `margin` a model
    of the images is applied to whole images. The classes are in alphabetic
    order.

    Args:
        root: The folder.
        subject_pattern: Regular expression that finds the subject in the name
            of a file, as the group `subject` or the first one: `^(.+)_\d+`
            finds `Al_Gore` in `Al_Gore_0002.jpg`. Images without a match
            are skipped. Default: the subjects are not known.

    Raises:
        UserError: Without images, with fewer than two classes, for a class
            without an image, an ambiguous layout, a pattern that is wrong or
            matches nothing, or a wrong list.
    """
    inner = scan.entries(root)
    if len(inner) == 1 and (inner[0] / MANIFEST).is_file():
        root = inner[0]
    if (root / MANIFEST).is_file():
        manifest, skipped = _read_manifest(root / MANIFEST), skipped_table()
        class_names = sorted(set(manifest["label"]))
    else:
        folders = scan.class_folders(root)
        _check_nesting(root, [folder for _, folder in folders])
        labels = {folder: tidy(folder.name) for _, folder in folders}
        _check_twins({folder.name for folder in labels})
        manifest, skipped = scan.list_tree(root, folders, labels)
        class_names = sorted(set(labels.values()))
    if manifest.empty:
        raise FOLDER.missing(f"{root} has no folder of a class with any")
    _check_classes(class_names, manifest)
    facts = FOLDER.facts | {
        "source": f"{FOLDER.source}, {root.resolve().name}",
        "margin": _margin(manifest),
    }
    dataset = Dataset(
        **facts,
        manifest=manifest.drop(columns="margin", errors="ignore"),
        class_names=tuple(class_names),
        root=root,
        skipped_files=skipped,
    )
    if subject_pattern:
        dataset = _find_subjects(dataset, subject_pattern)
    return dataset


def read_fesr(root: Path) -> Dataset:
    """List FESR's images: `<split>/<class>/*`, or `<class>/*`.

    The classes are surprise, joy, neutral, bored and upset; capitals, the
    plural and words like "surprised" or "happy" are understood.
    """
    return scan.read_tree(FESR, root, FESR_CLASSES)


def _check_nesting(root: Path, folders: Sequence[Path]) -> None:
    """Refuse folders of persons, or of splits with unusual names.

    Their sign is that the same names recur inside of several of them. Below
    folders that are named after expressions, they may be persons.
    """
    inner: dict[str, dict[str, str]] = {}
    for folder in folders:
        names = inner.setdefault(folder.name, {})
        for path in scan.subfolders(folder):
            if scan.find_image_files(path):
                names[same_word(path.name)] = path.name
    seen = collections.Counter(itertools.chain(*inner.values()))
    recurring = [name for name, count in seen.items() if count > 1]
    known = all(map(is_expression, inner))
    if not recurring or (known and not any(map(scan.split_of, recurring))):
        return
    outer = [name for name, names in inner.items() if names]
    shown = {n: text for names in inner.values() for n, text in names.items()}
    same = some_of([shown[name] for name in recurring])
    raise UserError(
        f"Cannot tell the classes in {root}: the folders {some_of(outer)} "
        f"contain folders of the same names, {same}.\n"
        "Use <class>/*, or <split>/<class>/* with the splits train, "
        "validation and test.\nIf the folders are persons, list the images in "
        "manifest.csv with the columns path, label and subject,\nor name them "
        "<class>/<person>_1.jpg and set `subject_pattern` to '^(.+)_'."
    )


def _check_twins(names: Iterable[str]) -> None:
    folded: dict[str, str] = {}
    for name in sorted(names):
        twin = folded.setdefault(tidy(name).casefold(), name)
        if twin != name:
            raise UserError(
                "The names of classes must differ in more than capitals and "
                f"spaces. Received: {twin!r} and {name!r}."
            )


def _check_classes(names: Sequence[str], manifest: pd.DataFrame) -> None:
    _check_twins(names)
    if len(names) == 1:
        raise UserError(
            f"A data set needs at least two classes. Received: {names[0]} only."
        )
    where = ""
    if "split" in manifest and "train" in set(manifest["split"]):
        manifest = manifest[manifest["split"] == "train"]
        where = " in train"
    if empty := sorted(set(names) - set(manifest["label"])):
        raise UserError(
            f"Every class needs an image{where}. Received none of: "
            f"{', '.join(empty)}. Remove the folders of other classes."
        )


def _find_subjects(dataset: Dataset, subject_pattern: str) -> Dataset:
    names = [PurePosixPath(path).name for path in dataset.manifest["path"]]
    try:
        pattern = re.compile(subject_pattern)
        group = "subject" if "subject" in pattern.groupindex else 1
        matches = [pattern.search(name) for name in names]
        subjects = [match and match[group] for match in matches]
        problem = "" if any(subjects) else f"no match, such as in {names[0]}"
    except (re.error, IndexError) as error:
        problem = str(error)
    if problem:
        raise ConfigError(
            "`subject_pattern` must be a regular expression with a group "
            r"around the subject, such as ^(.+)_\d+. "
            f"Received: {subject_pattern} ({problem})."
        )
    dataset.manifest["subject"] = subjects
    reason = "subject_pattern does not match its name"
    return dataset.skip([None if s else reason for s in subjects])


def _read_manifest(path: Path) -> pd.DataFrame:
    table = scan.read_rows(path, ("path", "label"), skipinitialspace=True)
    table["label"] = table["label"].map(tidy)
    for name in table.columns.drop(["path", "label"]):
        table[name] = table[name].str.strip()
    table["path"] = [_portable(name, path.parent) for name in table["path"]]
    outside = [not _stays_inside(path) for path in table["path"]]
    _refuse(table, table["label"] == "", "a label is missing")
    _refuse(table, outside, "a path is empty or leads outside the folder")
    _refuse(table, table["path"].duplicated(), "an image is listed twice")
    if "split" in table:
        table["split"] = table["split"].map(scan.split_of)
        unknown = table["split"].isna()
        _refuse(table, unknown, "a split is not train, validation or test")
    table = table.replace("", pd.NA)
    probs = [name for name in table if name.startswith(PROB)]
    return _with_probs(table, probs) if probs else table


def _portable(path: str, there: Path) -> str:
    r"""Return a path without blanks around it, and with `/` for Windows' `\`.

    A path that exists as it is stays unchanged.
    """
    for name in (path, path.strip()):
        if os.sep == "/" and os.path.lexists(there / name):
            return name
    return path.strip().replace("\\", "/")


def _margin(table: pd.DataFrame) -> float | None:
    """Return the margin of all images of a list, if it has one."""
    if "margin" not in table:
        return None
    margin = _numbers(table["margin"].fillna(""))
    _refuse(table, ~margin.between(0, 1), "a margin is not 0 to 1")
    _refuse(table, margin != margin.iloc[0], "the margins are not equal")
    return float(margin.iloc[0])


def _with_probs(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Parse and normalise soft labels, named as the labels are."""
    names = {tidy(label).casefold(): label for label in table["label"]}
    told = [tidy(name.removeprefix(PROB)).casefold() for name in columns]
    if sorted(told) != sorted(names):
        raise UserError(
            f"{MANIFEST} needs a column {PROB}<class> for each class of its "
            f"labels, or none. Received: {', '.join(columns)} for the labels "
            f"{', '.join(sorted(names.values()))}."
        )
    probs = table[columns].fillna("0").apply(_numbers).to_numpy()
    total = probs.sum(axis=1)
    right = (probs >= 0).all(axis=1) & (total > 0) & np.isfinite(total)
    _refuse(
        table, ~right, f"a {PROB} is not a number of 0 or more, or all are 0"
    )
    table[columns] = probs / total[:, None]
    renamed = [PROB + names[name] for name in told]
    table = table.rename(columns=dict(zip(columns, renamed, strict=True)))
    if (probs == probs.round()).all() and total.min() > 1:
        table[[VOTES + names[name] for name in told]] = probs.astype(int)
    return table


def _numbers(texts: pd.Series) -> pd.Series:
    """Parse numbers with a decimal point or comma; NaN for anything else."""
    texts = texts.str.replace(",", ".", regex=False)
    return pd.to_numeric(texts, errors="coerce").astype(float)


def _stays_inside(path: str) -> bool:
    # Windows' rules take / and \ for separators and know drives as well.
    windows = PureWindowsPath(path)
    return bool(path) and not (windows.anchor or ".." in windows.parts)


def _refuse(table: pd.DataFrame, bad: ArrayLike, problem: str) -> None:
    lines = np.flatnonzero(bad)
    if len(lines):
        row = table.iloc[lines[0]]
        raise UserError(
            f"{MANIFEST}, line {lines[0] + 2}: {problem}: "
            f"{', '.join(map(str, row))}. {len(lines):,} lines have this "
            "problem."
        )
