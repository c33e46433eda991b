"""Images of your own: folders of classes, or a list of them."""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd

from kerafer.class_names import is_expression, same_word, tidy
from kerafer.datasets import scan
from kerafer.datasets.dataset import SHARE, Dataset
from kerafer.datasets.specs import FOLDER
from kerafer.errors import ConfigError, UserError, some_of
from kerafer.tables import find_separator

MANIFEST = "manifest.csv"


def read_folder(
    root: Path, subject_pattern: str | None = None, verify: bool = True
) -> Dataset:
    r"""Read `<class>/*`, `<split>/<class>/*` or the list `manifest.csv`.

    The list has the columns `path` and `label` and, where they are known,
    `subject`, `session`, `angle` and `split`. Its paths are relative to the
    folder and stay in it. The classes are in alphabetic order. Where the
    images are faces that were cut out, `margin` says how: what was added to
    a detector's box on each side, as a part of its longer side, the same for
    all; prediction cuts out alike then. Without it a model of them sees
    images whole. Where several people said what they see, the columns
    `prob:<class>` have the part, or the number, that said each class; all
    classes have one then.

    Args:
        root: The folder.
        subject_pattern: Regular expression that finds the person in the name
            of a file, as the group `subject` or the first one: `^(.+)_\d+`
            finds `Al_Gore` in `Al_Gore_0002.jpg`. Images without a match
            are left out. Defaults to none: the persons are not known.
        verify: Whether every image is decoded once. Defaults to `True`.

    Raises:
        UserError: Without images, with fewer than two classes, for a class
            without an image, a pattern that is wrong or matches nothing, or
            a wrong list.
    """
    pattern = subject_pattern and _compile(subject_pattern)
    inner = scan.entries(root)
    if len(inner) == 1 and (inner[0] / MANIFEST).is_file():
        root = inner[0]
    if (root / MANIFEST).is_file():
        manifest, strange = _read_manifest(root / MANIFEST), scan.left_out([])
        class_names = sorted(set(manifest["label"]))
    else:
        folders = scan.class_folders(root)
        _check_nesting(root, [folder for _, folder in folders])
        _check_twins(sorted({folder.name for _, folder in folders}))
        labels = {folder: tidy(folder.name) for _, folder in folders}
        manifest, strange = scan.tree_manifest(root, folders, labels)
        class_names = sorted(set(labels.values()))
    if manifest.empty:
        raise FOLDER.missing(f"{root} has no folder of a class with any")
    facts = FOLDER.facts | {
        "source": f"{FOLDER.source}, {root.resolve().name}",
        "margin": _margin(manifest),
    }
    dataset = Dataset(
        **facts,
        manifest=manifest.drop(columns="margin", errors="ignore"),
        class_names=tuple(class_names),
        root=root,
        left_out=strange,
    )
    _check_classes(dataset)
    if pattern:
        dataset = _find_subjects(dataset, pattern)
    if verify:
        dataset = scan.verify(dataset)
    _check_classes(dataset)
    return dataset


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
    known = all(is_expression(name) for name in inner)
    if not recurring or (known and not any(map(scan.split_of, recurring))):
        return
    outer = [name for name, names in inner.items() if names]
    found = {n: text for names in inner.values() for n, text in names.items()}
    raise UserError(
        f"Cannot tell the classes in {root}. Found the folders "
        f"{some_of(outer)}, which contain folders of the same names: "
        f"{some_of([found[name] for name in recurring])}.\n"
        "Allowed are <class>/*, <split>/<class>/* and a list, manifest.csv.\n"
        "If the outer folders are splits, rename them to train, validation "
        "and test.\nIf they are persons, list the images in manifest.csv with "
        "the columns path, label and subject, or move them to "
        "<class>/<person>_1.jpg and set `subject_pattern` to '^(.+)_'."
    )


def _check_classes(dataset: Dataset) -> None:
    names, manifest = dataset.class_names, dataset.manifest
    if len(names) < 2:
        raise UserError(
            "A data set has images of at least two classes. "
            f"Received: {names[0]} only."
        )
    _check_twins(names)
    where = ""
    if "split" in manifest and "train" in set(manifest["split"]):
        manifest = manifest[manifest["split"] == "train"]
        where = " in train"
    empty = [name for name in names if name not in set(manifest["label"])]
    if empty:
        raise UserError(
            f"Every class must have a readable image{where}. "
            f"Received none of: {', '.join(empty)}."
            f"{scan.describe_skipped(dataset)}"
        )


def _check_twins(names: Sequence[str]) -> None:
    folded: dict[str, str] = {}
    for name in names:
        twin = folded.setdefault(tidy(name).casefold(), name)
        if twin != name:
            raise UserError(
                "Two classes differ in more than capitals and spaces. "
                f"Received: {twin!r} and {name!r}."
            )


def _compile(pattern: str) -> re.Pattern[str]:
    rule = (
        "`subject_pattern` is a regular expression with a group around the "
        r"person, such as ^(.+)_\d+. "
    )
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{rule}Received: {pattern} ({error}).") from None
    if not compiled.groups:
        raise ConfigError(f"{rule}Received: {pattern}, without a group.")
    return compiled


def _find_subjects(dataset: Dataset, pattern: re.Pattern[str]) -> Dataset:
    group = "subject" if "subject" in pattern.groupindex else 1
    names = [PurePosixPath(path).name for path in dataset.manifest["path"]]
    matches = [pattern.search(name) for name in names]
    subjects = [match and match[group] for match in matches]
    if not any(subjects):
        raise ConfigError(
            "`subject_pattern` finds the person in the names of the files. "
            f"Received: {pattern.pattern}, which matches none, such as "
            f"{names[0]}."
        )
    dataset.manifest["subject"] = subjects
    reason = "subject_pattern finds no person in its name"
    return scan.leave_out(dataset, [None if s else reason for s in subjects])


def _read_manifest(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            path,
            sep=find_separator(path),
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            skipinitialspace=True,
        )
    except (ValueError, OSError) as error:
        raise UserError(
            f"{MANIFEST} is a CSV file in UTF-8. Received: {error}."
        ) from None
    table.columns = [name.strip().lower() for name in table.columns]
    lacking = [name for name in ("path", "label") if name not in table]
    if lacking:
        raise UserError(
            f"{MANIFEST} has the columns path and label. "
            f"Missing: {', '.join(lacking)}."
        )
    table["label"] = table["label"].map(tidy)
    for name in table.columns.drop(["path", "label"]):
        table[name] = table[name].str.strip()
    _refuse(
        table,
        (table["label"] == "").to_numpy(),
        "names the class of every image",
    )
    table["path"] = [scan.portable(name, path.parent) for name in table["path"]]
    outside = np.array([not _stays_inside(path) for path in table["path"]])
    _refuse(table, outside, "has paths that stay inside its folder")
    _refuse(
        table, table["path"].duplicated().to_numpy(), "names every image once"
    )
    if "split" in table:
        table["split"] = table["split"].map(scan.split_of)
        unknown = table["split"].isna().to_numpy()
        _refuse(table, unknown, "has the splits train, validation and test")
    table = table.replace("", pd.NA)
    shares = [name for name in table if name.startswith(SHARE)]
    return _with_shares(table, shares) if shares else table


def _margin(table: pd.DataFrame) -> float | None:
    """How all the images of a list were cut out, if it says so."""
    if "margin" not in table:
        return None
    margin = _numbers(table["margin"].fillna("")).to_numpy()
    _refuse(
        table,
        ~((margin >= 0) & (margin <= 1)),
        "has a margin of 0 to 1 for every image, or no such column",
    )
    _refuse(table, margin != margin[0], "has the same margin for every image")
    return float(margin[0])


def _with_shares(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Numbers in place of texts, which sum to 1, named as the labels are."""
    names = {tidy(label).casefold(): label for label in table["label"]}
    told = [tidy(name.removeprefix(SHARE)).casefold() for name in columns]
    if sorted(told) != sorted(names):
        raise UserError(
            f"{MANIFEST} has a column {SHARE}<class> for each class of its "
            f"labels, or none. Received: {', '.join(columns)} for the labels "
            f"{', '.join(sorted(names.values()))}."
        )
    shares = table[columns].fillna("0").apply(_numbers).to_numpy()
    total = shares.sum(axis=1)
    right = np.isfinite(shares).all(axis=1) & (shares >= 0).all(axis=1)
    _refuse(
        table, ~(right & (total > 0)), "has shares of 0 or more, not all of 0"
    )
    table[columns] = shares / total[:, None]
    return table.rename(
        columns={
            column: SHARE + names[name]
            for column, name in zip(columns, told, strict=True)
        }
    )


def _numbers(texts: pd.Series) -> pd.Series:
    """Parse numbers with a decimal point or comma; NaN for anything else."""
    texts = texts.str.replace(",", ".", regex=False)
    return pd.to_numeric(texts, errors="coerce").astype(float)


def _stays_inside(path: str) -> bool:
    # Windows' rules take / and \ for separators and know drives as well.
    windows = PureWindowsPath(path)
    return bool(path.strip()) and not (windows.anchor or ".." in windows.parts)


def _refuse(table: pd.DataFrame, bad: np.ndarray, rule: str) -> None:
    if bad.any():
        line = int(bad.argmax()) + 2
        raise UserError(
            f"{MANIFEST} {rule}. Received {bad.sum()} that do not, the first "
            f"in line {line}: {', '.join(map(str, table[bad].iloc[0]))}."
        )
