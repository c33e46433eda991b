"""The drawn data set."""

import hashlib
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kerafer.datasets.kdef import ANGLES, CLASSES, read_kdef
from kerafer.datasets.synthetic import (
    ACTION_UNITS,
    PROTOTYPES,
    Scene,
    draw_action_units,
    draw_identity,
    load_synthetic,
    render_face,
    write_kdef_tree,
)
from kerafer.datasets.synthetic.features import brow_line, eye_lids, mouth_lines
from kerafer.errors import UserError

PATH = "BM02/BM02SUHR.JPG"
KDEF_NAME = re.compile(
    r"([AB])([FM])(\d\d)/\1\2\3(AF|AN|DI|HA|NE|SA|SU)(FL|HL|S|HR|FR)\.JPG"
)
PERSON = draw_identity("F03")


def digest(picture):
    return hashlib.sha256(picture.tobytes()).hexdigest()


def units(**given):
    shown = {int(name[2:]): value for name, value in given.items()}
    return {unit: shown.get(unit, 0.0) for unit in ACTION_UNITS}


def test_the_set_has_every_person_expression_session_and_angle():
    dataset = load_synthetic()
    manifest = dataset.manifest
    assert len(dataset) == 70 * 7 * 2 * 3
    assert dataset.class_names == tuple(CLASSES.values())
    assert dataset.has_subjects
    assert manifest["subject"].nunique() == 70
    assert set(manifest["subject"].str[0]) == {"F", "M"}
    groups = manifest.groupby(["subject", "session", "label", "angle"]).size()
    assert len(groups) == len(manifest)
    assert manifest["path"].map(KDEF_NAME.fullmatch).notna().all()
    assert set(dataset.labels) == set(range(7))


@pytest.mark.parametrize("people", [1, 2, 5])
def test_women_and_men_take_turns(people):
    subjects = load_synthetic(people, angles="S").manifest["subject"].unique()
    assert list(subjects) == ["F01", "M01", "F02", "M02", "F03"][:people]


def test_a_picture_is_rgb_of_the_size_that_was_asked_for():
    for size in (48, 224):
        picture = load_synthetic(2, image_size=size).read_image(
            "AF01/AF01HAS.JPG"
        )
        assert picture.shape == (size, size, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 10


def test_other_sizes_show_the_same_scene():
    large, small = (
        load_synthetic(image_size=size).read_image("AF05/AF05HAS.JPG")
        for size in (224, 56)
    )
    shrunk = cv2.resize(large, (56, 56), interpolation=cv2.INTER_AREA)
    same = np.corrcoef(shrunk.ravel(), small.ravel())[0, 1]
    other = load_synthetic(image_size=56).read_image("AF06/AF06HAS.JPG")
    assert same > 0.97
    assert np.corrcoef(shrunk.ravel(), other.ravel())[0, 1] < 0.9


def test_the_same_seed_draws_the_same_in_another_process():
    code = (
        "import hashlib;"
        "from kerafer.datasets.synthetic import load_synthetic;"
        f"image = load_synthetic(4, seed=3).read_image({PATH!r});"
        "print(hashlib.sha256(image.tobytes()).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "17"},
    ).stdout.strip()
    here = load_synthetic(70, seed=3).read_image(PATH)
    assert there == digest(here)
    assert digest(load_synthetic(4, seed=4).read_image(PATH)) != there


def test_threads_and_copies_draw_the_same():
    dataset = load_synthetic(4, image_size=64)
    paths = dataset.manifest["path"].tolist()
    alone = [digest(dataset.read_image(path)) for path in paths]
    read = pickle.loads(pickle.dumps(dataset.read))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: digest(read(path)), paths))
    assert together == alone
    assert len(set(alone)) == len(paths)


def test_importing_loads_no_tensorflow():
    code = (
        "import sys, kerafer.datasets.synthetic;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_person_stays_the_same_and_differs_from_others():
    assert draw_identity("F03") == PERSON
    assert draw_identity("F03", seed=1) != PERSON
    people = [draw_identity(f"{s}{i:02d}") for s in "FM" for i in range(1, 36)]
    assert len({(p.skin, p.face_width, p.nose_width) for p in people}) == 70
    assert {p.beard for p in people[:35]} == {"none"}
    assert len({p.beard for p in people[35:]}) > 2
    assert len({p.hair_style for p in people}) > 6
    assert 3 < sum(p.glasses is not None for p in people) < 35


def test_sessions_show_the_person_in_other_pictures():
    dataset = load_synthetic(2, image_size=64)
    first, second = (dataset.read_image(f"{s}F01/{s}F01NES.JPG") for s in "AB")
    assert not np.array_equal(first, second)


def test_brows_follow_their_units():
    def inner_and_outer(**given):
        line = brow_line(PERSON, units(**given), side=1)
        return np.array([line[0], line[-2]])

    rest = inner_and_outer()
    inner_raised = inner_and_outer(au1=1) - rest
    assert inner_raised[0, 1] < -0.1 < inner_raised[1, 1]
    outer_raised = inner_and_outer(au2=1) - rest
    assert outer_raised[1, 1] < -0.08 < outer_raised[0, 1]
    lowered = inner_and_outer(au4=1) - rest
    assert lowered[0, 1] > 0.08
    assert lowered[0, 0] < -0.03
    sad = inner_and_outer(au1=1, au4=1)
    assert sad[0, 1] < rest[0, 1]


def test_lids_follow_their_units():
    def opening(**given):
        upper, lower = eye_lids(PERSON, units(**given), side=-1)
        return (lower - upper)[7, 1]

    assert opening(au5=1) > 1.3 * opening()
    for unit in ("au6", "au7", "au9"):
        assert opening(**{unit: 1}) < 0.8 * opening()


def test_the_mouth_follows_its_units():
    def measure(**given):
        lines = mouth_lines(PERSON, units(**given))
        outer_top, inner_top, inner_bottom, outer_bottom = lines
        return {
            "corner": inner_top[0, 1] - inner_top[12, 1],
            "width": np.ptp(inner_top[:, 0]),
            "gap": (inner_bottom - inner_top)[12, 1],
            "lips": (inner_top - outer_top + outer_bottom - inner_bottom)[8, 1],
            "top": inner_top[12, 1],
        }

    rest = measure()
    assert measure(au12=1)["corner"] < rest["corner"] - 0.1
    assert measure(au12=1)["width"] > 1.2 * rest["width"]
    assert measure(au15=1)["corner"] > rest["corner"] + 0.08
    assert measure(au20=1)["width"] > 1.2 * rest["width"]
    assert measure(au24=1)["lips"] < 0.6 * rest["lips"]
    assert measure(au10=1)["top"] < rest["top"] - 0.04
    assert rest["gap"] == pytest.approx(0)
    assert measure(au25=1)["gap"] > 0.08
    assert measure(au26=1)["gap"] > 0.15


@pytest.mark.parametrize("unit", ACTION_UNITS)
@pytest.mark.parametrize("yaw", [0, 40, -80])
def test_every_unit_is_seen_at_every_angle(unit, yaw):
    rest = render_face(PERSON, {}, yaw).astype(int)
    shown = render_face(PERSON, {unit: 1.0}, yaw).astype(int)
    assert (np.abs(shown - rest).max(-1) > 30).sum() > 20


def test_a_dropped_jaw_opens_a_dark_mouth_and_lowers_the_chin():
    rest = render_face(PERSON)
    dropped = render_face(PERSON, {25: 1, 26: 1})
    columns = slice(100, 124)
    changed = np.abs(dropped.astype(int) - rest).max(-1)[:, columns] > 30
    rows = np.flatnonzero(changed.any(1))
    assert rows.min() > 90
    assert rows.max() > 185
    mouth = np.s_[150:185, columns]
    assert dropped[mouth].mean(-1).min() < rest[mouth].mean(-1).min() - 10


def test_below_zero_the_nose_points_to_the_left():
    def balance(yaw):
        bald = draw_identity("M03")
        picture = render_face(bald, {}, yaw, Scene(light=0))
        wall = np.abs(picture.astype(int) - picture[:1]).max(-1) < 12
        columns = np.flatnonzero(~wall[100:112].all(0))
        return columns.min() + columns.max() - 223

    assert balance(0) == pytest.approx(0, abs=4)
    assert balance(-80) == pytest.approx(-balance(80), abs=6)
    left, right = (render_face(PERSON, {}, yaw) for yaw in (-40, 40))
    assert not np.array_equal(left, right)


@pytest.mark.parametrize("expression", PROTOTYPES)
def test_expressions_are_their_prototypes(expression):
    rng = np.random.default_rng(0)
    drawn = draw_action_units(expression, 1.0, rng)
    strong = {unit for unit, value in drawn.items() if value > 0.35}
    allowed = set().union(*PROTOTYPES[expression])
    assert strong <= allowed
    assert bool(strong) == (expression != "neutral")
    weak = draw_action_units(expression, 0.0, rng)
    assert max(weak.values()) < 0.1


def test_the_tree_is_kdefs(tmp_path):
    count = write_kdef_tree(tmp_path, people=2, angles="FL,S")
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert count == len(files) == 2 * 2 * 7 * 2
    names = [p.relative_to(tmp_path).as_posix() for p in files]
    assert all(KDEF_NAME.fullmatch(name) for name in names)
    picture = cv2.imread(str(files[0]))
    assert picture.shape == (762, 562, 3)
    dataset = read_kdef(tmp_path, angles="all")
    drawn = load_synthetic(2, angles="FL,S").manifest
    columns = ["path", "label", "subject", "session", "angle"]
    assert sorted(dataset.manifest[columns].values.tolist()) == sorted(
        drawn[columns].values.tolist()
    )


def test_an_interrupted_tree_is_completed_with_the_same_bytes(tmp_path):
    options = {"people": 1, "angles": ["S"], "size": (56, 76)}
    write_kdef_tree(tmp_path, **options)
    files = sorted(tmp_path.rglob("*.JPG"))
    before = [file.read_bytes() for file in files]
    files[3].unlink()
    files[5].write_bytes(b"cut off")
    write_kdef_tree(tmp_path, **options)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == files
    assert [file.read_bytes() for file in files] == before


def test_raw_pixels_say_little_about_people_not_seen_before():
    dataset = load_synthetic(24, angles="S,HR", image_size=32)
    pictures = [dataset.read_image(p) for p in dataset.manifest["path"]]
    pixels = np.stack(pictures).mean(-1).reshape(len(dataset), -1)
    subjects = dataset.manifest["subject"]
    held_out = subjects.isin([f"{s}{i:02d}" for s in "FM" for i in (1, 2, 3)])
    scaler = StandardScaler().fit(pixels[~held_out])
    model = LogisticRegression(C=1e-3, max_iter=500)
    model.fit(scaler.transform(pixels[~held_out]), dataset.labels[~held_out])
    accuracy = model.score(
        scaler.transform(pixels[held_out]), dataset.labels[held_out]
    )
    assert 1.5 / 7 < accuracy < 0.6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_synthetic(0), "1 to 70 people. Received: 0"),
        (lambda: load_synthetic(71), "1 to 70 people. Received: 71"),
        (lambda: load_synthetic(seed=-1), "0 or more. Received: -1"),
        (lambda: load_synthetic(image_size=8), "16 or more .* Received: 8"),
        (lambda: load_synthetic(angles="S,X"), "Received: S,X"),
        (lambda: render_face(PERSON, {3: 1.0}), "Received: 3"),
        (lambda: render_face(PERSON, {}, 100), "Received: 100"),
        (
            lambda: draw_action_units("bored", 1, np.random.default_rng()),
            "Received: bored",
        ),
    ],
)
def test_mistakes_are_told(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_a_tree_is_not_written_over_a_file(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match="Received a file"):
        write_kdef_tree(file, people=1)


def test_all_angles_make_4900_pictures():
    assert len(load_synthetic(angles="all")) == 4900
    assert set(load_synthetic(1, angles=ANGLES).manifest["angle"]) == set(
        ANGLES
    )
