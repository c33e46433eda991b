"""Duplicates, people in two parts, and what a cleaned split leaves."""

import itertools
import json

import cv2
import numpy as np
import pandas as pd
import pytest

from kerafer.cli import main
from kerafer.data import load, make_split, read_split
from kerafer.data.audit import audit
from kerafer.data.perceptual_hash import (
    near_pairs,
    perceptual_hash,
    thumbnail,
)
from kerafer.data.splits import UNUSED


def drawn(count, size=96, people=8):
    """Drawn faces, all different."""
    dataset = load("synthetic", people=people, angles=("S",), image_size=size)
    paths = dataset.manifest["path"][:count]
    return [dataset.read_image(path) for path in paths]


def save(file, image, quality=95):
    file.parent.mkdir(parents=True, exist_ok=True)
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality] * (file.suffix == ".jpg")
    cv2.imwrite(str(file), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)


@pytest.fixture(scope="module")
def faces():
    return drawn(56)


@pytest.fixture
def folder(tmp_path, faces):
    """Two classes in three parts, with flaws of every kind put in."""
    root = tmp_path / "set"
    rest = iter(faces[10:])
    for part, label in itertools.product(
        ("train", "validation", "test"), ("happy", "sad")
    ):
        for number in range(4):
            save(root / part / label / f"{number}.png", next(rest))
    one, two, three, four = faces[:4]
    save(root / "train" / "happy" / "one.png", one)
    save(root / "test" / "happy" / "one-again.png", one)
    save(root / "train" / "sad" / "two.png", two)
    save(root / "train" / "sad" / "two-saved-anew.jpg", two, 60)
    small = cv2.resize(two, (64, 64), interpolation=cv2.INTER_AREA)
    save(root / "validation" / "sad" / "two-small.png", small)
    save(root / "train" / "happy" / "three.png", three)
    save(root / "test" / "happy" / "three-mirrored.png", three[:, ::-1])
    save(root / "train" / "happy" / "four.png", four)
    save(root / "train" / "sad" / "four-is-sad.png", four)
    (root / "train" / "sad" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    return root


def of(root):
    dataset = load("folder", str(root))
    split = make_split(dataset, "given")
    return dataset, split


def test_the_search_finds_what_trying_all_pairs_finds():
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**63, 700, np.uint64)
    # Some near ones, across the borders of the blocks that are searched.
    for row in range(0, 300, 7):
        near = hashes[row]
        for bit in generator.choice(64, row % 9, replace=False):
            near ^= np.uint64(1) << np.uint64(bit)
        hashes[row + 300] = near
    expected = {
        (a, b, bin(int(hashes[a]) ^ int(hashes[b])).count("1"))
        for a, b in itertools.combinations(range(700), 2)
    }
    expected = {found for found in expected if found[2] <= 5}
    assert len(expected) > 20
    found = zip(*near_pairs(hashes, hashes, 5), strict=True)
    assert {tuple(map(int, pair)) for pair in found} == expected


def test_the_hash_is_that_of_the_cosine_transform(faces):
    """Against SciPy's transform and a loop over the bits."""
    from scipy.fft import dctn

    thumb = thumbnail(faces[0])
    low = dctn(thumb.astype(float), norm="ortho")[:8, :8].ravel()
    expected = (low > np.median(low[1:])).astype(int)
    bits = np.unpackbits(np.array([perceptual_hash(thumb)]).view(np.uint8))
    assert (bits == expected).mean() > 0.98


def test_groups_are_those_that_were_put_in(folder):
    dataset, split = of(folder)
    found = audit(dataset, split)
    groups = {
        frozenset(path.rsplit("/", 1)[1] for path in rows["path"]): rows
        for _, rows in found.duplicates.groupby("group")
    }
    assert set(groups) == {
        frozenset({"one.png", "one-again.png"}),
        frozenset({"two.png", "two-saved-anew.jpg", "two-small.png"}),
        frozenset({"three.png", "three-mirrored.png"}),
        frozenset({"four.png", "four-is-sad.png"}),
    }
    kinds = {min(names): set(rows["kind"]) for names, rows in groups.items()}
    assert kinds["one-again.png"] == {"exact"}
    assert kinds["two-saved-anew.jpg"] == {"near"}
    assert kinds["three-mirrored.png"] == {"mirrored"}
    assert found.crossing["group"].nunique() == 3
    assert set(found.contradictory["label"]) == {"happy", "sad"}
    assert len(found.contradictory) == 2
    assert found.left_out["path"].str.contains("cut").tolist() == [True]
    assert (found.smallest, found.largest) == ((64, 64), (96, 96))
    assert found.balance.loc["happy"].tolist() == [7, 4, 6]


def test_a_clean_split_has_no_picture_twice(folder):
    dataset, split = of(folder)
    clean = audit(dataset, split).cleaned()
    paths = dataset.manifest["path"].str.rsplit("/").str[-1]
    unused = set(paths[(clean == UNUSED).to_numpy()])
    # The test's copy stays, validation's before training's; both of the pair
    # with different labels go.
    assert unused == {
        *("one.png", "two.png", "two-saved-anew.jpg", "three.png"),
        *("four.png", "four-is-sad.png"),
    }
    keep = (clean != UNUSED).to_numpy()
    again = audit(dataset.select(keep), clean[keep].reset_index(drop=True))
    assert again.duplicates.empty


def test_different_faces_are_not_called_the_same():
    """Every drawn face: 70 people with one look, seven expressions each."""
    dataset = load("synthetic", people=30, angles=("S",), image_size=64)
    split = make_split(dataset, "subject")
    found = audit(dataset, split)
    assert len(dataset) == 420
    assert len(found.duplicates) <= 4
    assert not any(found.shared_people.values())


def test_people_in_two_parts_are_named():
    dataset = load("synthetic", people=6, angles=("S",), image_size=32)
    split = make_split(dataset, "paper")
    found = audit(dataset, split)
    subjects = dataset.manifest["subject"].to_numpy()
    for pair, people in found.shared_people.items():
        one, other = (
            set(subjects[(split == part).to_numpy()]) for part in pair
        )
        assert set(people) == one & other
    assert found.shared_people["train", "test"]


def test_the_command_writes_what_train_takes(folder, tmp_path, capfd):
    out, clean = tmp_path / "out", tmp_path / "clean.csv"
    words = ["audit", "--dataset", "folder", "--data-dir", str(folder)]
    words += ["--split", "given"]
    assert main([*words, "--out", str(out), "--clean", str(clean)]) == 0
    told = capfd.readouterr().err
    assert "3 groups of equal or nearly equal pictures stand in" in told
    assert "6 pictures are out of use" in told
    files = {file.name for file in out.iterdir()}
    assert files == {
        *("audit.md", "audit.json", "duplicates.csv", "duplicates.png"),
    }
    facts = json.loads((out / "audit.json").read_text())
    assert facts["duplicate_groups"] == 4
    assert facts["test_pictures_seen_elsewhere"] == 2
    assert str(tmp_path) not in (out / "audit.md").read_text("utf-8")
    assert len(pd.read_csv(out / "duplicates.csv")) == 9
    dataset = load("folder", str(folder))
    split = read_split(clean, dataset)
    assert (split == UNUSED).sum() == 6
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert main([*words, "--out", str(out)]) == 0
    after = {file.name: file.read_bytes() for file in out.iterdir()}
    assert after == before
    capfd.readouterr()
    assert main([*words, "--out", str(out), "--split", str(clean)]) == 0
    assert "stand in more than one part" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "words, told",
    [
        (["--near", "40"], "--near is 0 to 16"),
        (["--clean", "clean.txt"], "--clean is a .csv file"),
        (["--out", "a-file"], "--out is a folder"),
        (["--dataset", "nothing"], "A data set is one of"),
        (["--dataset", "folder", "--data-dir", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_of_the_user(words, told, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    assert main(["audit", *words]) == 2
    error = capfd.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert [f.name for f in tmp_path.iterdir()] == ["a-file"]
