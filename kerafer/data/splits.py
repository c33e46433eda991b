"""Dividing a data set into training, validation and test part."""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from kerafer.data.dataset import Dataset
from kerafer.errors import UserError
from kerafer.tables import read_table, write_table

PARTS = ("train", "validation", "test")
# What stands in a file, but in no part: see `kerafer audit --clean`.
UNUSED = "unused"
KINDS = ("paper", "subject", "given")

_FOLDS = 10
_RARE = 3


def make_split(
    dataset: Dataset, kind: str | None = None, seed: int = 0
) -> pd.Series:
    """Say of every picture which part it belongs to.

    Args:
        dataset: The pictures.
        kind: `"paper"`: 8:1:1 over the pictures, every class in the same
            proportion; people stand in several parts. `"subject"`: about
            8:1:1, nobody in two parts, the classes as even as that allows.
            `"given"`: as the set was published; a validation or test part
            that it lacks is a tenth of its training part, by person where
            those are known. Defaults to `"paper"` for KDEF, otherwise
            `"subject"` where the persons are known, `"given"` where the set
            was published divided, and `"paper"`.
        seed: Fixes what is drawn. Defaults to 0.

    Returns:
        A series `split` of `"train"`, `"validation"` and `"test"`, one value
        a row of the manifest. `attrs["kind"]` is the kind, `attrs["notes"]` a
        list of what one should know, such as a class missing in a part.

    Raises:
        UserError: For an unknown kind, one that the set does not allow, or too
            few pictures or people.
    """
    kind = kind or default_kind(dataset)
    if kind not in KINDS:
        raise UserError(
            f"A split is one of {', '.join(KINDS)}. Received: {kind}."
        )
    notes: list[str] = []
    if kind == "given":
        parts = _given(dataset, seed, notes)
    else:
        if kind == "subject" and not dataset.has_subjects:
            raise UserError(
                "A split by subject needs to know who is on every picture. "
                f"The data set {dataset.name} does not; for pictures of your "
                "own give --subject-pattern or a column subject."
            )
        parts = _hold_out(dataset, ("test", "validation"), kind, seed, notes)
    _note_gaps(dataset, parts, notes)
    split = pd.Series(parts, name="split")
    split.attrs = {"kind": kind, "notes": notes}
    return split


def default_kind(dataset: Dataset) -> str:
    """The kind of split that `make_split` takes if none is asked for."""
    if dataset.name == "kdef":
        return "paper"
    if dataset.has_subjects:
        return "subject"
    return "given" if "split" in dataset.manifest else "paper"


def shared_subjects(
    dataset: Dataset, split: pd.Series, one: str = "train", other: str = "test"
) -> list[str]:
    """The people who stand in both of two parts, sorted.

    Raises:
        UserError: If the data set does not know its people.
    """
    if not dataset.has_subjects:
        raise UserError(
            f"The data set {dataset.name} does not know who is on every "
            "picture."
        )
    subjects, parts = dataset.manifest["subject"].to_numpy(), np.asarray(split)
    return sorted(set(subjects[parts == one]) & set(subjects[parts == other]))


def write_split(
    path: str | os.PathLike, dataset: Dataset, split: pd.Series
) -> None:
    """Write a split as CSV, one line a picture, all of it or nothing."""
    table = dataset.manifest.assign(split=np.asarray(split))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_table(path, table)


def read_split(path: str | os.PathLike, dataset: Dataset) -> pd.Series:
    """Read what `write_split` wrote, in the order of the manifest.

    Raises:
        UserError: If the file is no split, or not of these pictures.
    """
    table = _read_table(path)
    ours = dataset.manifest.set_index("path")["label"]
    theirs = table.set_index("path")["label"]
    both = ours.index.intersection(theirs.index)
    changed = both[(ours[both] != theirs[both]).to_numpy()]
    problems = [
        f"{len(paths)} {what}, such as {', '.join(paths[:3])}"
        for paths, what in (
            (ours.index.difference(theirs.index), "of the set not in the file"),
            (theirs.index.difference(ours.index), "of the file not in the set"),
            (changed, "with another label"),
        )
        if len(paths)
    ]
    if problems:
        raise UserError(
            "A split names exactly the pictures of the data set with their "
            f"labels. Received in {os.fspath(path)}: {'; '.join(problems)}."
        )
    parts = table.set_index("path")["split"].loc[dataset.manifest["path"]]
    split = pd.Series(parts.to_numpy(), name="split")
    split.attrs = {"kind": None, "notes": []}
    return split


def _read_table(path: str | os.PathLike) -> pd.DataFrame:
    rule = "A split is a CSV file with the columns path, label and split"
    try:
        table = read_table(path)
    except (ValueError, OSError) as error:
        raise UserError(
            f"{rule}. Received {os.fspath(path)}: {error}."
        ) from None
    lacking = [c for c in ("path", "label", "split") if c not in table]
    if lacking:
        raise UserError(
            f"{rule}. Missing in {os.fspath(path)}: {', '.join(lacking)}."
        )
    unknown = sorted(set(table["split"]) - {*PARTS, UNUSED})
    twice = table["path"][table["path"].duplicated()].tolist()
    if unknown or twice:
        raise UserError(
            "A split names every picture once, as train, validation, test or "
            "unused. "
            f"Received in {os.fspath(path)}: "
            f"{', '.join((unknown + twice)[:3])}."
        )
    return table


def _given(dataset: Dataset, seed: int, notes: list[str]) -> np.ndarray:
    if "split" not in dataset.manifest:
        raise UserError(
            "A given split is one that the set was published with. The data "
            f"set {dataset.name} was not: take paper or subject."
        )
    parts = dataset.manifest["split"].to_numpy(object).copy()
    unknown = sorted({str(p) for p in parts if p not in PARTS})
    if unknown:
        raise UserError(
            "A given split says train, validation or test of every picture. "
            f"Received: {', '.join(unknown)}."
        )
    train = parts == "train"
    lacking = tuple(p for p in ("test", "validation") if p not in set(parts))
    if not train.any():
        raise UserError(
            "A given split has a training part. Received only: "
            f"{', '.join(sorted(set(parts)))}."
        )
    if lacking:
        pictures = dataset.select(train)
        kind = "subject" if pictures.has_subjects else "paper"
        parts[train] = _hold_out(pictures, lacking, kind, seed, notes)
        notes.append(
            f"The set comes without a part for {' and '.join(lacking)}; each "
            "is a tenth of the training part, "
            + ("by person." if kind == "subject" else "stratified by class.")
        )
    return parts


def _hold_out(
    dataset: Dataset,
    names: tuple[str, ...],
    kind: str,
    seed: int,
    notes: list[str],
) -> np.ndarray:
    """Give a tenth to each of the names, and the rest to `"train"`."""
    if kind == "subject":
        folds = _subject_folds(dataset, len(names), seed)
        chosen = _choose_folds(folds, dataset.labels, len(names))
    else:
        folds = _stratified_folds(dataset, seed, notes)
        chosen = tuple(range(len(names)))
    parts = np.full(len(dataset), "train", object)
    for fold, name in zip(chosen, names, strict=True):
        parts[folds == fold] = name
    if len(set(parts)) != len(names) + 1:
        raise UserError(
            f"A split has pictures for train, {' and '.join(names)}. "
            f"Received: {len(dataset)} pictures, which are too few."
        )
    return parts


def _stratified_folds(
    dataset: Dataset, seed: int, notes: list[str]
) -> np.ndarray:
    """Ten folds of the same size to within one, in all and in each class.

    2,936 pictures have two folds of 294 and leave 2,348. Classes of one or two
    pictures are in no fold (-1).
    """
    # scikit-learn takes a second to import.
    from sklearn.model_selection import StratifiedKFold

    labels = dataset.labels
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    dealt = np.flatnonzero(counts[labels] >= _RARE)
    folds = np.full(len(labels), -1)
    if len(dealt):
        splitter = StratifiedKFold(
            min(_FOLDS, counts.max()), shuffle=True, random_state=seed
        )
        with _rare_classes_allowed():
            for fold, (_, rows) in enumerate(
                splitter.split(dealt, labels[dealt])
            ):
                folds[dealt[rows]] = fold
    notes += [
        f"Of {name} there is too little to divide: {count}, all in train."
        for name, count in zip(dataset.class_names, counts, strict=True)
        if 0 < count < _RARE
    ]
    return folds


def _subject_folds(dataset: Dataset, held_out: int, seed: int) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    labels = dataset.labels
    subjects = pd.factorize(dataset.manifest["subject"], sort=True)[0]
    people = subjects.max() + 1
    if people <= held_out:
        raise UserError(
            f"A split by subject into {held_out + 1} parts needs at least "
            f"{held_out + 1} people. Received: {people}."
        )
    most = np.bincount(labels).max()
    if most <= held_out:
        raise UserError(
            f"A split by subject needs a class with at least {held_out + 1} "
            f"pictures. Received at most: {most}."
        )
    folds = np.empty(len(labels), int)
    splitter = StratifiedGroupKFold(
        min(_FOLDS, people, most), shuffle=True, random_state=seed
    )
    with _rare_classes_allowed():
        for fold, (_, rows) in enumerate(
            splitter.split(labels, labels, subjects)
        ):
            folds[rows] = fold
    return folds


@contextlib.contextmanager
def _rare_classes_allowed() -> Iterator[None]:
    """Without scikit-learn's warning of classes smaller than the folds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _choose_folds(
    folds: np.ndarray, labels: np.ndarray, held_out: int
) -> tuple[int, ...]:
    """The first folds that leave a picture of every class to train on.

    Among those, the first that between them have the most classes themselves.
    """
    counts = np.zeros((folds.max() + 1, labels.max() + 1), int)
    np.add.at(counts, (folds, labels), 1)

    def score(chosen: tuple[int, ...]) -> tuple[int, int]:
        taken = counts[list(chosen)]
        trained = (counts.sum(0) - taken.sum(0) > 0).sum()
        return trained, (taken > 0).sum()

    choices = itertools.permutations(range(len(counts)), held_out)
    return max(choices, key=score)


def _note_gaps(dataset: Dataset, parts: np.ndarray, notes: list[str]) -> None:
    labels = dataset.manifest["label"].to_numpy()
    for part in PARTS:
        there = set(labels[parts == part])
        gaps = [name for name in dataset.class_names if name not in there]
        if gaps:
            notes.append(f"No picture of {', '.join(gaps)} in {part}.")
