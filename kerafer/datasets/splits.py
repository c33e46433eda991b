"""Divide a data set into training, validation and test images."""

from __future__ import annotations

import itertools
import os
import re
import warnings

import numpy as np
import pandas as pd

from kerafer.class_names import same_word
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.specs import find_spec
from kerafer.errors import ConfigError, UserError, some_of
from kerafer.tables import read_table, write_table

PARTS = ("train", "validation", "test")
# Images of a split file that are in no part: see `kerafer audit --clean`.
UNUSED = "unused"
KINDS = ("paper", "subject", "given")

_FOLDS = 10
_RARE = 3


def make_split(
    dataset: Dataset, kind: str | None = None, seed: int = 0
) -> pd.Series:
    """Choose a part for every image.

    Args:
        dataset: The images.
        kind: `"paper"`: 8:1:1 over the images, stratified by class; subjects
            are in several parts. `"subject"`: about 8:1:1, no subject in two
            parts, the classes as even as that allows. `"given"`: as the set
            was published; a missing validation or test part is a tenth of the
            training part, by subject if those are known. `"fold-2-of-5"`: the
            second of five folds is tested, a tenth of the others validates;
            the folds contain every image once, and no subject is in two; if
            subjects are unknown they are stratified by class. Default:
            `"paper"` for KDEF, otherwise `"subject"` if subjects are known,
            `"given"` if the set was published divided, else `"paper"`.
        seed: Fixes what is drawn.

    Returns:
        A series `split` of `"train"`, `"validation"` and `"test"`, one value
        a row of the manifest. `attrs["kind"]` is the kind, `attrs["notes"]`
        are remarks, such as a class missing in a part.

    Raises:
        UserError: For an unknown kind, one that the set does not allow, or too
            few images or subjects.
    """
    kind = kind or default_kind(dataset)
    notes: list[str] = []
    if fold := parse_fold(kind):
        parts = _fold(dataset, *fold, seed, notes)
    elif kind == "given":
        parts = _given(dataset, seed, notes)
    elif kind not in KINDS:
        raise UserError(
            f"Unknown split {kind!r}. Choose one of {', '.join(KINDS)} or, for "
            "cross-validation, fold-K-of-N."
        )
    elif kind == "subject" and not dataset.has_subjects:
        raise ConfigError(
            f"The subjects of the data set {dataset.name} are unknown, so it "
            "cannot be split by subject. For your own images set "
            "`subject_pattern`, or add a column subject."
        )
    else:
        by_subject = kind == "subject"
        parts = _hold_out(
            dataset, ("test", "validation"), by_subject, seed, notes
        )
    labels = dataset.manifest["label"].to_numpy()
    for part in PARTS:
        there = set(labels[parts == part])
        gaps = [name for name in dataset.class_names if name not in there]
        if gaps:
            notes.append(f"No image of {', '.join(gaps)} in {part}.")
    split = pd.Series(parts, name="split")
    split.attrs = {"kind": kind, "notes": notes}
    return split


def parse_fold(kind: str) -> tuple[int, int] | None:
    """Return `(2, 5)` for `"fold-2-of-5"`, `None` for another kind of split.

    Raises:
        UserError: For an impossible fold.
    """
    if not kind.startswith("fold"):
        return None
    numbers = re.fullmatch(r"fold-([1-9][0-9]*)-of-([1-9][0-9]*)", kind)
    fold, count = map(int, numbers.groups()) if numbers else (0, 0)
    if not (1 <= fold <= count and count >= 2):
        raise UserError(
            f"Unknown split {kind!r}. A fold is fold-K-of-N, where N is 2 or "
            "more and K is 1 to N, such as fold-2-of-5."
        )
    return fold, count


def default_kind(dataset: Dataset) -> str:
    """Return the kind of split that `make_split` uses by default."""
    if split := find_spec(dataset.name).split:
        return split
    if dataset.has_subjects:
        return "subject"
    return "given" if "split" in dataset.manifest else "paper"


def shared_subjects(
    dataset: Dataset, split: pd.Series, one: str = "train", other: str = "test"
) -> list[str]:
    """Return the subjects who are in both of two parts, sorted.

    Raises:
        UserError: If the subjects are unknown.
    """
    if not dataset.has_subjects:
        raise UserError(f"The subjects of {dataset.name} are unknown.")
    subjects, parts = dataset.manifest["subject"].to_numpy(), np.asarray(split)
    return sorted(set(subjects[parts == one]) & set(subjects[parts == other]))


def write_split(
    path: str | os.PathLike, dataset: Dataset, split: pd.Series
) -> None:
    """Write a split as CSV, one line an image, all of it or nothing."""
    write_table(path, dataset.manifest.assign(split=np.asarray(split)))


def read_split(path: str | os.PathLike, dataset: Dataset) -> pd.Series:
    """Read what `write_split` wrote, in the order of the manifest.

    Raises:
        UserError: If the file is not a split of these images.
    """
    table = read_split_table(path)
    ours = dataset.manifest.set_index("path")["label"]
    # Written on Windows, where no name has a backslash in it.
    table["path"] = [
        name if name in ours.index else name.replace("\\", "/")
        for name in table["path"]
    ]
    table = table.set_index("path")
    both = ours.index.intersection(table.index)
    same = ours[both].map(same_word) == table["label"][both].map(same_word)
    problems = [
        f"{len(paths)} {what}, such as {some_of(list(paths), 3)}"
        for paths, what in (
            (ours.index.difference(table.index), "of the set not in the file"),
            (table.index.difference(ours.index), "of the file not in the set"),
            (both[~same.to_numpy()], "with another label"),
        )
        if len(paths)
    ]
    if problems:
        raise UserError(
            f"The split {os.fspath(path)} is not one of these images: "
            f"{'; '.join(problems)}."
        )
    split = pd.Series(table["split"].loc[ours.index].to_numpy(), name="split")
    split.attrs = {"kind": None, "notes": []}
    return split


def read_split_table(path: str | os.PathLike) -> pd.DataFrame:
    """Read what `write_split` wrote, of any images.

    Raises:
        UserError: If the file is not a split.
    """
    try:
        table = read_table(path)
        problems = [c for c in ("path", "label", "split") if c not in table]
        if not problems:
            unknown = set(table["split"]) - {*PARTS, UNUSED}
            twice = table["path"][table["path"].duplicated()]
            problems = [*sorted(unknown), *twice]
    except (ValueError, OSError) as error:
        problems = [str(error)]
    if problems:
        raise UserError(
            f"{os.fspath(path)} is not a split: {some_of(problems, 3)}. A "
            "split is a CSV file with the columns path, label and split, which "
            "names every image once, as train, validation, test or unused."
        )
    return table


def stratified_sample(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the indices of a stratified sample, in ascending order."""
    rows = np.random.default_rng(seed).permutation(len(labels))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    places = (np.arange(count) + 0.5) * len(rows) / count
    return np.sort(rows[places.astype(int)])


def _given(dataset: Dataset, seed: int, notes: list[str]) -> np.ndarray:
    if "split" not in dataset.manifest:
        raise UserError(
            f"The data set {dataset.name} has no split of its own. Use paper "
            "or subject."
        )
    parts = dataset.manifest["split"].to_numpy(object).copy()
    train = parts == "train"
    if not train.any() or not set(parts) <= set(PARTS):
        raise UserError(
            "A given split must have train, validation or test for every "
            "image, and images in train. Received: "
            f"{', '.join(sorted(map(str, set(parts))))}."
        )
    missing = tuple(p for p in ("test", "validation") if p not in set(parts))
    if missing:
        images = dataset.select(train)
        by_subject = images.has_subjects
        parts[train] = _hold_out(images, missing, by_subject, seed, notes)
        notes.append(
            f"The set has no part for {' and '.join(missing)}; each is a tenth "
            "of the training part, "
            f"{'by subject' if by_subject else 'stratified by class'}."
        )
    return parts


def _fold(
    dataset: Dataset, fold: int, count: int, seed: int, notes: list[str]
) -> np.ndarray:
    """Return the parts if one of `count` folds is the test part."""
    by_subject = dataset.has_subjects
    # One to train on and one to validate must be outside of every fold.
    _require(dataset, count, max(count, 4 if count == 2 else 3), by_subject)
    if not by_subject:
        notes.append(
            "The subjects are unknown: the folds are of images, and one "
            "subject may be in several."
        )
    if "split" in dataset.manifest:
        notes.append(
            "The folds are of all images, however the set was published "
            "divided."
        )
    others = _deal(dataset, count, by_subject, seed) != fold - 1
    images = dataset.select(others)
    parts = np.full(len(dataset), "test", object)
    parts[others] = _hold_out(images, ("validation",), by_subject, seed, notes)
    return parts


def _hold_out(
    dataset: Dataset,
    names: tuple[str, ...],
    by_subject: bool,
    seed: int,
    notes: list[str],
) -> np.ndarray:
    """Give a tenth to each of the names, and the rest to `"train"`."""
    labels = dataset.labels
    counts = np.bincount(labels, minlength=len(dataset.class_names))
    most = min(_FOLDS, counts.max())
    if by_subject:
        least = len(names) + 1
        _require(dataset, least, least, by_subject)
        most = min(most, dataset.manifest["subject"].nunique())
        folds = _deal(dataset, most, by_subject, seed)
        chosen = _choose_folds(folds, labels, len(names))
    else:
        # Ten folds of the same size to within one, in all and by class: 2,936
        # images have two of 294 and leave 2,348. Rare classes are in none.
        dealt = np.flatnonzero(counts[labels] >= _RARE)
        folds = np.full(len(labels), -1)
        if len(dealt):
            folds[dealt] = _deal(dataset.select(dealt), most, False, seed)
        chosen = tuple(range(len(names)))
        notes += [
            f"Of {name} there is too little to divide: {count}, all in train."
            for name, count in zip(dataset.class_names, counts, strict=True)
            if 0 < count < _RARE
        ]
    parts = np.full(len(dataset), "train", object)
    for fold, name in zip(chosen, names, strict=True):
        parts[folds == fold] = name
    if len(set(parts)) != len(names) + 1:
        raise UserError(
            f"{len(dataset)} images are too few for a split into train, "
            f"{' and '.join(names)}."
        )
    return parts


def _require(
    dataset: Dataset, n_images: int, n_subjects: int, by_subject: bool
) -> None:
    """Refuse a set with fewer subjects, or images of its largest class."""
    if by_subject and dataset.manifest["subject"].nunique() < n_subjects:
        raise UserError(
            f"This split needs at least {n_subjects} subjects. Received: "
            f"{dataset.manifest['subject'].nunique()}."
        )
    if (most := np.bincount(dataset.labels).max()) < n_images:
        raise UserError(
            f"This split needs a class with at least {n_images} images. "
            f"Received at most: {most}."
        )


def _deal(
    dataset: Dataset, count: int, by_subject: bool, seed: int
) -> np.ndarray:
    """Return the index of every image's fold, of `count` folds."""
    # scikit-learn takes a second to import.
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels, groups = dataset.labels, None
    kind = StratifiedGroupKFold if by_subject else StratifiedKFold
    if by_subject:
        groups = pd.factorize(dataset.manifest["subject"], sort=True)[0]
    splitter = kind(count, shuffle=True, random_state=seed)
    folds = np.empty(len(labels), int)
    with warnings.catch_warnings():
        # Of classes with fewer images than there are folds.
        warnings.simplefilter("ignore", UserWarning)
        dealt = splitter.split(labels, labels, groups)
        for fold, (_, rows) in enumerate(dealt):
            folds[rows] = fold
    return folds


def _choose_folds(
    folds: np.ndarray, labels: np.ndarray, held_out: int
) -> tuple[int, ...]:
    """Return the first folds that leave an image of every class to train on.

    Among those, the first that between them have the most classes themselves.
    """
    counts = np.zeros((folds.max() + 1, labels.max() + 1), int)
    np.add.at(counts, (folds, labels), 1)

    def score(chosen: tuple[int, ...]) -> tuple[int, int]:
        held = counts[list(chosen)]
        left = counts.sum(axis=0) - held.sum(axis=0)
        return np.count_nonzero(left), np.count_nonzero(held)

    return max(itertools.permutations(range(len(counts)), held_out), key=score)
