"""Splits: sizes, who stands where, and files that fit the images."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from kerafer.datasets import Dataset, make_split, read_split, write_split
from kerafer.datasets.splits import default_kind, shared_subjects
from kerafer.errors import UserError

NAMES = ("angry", "bored", "calm")


def make(labels, subjects=None, split=None, name="own", class_names=NAMES):
    manifest = pd.DataFrame(
        {
            "path": [f"p{i:05}.jpg" for i in range(len(labels))],
            "label": [class_names[i] for i in labels],
        }
    )
    if subjects is not None:
        manifest["subject"] = subjects
    if split is not None:
        manifest["split"] = split
    return Dataset(name, manifest, class_names)


def people(count=20, each=6):
    """Everybody with every class, `each` times."""
    labels = np.tile(np.repeat(range(3), each), count)
    subjects = np.repeat([f"F{i:02}" for i in range(count)], 3 * each)
    return make(labels, subjects)


def table(dataset, split):
    """Images by part and class."""
    return pd.crosstab(np.asarray(split), dataset.manifest["label"].to_numpy())


def kdef():
    """The rows of KDEF's three angles, less four: 2,936."""
    rows = [
        (label, f"{sex}{number:02}")
        for sex in "FM"
        for number in range(1, 36)
        for _ in range(2 * 3)
        for label in range(7)
    ]
    for row in (5, 1000, 1001, 2900):
        rows[row] = None
    labels, subjects = zip(*filter(None, rows), strict=True)
    return make(labels, subjects, name="kdef", class_names=tuple("abcdefg"))


def test_split_of_the_article():
    dataset = kdef()
    assert len(dataset) == 2936
    split = make_split(dataset)
    assert split.attrs["kind"] == "paper"
    assert split.value_counts().to_dict() == {
        "train": 2348,
        "validation": 294,
        "test": 294,
    }
    counts = table(dataset, split)
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 2
    # The reason why this split flatters: who is tested was trained on.
    tested = dataset.manifest["subject"][split == "test"]
    assert shared_subjects(dataset, split) == sorted(set(tested))
    assert len(set(tested)) > 60


def test_nobody_in_two_parts():
    for dataset in (kdef(), people()):
        split = make_split(dataset, "subject")
        assert split.attrs["kind"] == "subject"
        for pair in (
            ("train", "test"),
            ("train", "validation"),
            ("validation", "test"),
        ):
            assert shared_subjects(dataset, split, *pair) == []
        shares = split.value_counts(normalize=True)
        assert abs(shares["train"] - 0.8) < 0.02
        assert abs(shares["test"] - 0.1) < 0.02
        by_class = table(dataset, split).loc["test"]
        assert by_class.max() - by_class.min() <= 3
        assert split.attrs["notes"] == []


def test_default_kinds():
    assert default_kind(kdef()) == "paper"
    known = people()
    assert default_kind(known) == "subject"
    given = ["train"] * len(known)
    assert default_kind(make(known.labels, split=given)) == "given"
    some = known.manifest["subject"].where(known.labels > 0)
    assert default_kind(make(known.labels, some, given)) == "given"
    assert default_kind(make(known.labels, some)) == "paper"


def test_unknown_or_impossible_kinds():
    dataset = make([0, 1] * 20)
    for kind, message in (
        ("random", "random"),
        ("subject", "`subject_pattern`"),
        ("given", "paper or subject"),
    ):
        with pytest.raises(UserError, match=message):
            make_split(dataset, kind)


@pytest.mark.parametrize("count", [1, 2])
def test_few_people(count):
    with pytest.raises(UserError, match=rf"3 subjects.* {count}"):
        make_split(people(count), "subject")


@pytest.mark.parametrize("count", [3, 4, 9, 11])
def test_enough_people(count):
    dataset = people(count, each=2)
    split = make_split(dataset, "subject")
    assert set(split) == {"train", "validation", "test"}
    assert shared_subjects(dataset, split) == []


def test_class_of_one_person_is_trained_on():
    for seed in range(10):
        labels = np.tile([0, 0, 1, 1], 12)
        labels[4 * seed] = 2
        dataset = make(labels, np.repeat([f"F{i}" for i in range(12)], 4))
        split = make_split(dataset, "subject", seed)
        assert split[4 * seed] == "train"
        assert "No image of calm in test." in split.attrs["notes"]
    alone = make([0] * 9 + [1, 2, 1], ["a"] * 9 + ["b", "c", "b"])
    gaps = [n for n in make_split(alone).attrs["notes"] if "in train" in n]
    assert len(gaps) == 1


def test_rare_classes_are_trained_on():
    dataset = make([0] * 60 + [1] * 2 + [2])
    for seed in range(20):
        split = make_split(dataset, "paper", seed)
        assert set(split[60:]) == {"train"}
    notes = split.attrs["notes"]
    assert "Of bored there is too little to divide: 2, all in train." in notes
    assert "Of calm there is too little to divide: 1, all in train." in notes
    assert "No image of bored, calm in test." in notes
    three = make([0] * 60 + [1] * 3)
    for seed in range(20):
        assert "train" in set(make_split(three, "paper", seed)[60:])


def test_too_few_pictures():
    for labels in ([0], [0, 1], [0, 0, 1, 1]):
        with pytest.raises(UserError, match="too few"):
            make_split(make(labels), "paper")
    assert set(make_split(make([0, 0, 0]), "paper")) == {
        "train",
        "validation",
        "test",
    }
    with pytest.raises(UserError, match=r"3 images.*1"):
        make_split(make([0, 1, 2], ["a", "b", "c"]), "subject")


def test_given_split_is_kept():
    given = (["train"] * 5 + ["validation"] * 2 + ["test"] * 3) * 3
    dataset = make([0, 1, 2] * 10, split=given)
    split = make_split(dataset)
    assert list(split) == given
    assert split.attrs["kind"] == "given"
    assert split.attrs["notes"] == []


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "lacking", [("validation",), ("test",), ("test", "validation")]
)
def test_given_split_is_completed_from_its_training_part(known, lacking):
    whole = people(20)
    published = np.full(len(whole), "train", object)
    for i, part in enumerate(("validation", "test")):
        if part not in lacking:
            published[i * 36 : i * 36 + 36] = part
    subjects = whole.manifest["subject"] if known else None
    dataset = make(whole.labels, subjects, published)
    split = make_split(dataset, "given").to_numpy()
    kept = published != "train"
    np.testing.assert_array_equal(split[kept], published[kept])
    train = (published == "train").sum()
    for part in lacking:
        assert abs((split == part).sum() - train / 10) <= 18
        if known:
            assert shared_subjects(dataset, split, "train", part) == []
        else:
            by_class = table(dataset, split).loc[part]
            assert by_class.max() - by_class.min() <= 2
    notes = make_split(dataset, "given").attrs["notes"]
    assert len(notes) == 1
    assert " and ".join(lacking) in notes[0]
    assert ("by subject" in notes[0]) == known


def test_given_split_without_training_part():
    dataset = make([0, 1], split=["test", "validation"])
    with pytest.raises(UserError, match=r"train.*test, validation"):
        make_split(dataset)
    wrong = make([0, 1], split=["train", "private"])
    with pytest.raises(UserError, match="private"):
        make_split(wrong)


def all_folds(dataset, count, seed=0):
    return [
        make_split(dataset, f"fold-{fold}-of-{count}", seed)
        for fold in range(1, count + 1)
    ]


def uneven():
    """Eleven people with 1 to 40 images each."""
    generator = np.random.default_rng(5)
    sizes = generator.integers(1, 41, 11)
    labels = generator.integers(0, 3, sizes.sum())
    return make(labels, np.repeat(list("abcdefghijk"), sizes))


@pytest.mark.parametrize("count", [2, 5, 11])
@pytest.mark.parametrize("made", [people, uneven])
def test_folds_test_every_picture_once_and_nobody_is_in_two_parts(made, count):
    dataset = made()
    folds = all_folds(dataset, count)
    tested = np.stack([split == "test" for split in folds])
    np.testing.assert_array_equal(tested.sum(axis=0), 1)
    assert tested.any(axis=1).all()
    for fold, split in enumerate(folds, start=1):
        assert split.attrs["kind"] == f"fold-{fold}-of-{count}"
        assert set(split) == {"train", "validation", "test"}
        parts = split.groupby(dataset.manifest["subject"]).nunique()
        assert (parts == 1).all()
        assert (split == "train").sum() > (split == "validation").sum()
    # Nobody is tested in two folds.
    who = [set(dataset.manifest["subject"][split == "test"]) for split in folds]
    assert sum(map(len, who)) == len(set.union(*who))


def test_folds_are_even_in_size_and_classes():
    dataset = kdef()
    for split in all_folds(dataset, 5):
        shares = split.value_counts(normalize=True)
        assert abs(shares["test"] - 1 / 5) < 0.005
        assert abs(shares["validation"] - 0.8 / 10) < 0.02
        by_class = table(dataset, split).loc["test"]
        assert by_class.max() - by_class.min() <= 3
        assert split.attrs["notes"] == []


def test_folds_of_unknown_people_are_of_pictures_and_told():
    labels = [0] * 60 + [1] * 21 + [2] * 2
    dataset = make(labels, split=["train"] * 70 + ["test"] * 13)
    folds = all_folds(dataset, 3)
    tested = np.stack([split == "test" for split in folds])
    np.testing.assert_array_equal(tested.sum(axis=0), 1)
    for split in folds:
        counts = table(dataset, split).loc["test"]
        assert counts["angry"] == 20 and counts["bored"] == 7
        told = " ".join(split.attrs["notes"])
        assert "subjects are unknown" in told
        assert "however the set was published" in told


def test_the_seed_says_which_fold_is_which():
    first = all_folds(people(), 5, seed=1)
    for one, again, other in zip(
        first, all_folds(people(), 5, 1), all_folds(people(), 5, 2), strict=True
    ):
        assert one.equals(again)
        assert not one.equals(other)


@pytest.mark.parametrize(
    "kind",
    [
        "fold-6-of-5",
        "fold-0-of-5",
        "fold-1-of-1",
        "fold-1-of-0",
        "fold-2",
        "fold-2-of-five",
        "fold-02-of-5",
        "fold-2-of-5 ",
        "fold-\u0662-of-5",
        "fold--1-of-5",
    ],
)
def test_folds_that_there_can_not_be(kind):
    with pytest.raises(UserError, match=re.escape(kind)):
        make_split(people(), kind)
    with pytest.raises(UserError, match="fold-K-of-N"):
        make_split(people(), "leave-one-out")


@pytest.mark.parametrize(
    ("dataset", "kind", "message"),
    [
        (people(4), "fold-1-of-5", "5 subjects.*4"),
        (people(3), "fold-1-of-2", "4 subjects.*3"),
        (
            make([0, 1, 2] * 2, list("abcdef")),
            "fold-1-of-4",
            "4 images.*2",
        ),
        (
            make([0, 1, 2, 2]),
            "fold-1-of-3",
            "3 images.*2",
        ),
    ],
)
def test_too_few_for_so_many_folds(dataset, kind, message):
    with pytest.raises(UserError, match=message):
        make_split(dataset, kind)


def with_odd_names():
    dataset = people(4)
    manifest = dataset.manifest.copy()
    manifest.loc[0, "path"] = 'ü/王 "a", b.jpg'
    manifest.loc[1, "path"] = "NA"
    manifest.loc[2, "path"] = "not utf-8 \udcff.jpg"
    return dataclasses.replace(dataset, manifest=manifest)


def test_split_survives_its_file(tmp_path):
    dataset = with_odd_names()
    split = make_split(dataset)
    path = tmp_path / "new" / "split.csv"
    write_split(path, dataset, split)
    assert list(read_split(path, dataset)) == list(split)
    assert [p.name for p in path.parent.iterdir()] == ["split.csv"]
    # In the order of the manifest, whatever the order of the file.
    order = np.random.default_rng(0).permutation(len(dataset))
    assert list(read_split(path, dataset.select(order))) == list(split[order])
    head = path.read_bytes().splitlines()[0].decode()
    assert head == "path,label,subject,split"


def test_split_of_other_pictures_is_refused(tmp_path):
    dataset, path = people(), tmp_path / "split.csv"
    write_split(path, dataset, make_split(dataset))
    manifest = dataset.manifest.copy()
    manifest.loc[0, "label"] = "calm"
    manifest.loc[[4, 5], "path"] = ["new1.jpg", "new2.jpg"]
    other = dataclasses.replace(dataset, manifest=manifest)
    with pytest.raises(UserError) as raised:
        read_split(path, other)
    message = str(raised.value)
    assert "2 of the set not in the file, such as new1.jpg, new2.jpg" in message
    assert "2 of the file not in the set, such as p00004.jpg" in message
    assert "1 with another label, such as p00000.jpg" in message
    with pytest.raises(UserError, match="354 of the file not in the set"):
        read_split(path, dataset.select(np.arange(6)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\np00000.jpg,angry\n", "split"),
        ("path,label,split\np00000.jpg,angry,dev\n", "dev"),
        ("path,label,split\n" + "p00000.jpg,angry,train\n" * 2, "p00000"),
        ("", "CSV"),
        (None, "CSV"),
    ],
)
def test_what_is_no_split_is_refused(tmp_path, text, message):
    path = tmp_path / "split.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_split(path, make([0]))
