"""Dividing a data set into training, validation and test part."""

from __future__ import annotations

import itertools
import os
import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kerafer.class_names import same_word
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.specs import find_spec
from kerafer.errors import ConfigError, UserError
from kerafer.tables import read_table, write_table

if TYPE_CHECKING:
    from sklearn.model_selection import BaseCrossValidator

PARTS = ("train", "validation", "test")
# What stands in a file, but in no part: see `kerafer audit --clean`.
UNUSED = "unused"
KINDS = ("paper", "subject", "given")

_FOLDS = 10
_RARE = 3


def make_split(
    dataset: Dataset, kind: str | None = None, seed: int = 0
) -> pd.Series:
    """Say of every image which part it belongs to.

    Args:
        dataset: The images.
        kind: `"paper"`: 8:1:1 over the images, every class in the same
            proportion; people stand in several parts. `"subject"`: about
            8:1:1, nobody in two parts, the classes as even as that allows.
            `"given"`: as the set was published; a validation or test part
            that it lacks is a tenth of its training part, by person where
            those are known. `"fold-2-of-5"`: the second of five folds is
            tested, a tenth of the others validates; the folds hold every
            image once, nobody is in two of them, and the seed alone says
            which is which; where people are not known they are of images,
            stratified by class. Defaults to `"paper"` for KDEF, otherwise
            `"subject"` where the persons are known, `"given"` where the set
            was published divided, and `"paper"`.
        seed: Fixes what is drawn. Defaults to 0.

    Returns:
        A series `split` of `"train"`, `"validation"` and `"test"`, one value
        a row of the manifest. `attrs["kind"]` is the kind, `attrs["notes"]` a
        list of what one should know, such as a class missing in a part.

    Raises:
        UserError: For an unknown kind, one that the set does not allow, or too
            few images or people.
    """
    kind = kind or default_kind(dataset)
    fold = parse_fold(kind)
    if fold is None and kind not in KINDS:
        raise UserError(
            f"A split is one of {', '.join(KINDS)} or, for cross-validation, "
            f"fold-K-of-N. Received: {kind}."
        )
    notes: list[str] = []
    if fold is not None:
        parts = _fold(dataset, *fold, seed, notes)
    elif kind == "given":
        parts = _given(dataset, seed, notes)
    else:
        if kind == "subject" and not dataset.has_subjects:
            raise ConfigError(
                "A split by subject needs to know who is on every image. "
                f"The data set {dataset.name} does not; for images of your "
                "own give `subject_pattern` or a column subject."
            )
        parts = _hold_out(dataset, ("test", "validation"), kind, seed, notes)
    _note_gaps(dataset, parts, notes)
    split = pd.Series(parts, name="split")
    split.attrs = {"kind": kind, "notes": notes}
    return split


def parse_fold(kind: str) -> tuple[int, int] | None:
    """Which fold of how many a kind of split names.

    Args:
        kind: Of `make_split`.

    Returns:
        `(2, 5)` for `"fold-2-of-5"`, `None` for what names no fold.

    Raises:
        UserError: For a fold that there can't be.
    """
    if not kind.startswith("fold"):
        return None
    numbers = re.fullmatch(r"fold-([1-9][0-9]*)-of-([1-9][0-9]*)", kind)
    fold, count = map(int, numbers.groups()) if numbers else (0, 0)
    if not (1 <= fold <= count and count >= 2):
        raise UserError(
            "A fold is fold-K-of-N: N is 2 or more and K one of 1 to N, such "
            f"as fold-2-of-5. Received: {kind}."
        )
    return fold, count


def default_kind(dataset: Dataset) -> str:
    """The kind of split that `make_split` takes if none is asked for."""
    if split := find_spec(dataset.name).split:
        return split
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
            f"The data set {dataset.name} does not know who is on every image."
        )
    subjects, parts = dataset.manifest["subject"].to_numpy(), np.asarray(split)
    return sorted(set(subjects[parts == one]) & set(subjects[parts == other]))


def write_split(
    path: str | os.PathLike, dataset: Dataset, split: pd.Series
) -> None:
    """Write a split as CSV, one line an image, all of it or nothing."""
    table = dataset.manifest.assign(split=np.asarray(split))
    write_table(path, table)


def read_split(path: str | os.PathLike, dataset: Dataset) -> pd.Series:
    """Read what `write_split` wrote, in the order of the manifest.

    Raises:
        UserError: If the file is no split, or not of these images.
    """
    table = read_split_table(path)
    ours = dataset.manifest.set_index("path")["label"]
    # Written on Windows, where no name has a backslash in it.
    table["path"] = [
        name if name in ours.index else name.replace("\\", "/")
        for name in table["path"]
    ]
    theirs = table.set_index("path")["label"]
    both = ours.index.intersection(theirs.index)
    different = ours[both].map(same_word) != theirs[both].map(same_word)
    changed = both[different.to_numpy()]
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
            "A split names exactly the images of the data set with their "
            f"labels. Received in {os.fspath(path)}: {'; '.join(problems)}."
        )
    parts = table.set_index("path")["split"].loc[dataset.manifest["path"]]
    split = pd.Series(parts.to_numpy(), name="split")
    split.attrs = {"kind": None, "notes": []}
    return split


def read_split_table(path: str | os.PathLike) -> pd.DataFrame:
    """Read what `write_split` wrote, whatever images it is of.

    Raises:
        UserError: If the file is no split.
    """
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
            "A split names every image once, as train, validation, test or "
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
            "A given split says train, validation or test of every image. "
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
        images = dataset.select(train)
        kind = "subject" if images.has_subjects else "paper"
        parts[train] = _hold_out(images, lacking, kind, seed, notes)
        notes.append(
            f"The set comes without a part for {' and '.join(lacking)}; each "
            "is a tenth of the training part, "
            + ("by person." if kind == "subject" else "stratified by class.")
        )
    return parts


def _fold(
    dataset: Dataset, fold: int, count: int, seed: int, notes: list[str]
) -> np.ndarray:
    """The parts where one of `count` folds is the test part."""
    kind = "subject" if dataset.has_subjects else "paper"
    if kind == "subject":
        folds = _folds_of_people(dataset, count, seed)
    else:
        folds = _folds_of_images(dataset, count, seed)
        notes.append(
            "Who is on the images is not known: the folds are of images, "
            "and one person may stand in several."
        )
    if "split" in dataset.manifest:
        notes.append(
            "The folds are of all images, however the set was published "
            "divided."
        )
    parts = np.full(len(dataset), "test", object)
    others = folds != fold - 1
    images = dataset.select(others)
    parts[others] = _hold_out(images, ("validation",), kind, seed, notes)
    return parts


def _folds_of_people(dataset: Dataset, count: int, seed: int) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    labels = dataset.labels
    subjects = dataset.manifest["subject"]
    people = subjects.nunique()
    # One to train on and one to validate stand outside of every fold.
    least = max(count, 4 if count == 2 else 3)
    if people < least:
        raise UserError(
            f"{count} folds by person need at least {least} people. "
            f"Received: {people}."
        )
    _check_commonest_class(labels, count)
    return _deal(
        StratifiedGroupKFold(count, shuffle=True, random_state=seed),
        labels,
        pd.factorize(subjects, sort=True)[0],
    )


def _folds_of_images(dataset: Dataset, count: int, seed: int) -> np.ndarray:
    from sklearn.model_selection import StratifiedKFold

    _check_commonest_class(dataset.labels, count)
    return _deal(
        StratifiedKFold(count, shuffle=True, random_state=seed), dataset.labels
    )


def _check_commonest_class(labels: np.ndarray, count: int) -> None:
    most = np.bincount(labels).max()
    if most < count:
        raise UserError(
            f"{count} folds need a class with at least {count} images. "
            f"Received at most: {most}."
        )


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
            f"A split has images for train, {' and '.join(names)}. "
            f"Received: {len(dataset)} images, which are too few."
        )
    return parts


def _stratified_folds(
    dataset: Dataset, seed: int, notes: list[str]
) -> np.ndarray:
    """Ten folds of the same size to within one, in all and in each class.

    2,936 images have two folds of 294 and leave 2,348. Classes of one or two
    images are in no fold (-1).
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
        folds[dealt] = _deal(splitter, labels[dealt])
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
            f"images. Received at most: {most}."
        )
    splitter = StratifiedGroupKFold(
        min(_FOLDS, people, most), shuffle=True, random_state=seed
    )
    return _deal(splitter, labels, subjects)


def _deal(
    splitter: BaseCrossValidator,
    labels: np.ndarray,
    subjects: np.ndarray | None = None,
) -> np.ndarray:
    """The index of every image's fold."""
    folds = np.empty(len(labels), int)
    with warnings.catch_warnings():
        # Of classes with fewer images than there are folds.
        warnings.simplefilter("ignore", UserWarning)
        dealt = splitter.split(labels, labels, subjects)
        for fold, (_, rows) in enumerate(dealt):
            folds[rows] = fold
    return folds


def _choose_folds(
    folds: np.ndarray, labels: np.ndarray, held_out: int
) -> tuple[int, ...]:
    """The first folds that leave an image of every class to train on.

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
            notes.append(f"No image of {', '.join(gaps)} in {part}.")


def spread_rows(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Row numbers of a stratified sample, in ascending order."""
    rows = np.random.default_rng(seed).permutation(len(labels))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    places = (np.arange(count) + 0.5) * len(rows) / count
    return np.sort(rows[places.astype(int)])
