"""The drawn dataset."""

import hashlib
import re
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
from keras import layers
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kerafer.datasets.kdef import ANGLES, CLASSES, read_kdef
from kerafer.datasets.synthetic import (
    draw_image,
    load_synthetic,
    write_kdef_tree,
)
from kerafer.datasets.synthetic.action_units import PROTOTYPES
from kerafer.datasets.synthetic.face import mouth_lines
from kerafer.datasets.synthetic.subject import draw_subject
from kerafer.errors import UserError
from kerafer.faces import make_detector

PATH = "BM02/BM02SUHR.JPG"
KDEF_NAME = re.compile(
    r"([AB])([FM])(\d\d)/\1\2\3(AF|AN|DI|HA|NE|SA|SU)(FL|HL|S|HR|FR)\.JPG"
)
SUBJECT = draw_subject("F03")
UNITS = sorted(set().union(*PROTOTYPES.values()))


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


def shown(**intensities):
    given = {int(name[2:]): value for name, value in intensities.items()}
    return dict.fromkeys(UNITS, 0.0) | given


def test_the_set_has_every_subject_expression_session_and_angle():
    dataset = load_synthetic(angles="all")
    manifest = dataset.manifest
    assert len(dataset) == 70 * 7 * 2 * 5
    assert dataset.class_names == tuple(CLASSES.values())
    assert set(manifest["subject"].str[0]) == {"F", "M"}
    assert set(manifest["angle"]) == set(ANGLES)
    columns = ["subject", "session", "label", "angle"]
    assert not manifest.duplicated(columns).any()
    assert manifest["path"].map(KDEF_NAME.fullmatch).notna().all()
    few = load_synthetic(3, angles="S").manifest["subject"].unique()
    assert list(few) == ["F01", "M01", "F02"]


def test_other_sizes_show_the_same_image():
    large, small = (
        load_synthetic(image_size=size).read_image("AF05/AF05HAS.JPG")
        for size in (224, 56)
    )
    assert large.shape == (224, 224, 3) and large.dtype == np.uint8
    shrunk = cv2.resize(large, (56, 56), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.97


def test_the_same_seed_draws_the_same_in_another_process():
    code = (
        "import hashlib, sys;"
        "from kerafer.datasets.synthetic import load_synthetic;"
        f"image = load_synthetic(4, seed=3).read_image({PATH!r});"
        "print(hashlib.sha256(image.tobytes()).hexdigest());"
        "sys.exit('tensorflow' in sys.modules)"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "17"},
    ).stdout.strip()
    assert there == digest(load_synthetic(70, seed=3).read_image(PATH))
    assert there != digest(load_synthetic(70, seed=4).read_image(PATH))


def test_the_mouth_follows_its_units():
    def measure(**units):
        outer_top, top, bottom, outer_bottom = mouth_lines(
            SUBJECT, shown(**units)
        )
        return {
            "corner": top[0, 1] - top[12, 1],
            "width": np.ptp(top[:, 0]),
            "gap": (bottom - top)[12, 1],
            "lips": (top - outer_top + outer_bottom - bottom)[8, 1],
        }

    rest = measure()
    assert measure(au12=1)["corner"] < rest["corner"] - 0.1
    assert measure(au15=1)["corner"] > rest["corner"] + 0.08
    assert measure(au20=1)["width"] > 1.2 * rest["width"]
    assert measure(au24=1)["lips"] < 0.6 * rest["lips"]
    assert rest["gap"] == pytest.approx(0)
    assert measure(au26=1)["gap"] > 0.15


def test_the_detector_finds_the_faces():
    detector = make_detector()
    found = [
        len(detector.detect(draw_image(path, 0, (320, 400))))
        for angle in ("HL", "S", "HR")
        for code in CLASSES
        for path in [f"AF02/AF02{code}{angle}.JPG", f"AM03/AM03{code}S.JPG"]
    ]
    assert max(found) == 1
    assert np.mean(found) > 0.95


def test_a_network_learns_what_pixels_alone_do_not_tell():
    dataset = load_synthetic(40, angles="S", image_size=32)
    images = [dataset.read_image(path) for path in dataset.manifest["path"]]
    images = np.stack(images).mean(-1, keepdims=True)
    number = dataset.manifest["subject"].str[1:].astype(int).to_numpy()
    train, test = number > 5, number <= 5
    scale = StandardScaler().fit(images[train].reshape(train.sum(), -1))
    flat = scale.transform(images.reshape(len(images), -1))
    pixels = LogisticRegression(C=1e-3, max_iter=500)
    pixels.fit(flat[train], dataset.labels[train])
    keras.utils.set_random_seed(0)
    network = keras.Sequential([layers.Rescaling(1 / 127.5, -1)])
    for filters in (16, 32, 64):
        network.add(layers.Conv2D(filters, 3, activation="relu"))
        network.add(layers.MaxPooling2D(padding="same"))
        network.add(layers.BatchNormalization(momentum=0.8))
    network.add(layers.Flatten())
    network.add(layers.Dense(7, activation="softmax"))
    network.compile(
        keras.optimizers.Adam(2e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    network.fit(images[train], dataset.labels[train], epochs=10, verbose=0)
    _, learned = network.evaluate(images[test], dataset.labels[test], verbose=0)
    told = pixels.score(flat[test], dataset.labels[test])
    assert 1.5 / 7 < told < 0.55
    assert learned > max(0.7, told + 0.2)


def test_an_interrupted_tree_is_completed_with_the_same_bytes(tmp_path):
    options = {"people": 1, "angles": "FL,S", "size": (56, 76)}
    count = write_kdef_tree(tmp_path, **options)
    files = sorted(tmp_path.rglob("*.JPG"))
    assert count == len(files) == 2 * 7 * 2
    before = [file.read_bytes() for file in files]
    files[3].unlink()
    files[5].write_bytes(b"cut off")
    write_kdef_tree(tmp_path, **options)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == files
    assert [file.read_bytes() for file in files] == before
    read = read_kdef(tmp_path, angles="all").manifest
    drawn = load_synthetic(1, angles="FL,S").manifest
    columns = ["path", "label", "subject", "session", "angle"]
    assert sorted(read[columns].values.tolist()) == sorted(
        drawn[columns].values.tolist()
    )


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ({"people": 71}, "71"),
        ({"seed": -1}, "-1"),
        ({"image_size": 8}, "8"),
        ({"angles": "S,X"}, "X"),
    ],
)
def test_values_out_of_range_are_an_error(arguments, value):
    with pytest.raises(UserError, match=value):
        load_synthetic(**arguments)
