"""Duplicates, people in two parts, and what a cleaned split leaves."""

import dataclasses
import itertools
import json
import os

import cv2
import numpy as np
import pandas as pd
import pytest

from kerafer.cli import main
from kerafer.datasets import load, make_split, read_split
from kerafer.datasets.audit import audit
from kerafer.datasets.duplicates import (
    MAX_DIFFERENCE,
    MAX_HASH_DISTANCE,
    MIRROR,
    difference,
    near_pairs,
    perceptual_hash,
    thumbnail,
)
from kerafer.datasets.splits import UNUSED
from kerafer.datasets.synthetic.action_units import (
    PROTOTYPES,
    draw_action_units,
)
from kerafer.datasets.synthetic.head import Pose
from kerafer.datasets.synthetic.renderer import render_face
from kerafer.datasets.synthetic.subject import draw_subject


def drawn(count, size=96, people=8):
    """Synthetic faces, all different."""
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
    found = list(near_pairs(hashes, hashes, 0, 5, np.arange(700)))
    assert len(found) == len(set(found))
    assert set(found) == expected
    # Of one group they need not be told.
    groups = np.arange(len(hashes)) % 2
    told = set(near_pairs(hashes, hashes, 2, 5, groups))
    assert told == {x for x in expected if x[2] >= 2 and (x[0] + x[1]) % 2}


def test_the_hash_is_that_of_the_cosine_transform(faces):
    """Against SciPy's transform, of the image and of its mirror."""
    from scipy.fft import dctn

    for face in faces[:20]:
        thumb = thumbnail(face)
        for turned, hashed in (
            (thumb, perceptual_hash(thumb)),
            (thumb[:, ::-1], perceptual_hash(thumb) ^ MIRROR),
        ):
            low = dctn(turned.astype(float), norm="ortho")[1:9, 1:9].ravel()
            bits = np.unpackbits(np.array([hashed]).view(np.uint8))
            clear = np.abs(low) > 1e-2
            assert clear.sum() > 50
            np.testing.assert_array_equal(bits[clear], low[clear] > 0)


def test_copies_differ_little_and_faces_much(faces):
    one = faces[0]
    thumb = thumbnail(one)
    assert difference(thumb, thumb) < 1e-3
    saved = cv2.imdecode(cv2.imencode(".jpg", one, [1, 40])[1], 1)
    darker = (one * 0.8).astype(np.uint8)
    cut = one[2:-2, 2:-2]
    for copy in (saved, darker, cut):
        assert difference(thumb, thumbnail(copy)) < MAX_DIFFERENCE
    for other in faces[1:20]:
        assert difference(thumb, thumbnail(other)) > 2 * MAX_DIFFERENCE


def test_another_expression_in_the_same_scene_is_another_image():
    """As in a laboratory: camera, light and person stay, the face moves."""
    called = pairs = 0
    for number in range(12):
        subject = draw_subject(f"{'FM'[number % 2]}{number // 2 + 1:02}")
        thumbs = []
        for name in PROTOTYPES:
            generator = np.random.default_rng(number)
            pose = Pose(*generator.uniform(-4, 4, 3), 1.0, 0.0, 0.0)
            units = draw_action_units(name, 0.9, np.random.default_rng(0))
            image = render_face(subject, units, pose, generator, (128, 128))
            thumbs.append(thumbnail(image))
        for one, other in itertools.combinations(thumbs, 2):
            apart = int(perceptual_hash(one) ^ perceptual_hash(other))
            pairs += 1
            called += (
                apart.bit_count() <= MAX_HASH_DISTANCE
                and difference(one, other) <= MAX_DIFFERENCE
            )
    assert pairs == 12 * 21
    assert called <= 0.02 * pairs


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
    assert found.skipped_files["path"].str.contains("cut").tolist() == [True]
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


def test_votes_of_other_people_on_the_same_picture_are_not_wrong(folder):
    dataset, split = of(folder)
    shares = {"prob:happy": 0.6, "prob:sad": 0.4}
    votes = dataclasses.replace(
        dataset, manifest=dataset.manifest.assign(**shares)
    )
    paths = dataset.manifest["path"].str.rsplit("/").str[-1]
    clean = audit(votes, split).cleaned()
    unused = set(paths[(clean == UNUSED).to_numpy()])
    # What both classes have of one picture stays, as both are of training.
    assert unused == {
        *("one.png", "two.png", "two-saved-anew.jpg", "three.png"),
    }
    split[paths == "four-is-sad.png"] = "test"
    clean = audit(votes, split).cleaned()
    assert clean[(paths == "four.png").to_numpy()].item() == UNUSED
    assert clean[(paths == "four-is-sad.png").to_numpy()].item() == "test"


def test_different_faces_are_not_called_the_same():
    """Every synthetic face: 70 people with one look, seven expressions each."""
    dataset = load("synthetic", people=30, angles=("S",), image_size=64)
    split = make_split(dataset, "subject")
    found = audit(dataset, split)
    assert len(dataset) == 420
    assert len(found.duplicates) <= 4
    assert not any(found.shared_subjects.values())


def test_people_in_two_parts_are_named():
    dataset = load("synthetic", people=6, angles=("S",), image_size=32)
    split = make_split(dataset, "paper")
    found = audit(dataset, split)
    subjects = dataset.manifest["subject"].to_numpy()
    for pair, people in found.shared_subjects.items():
        one, other = (
            set(subjects[(split == part).to_numpy()]) for part in pair
        )
        assert set(people) == one & other
    assert found.shared_subjects["train", "test"]


def test_the_command_writes_what_train_takes(folder, tmp_path, capfd):
    out, clean = tmp_path / "out", tmp_path / "clean.csv"
    words = ["audit", "--dataset", "folder", "--data-dir", str(folder)]
    words += ["--split", "given"]
    assert main([*words, "--out", str(out), "--clean", str(clean)]) == 0
    told = capfd.readouterr().err
    assert "3 groups of equal or nearly equal images are" in told
    assert "6 images are not used" in told
    files = {file.name for file in out.iterdir()}
    assert files == {
        *("audit.md", "audit.json", "duplicates.csv", "duplicates.png"),
    }
    facts = json.loads((out / "audit.json").read_text())
    assert facts["duplicate_groups"] == 4
    assert facts["n_test_images_seen_elsewhere"] == 2
    assert str(tmp_path) not in (out / "audit.md").read_text("utf-8")
    assert len(pd.read_csv(out / "duplicates.csv")) == 9
    dataset = load("folder", str(folder))
    split = read_split(clean, dataset)
    assert (split == UNUSED).sum() == 6
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert main([*words, "--out", str(out)]) == 2
    assert "--force" in capfd.readouterr().err
    words = [*words, "--force"]
    assert main([*words, "--out", str(out)]) == 0
    after = {file.name: file.read_bytes() for file in out.iterdir()}
    assert after == before
    capfd.readouterr()
    assert main([*words, "--out", str(out), "--split", str(clean)]) == 0
    assert "more than one part" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "words, told",
    [
        (["--max-hash-distance", "40"], "--max-hash-distance must be 0 to 16"),
        (["--clean", "clean.txt"], "clean.txt"),
        (["--out", "a-file"], "a-file"),
        (["--dataset", "nothing"], "Unknown data set"),
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


def test_no_file_is_written_over(tmp_path, capfd):
    """The split of a run would be lost to it otherwise."""
    split = tmp_path / "split.csv"
    split.write_text("precious")
    words = ["audit", "--split", str(split), "--clean", str(split)]
    assert main(words) == 2
    assert "--clean writes a new file" in capfd.readouterr().err
    assert split.read_text() == "precious"


def test_names_that_are_no_text(folder, tmp_path, faces):
    name = os.fsencode(folder / "test" / "sad") + b"/\xff.png"
    with open(name, "wb") as file:
        file.write(cv2.imencode(".png", faces[4])[1])
    save(folder / "train" / "sad" / "plain.png", faces[4])
    out = tmp_path / "out"
    words = ["audit", "--dataset", "folder", "--data-dir", str(folder)]
    assert main([*words, "--split", "given", "--out", str(out)]) == 0
    assert b"\xff.png" in (out / "duplicates.csv").read_bytes()
