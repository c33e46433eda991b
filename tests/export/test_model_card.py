"""What a model card tells was measured, and on the images it names."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import yaml
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from kerafer import load_model
from kerafer.cli import main, make_app
from kerafer.cli.options import make_settings
from kerafer.datasets import load, make_split, write_split
from kerafer.datasets.specs import find_spec
from kerafer.evaluation import external_test, score
from kerafer.evaluation.report import scores_section
from kerafer.export.compare import run_file
from kerafer.faces.detector import Face
from kerafer.models.save import save_model
from kerafer.runtime.recognizer import Recognizer
from kerafer.training.config import TrainingConfig
from kerafer.training.recipes import find_recipe

CLASSES = ("blue", "green", "red")
SIZE = 8
RECIPES = Path(__file__).parents[2] / "scripts" / "recipes"


def parse_training(words):
    """The settings and the recipe of `kerafer train WORDS`."""
    _, bound, _ = make_app().parse_args(["train", *words])
    recipe = bound.arguments["config"]
    given = bound.arguments["given"]
    return make_settings(TrainingConfig, given, find_recipe(recipe)), recipe


def sure_of(classes, share=0.8):
    """Probabilities that name the classes given, all as sure."""
    rest = (1 - share) / (len(CLASSES) - 1)
    return np.where(np.eye(len(CLASSES))[classes] == 1, share, rest)


def measure(labels, probabilities, people=None):
    return score(labels, probabilities, CLASSES, people).as_dict()


# === The numbers ===


@pytest.mark.parametrize(
    ("right", "total"), [(0, 10), (8, 10), (10, 10), (5, 7), (1, 1)]
)
def test_intervals_of_shares_are_wilsons(right, total):
    labels = np.array([0] * total + [2, 2])
    predicted = np.array([0] * right + [1] * (total - right) + [2, 2])
    scores = measure(labels, sure_of(predicted))
    found = scores["classes"]["blue"]["recall_interval"]
    share, square = right / total, 1.959963984540054**2
    centre = share + square / (2 * total)
    spread = square * (share * (1 - share) + square / (4 * total)) / total
    expected = centre + np.array([-1, 1]) * np.sqrt(spread)
    np.testing.assert_allclose(
        found, expected / (1 + square / total), atol=1e-9
    )


def test_scores_worked_out_by_hand():
    labels = np.array([0] * 4 + [1] * 4 + [2] * 2)
    predicted = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0, 1])
    scores = measure(labels, sure_of(predicted))
    assert scores["accuracy"] == 0.5
    assert scores["confusion"] == [[3, 1, 0], [2, 2, 0], [1, 1, 0]]
    blue, red = scores["classes"]["blue"], scores["classes"]["red"]
    assert (blue["recall"], blue["precision"]) == (3 / 4, 3 / 6)
    assert blue["f1"] == pytest.approx(0.6)
    # Wilson (1927), by hand of three in six.
    assert blue["precision_interval"] == pytest.approx(
        [0.187616, 0.812384], abs=1e-6
    )
    # Nothing was taken for red: there is no share to tell.
    assert red["n_images"] == 2 and red["recall"] == 0
    assert red["precision"] is red["precision_interval"] is None
    calibration = scores["calibration"]
    assert calibration["mean_confidence"] == pytest.approx(0.8)
    assert calibration["expected_calibration_error"] == pytest.approx(0.3)
    assert calibration["sure"] == {"at_least": 0.9, "n_images": 0, "right": 0}
    low, high = scores["accuracy_interval"]
    assert low < 0.5 < high
    json.dumps(scores, allow_nan=False)


def test_intervals_are_over_people_where_they_are_known():
    """Twelve people with twenty equal images each are not 240 answers."""
    labels = np.repeat([0, 1, 2] * 4, 20)
    wrong = np.repeat([True, False, False, False] * 3, 20)
    probabilities = sure_of(np.where(wrong, (labels + 1) % 3, labels))
    people = np.repeat([f"person {i}" for i in range(12)], 20)
    alone = measure(labels, probabilities)
    together = measure(labels, probabilities, people)
    assert alone["intervals"] == {"over": "images", "of": 240}
    assert together["intervals"] == {"over": "people", "of": 12}
    assert any("12 people are rough" in note for note in together["notes"])
    for name in ("accuracy", "macro_f1"):
        narrow, wide = (x[f"{name}_interval"] for x in (alone, together))
        assert np.ptp(wide) > 2 * np.ptp(narrow)
    narrow, wide = (
        x["classes"]["green"]["recall_interval"] for x in (alone, together)
    )
    assert np.ptp(wide) > 2 * np.ptp(narrow)
    # Nobody is a sure thing after four people.
    right = measure(labels, sure_of(labels), people)
    interval = right["classes"]["blue"]["recall_interval"]
    assert interval == pytest.approx([4 / (4 + 1.959964**2), 1.0], abs=1e-6)
    # One person is nobody to draw from.
    one = measure(labels, probabilities, np.full(240, "A"))
    assert one["intervals"]["over"] == "images"


def test_the_section_names_the_most_frequent_mistakes_first():
    labels = np.repeat([0, 1, 2], [10, 20, 5])
    predicted = np.r_[[1] * 3, [0] * 7, [2] * 8, [1] * 12, [2] * 5]
    text = scores_section(measure(labels, sure_of(predicted, 0.95)))
    mistakes = [x for x in text.splitlines() if " predicted as " in x]
    assert mistakes == [
        "* green predicted as red: 8 of 20 images (40 %)",
        "* blue predicted as green: 3 of 10 images (30 %)",
    ]
    assert "| **green** | 0 | 12 | 8 |" in text
    assert "11 of 35 predictions are wrong" in text
    assert "never predicted" not in text
    assert "overconfident" in text
    assert "Of the 35 predictions with" in text and "68.6% are right" in text
    never = measure(np.array([0, 1, 2]), sure_of(np.array([0, 1, 1])))
    assert "* never predicted: red" in scores_section(never)
    labels = np.array([0, 1, 2] * 4)
    text = scores_section(measure(labels, sure_of(labels)))
    assert "No prediction is wrong" in text and "rule of three" in text


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("fer2013", "noisy"),
        ("kdef", "aged 20 to 30"),
        ("fesr", "students"),
        ("synthetic", "drawn"),
        ("folder", "known to those who made the folder"),
    ],
)
def test_limits_are_those_of_the_data_set(dataset, words):
    assert words in " ".join(find_spec(dataset).limits)


# === An export ===


def write_pictures(root, count, generator, names=CLASSES, person="Ann"):
    """Noisy images of one colour each, some of them hard to tell."""
    for name in names:
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(count):
            bgr = generator.integers(60, 120, 3)
            bgr[("blue", "green", "red").index(name)] += 40
            picture = np.full((40, 30, 3), bgr, np.uint8)
            picture[:, 15:] //= 2
            file = folder / f"{person}{number % 3}_{number:03}.png"
            assert cv2.imwrite(str(file), picture)
    return root


def make_run(folder, data, config, model):
    """A run's folder, of a model that learnt nothing there."""
    dataset = load(config["dataset"], str(data))
    split = make_split(dataset, "paper", 0)
    write_split(folder / "split.csv", dataset, split)
    save_model(model, folder / "best.keras")
    text = yaml.safe_dump({"data_dir": str(data), "split": "paper", **config})
    (folder / "config.yaml").write_text(text)
    return folder


def tiny_model():
    """It answers with the colour that is the brightest on average."""
    given = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 255)(given)
    x = layers.Conv2D(3, 1, name="colours")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(3, name="answers")(x)
    model = keras.Model(given, layers.Softmax()(x))
    # From red, green, blue to the order of the classes.
    kernel = np.eye(3)[:, ::-1][None, None] * 6
    model.get_layer("colours").set_weights([kernel, np.zeros(3)])
    model.get_layer("answers").set_weights([np.eye(3) * 2, np.zeros(3)])
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("card")
    generator = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        data = write_pictures(root / "data", 40, generator)
        write_pictures(root / "others", 9, generator)
        yield make_run(
            root / "my run",
            data,
            {"dataset": "folder", "image_size": SIZE},
            tiny_model(),
        )


def export(run, out, *words):
    flags = ("--ignore-gates", "--calibration", "20")
    return main(
        ["export", "--model", str(run), "--out", str(out), *flags, *words]
    )


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture(scope="module")
def exported(run):
    """With a folder of other images, through a link."""
    (run.parent / "link").symlink_to(run.parent / "real")
    formats = ("--formats", "keras,float16,int8")
    others = ("--external-test", str(run.parent / "others"))
    people = ("--subject-pattern", r"^(.+)_\d+")
    assert export(run, run.parent / "link", *formats, *others, *people) == 0
    return run.parent / "real"


def answers_of(file, pictures):
    """A .tflite file's answers, past the exporter."""
    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]
    for picture in pictures:
        image = cv2.imread(str(picture))[..., ::-1]
        image = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        interpreter.set_tensor(source, np.ascontiguousarray(image)[None])
        interpreter.invoke()
        yield CLASSES[interpreter.get_tensor(target)[0].argmax()]


def test_scores_of_other_pictures_are_those_of_the_file(exported, run):
    files = sorted((run.parent / "others").glob("*/*.png"))
    found = list(answers_of(exported / "int8.tflite", files))
    confusion = np.zeros((3, 3), int)
    for file, label in zip(files, found, strict=True):
        confusion[CLASSES.index(file.parent.name), CLASSES.index(label)] += 1
    scores = manifest_of(exported)["scores"]
    assert scores["file"] == "int8.tflite"
    other = scores["external_test"]
    assert other["confusion"] == confusion.tolist()
    assert 0.4 < other["accuracy"] == np.trace(confusion) / 27 < 1
    assert other["intervals"] == {"over": "people", "of": 3}
    assert (other["searched"], other["n_images"]) == (27, 27)
    assert other["how"] == "used whole"


def test_the_card_and_the_manifest_tell_the_same(exported, run):
    manifest = manifest_of(exported)
    test = manifest["scores"]["test"]
    file = manifest["files"]["int8.tflite"]
    assert test["accuracy"] == file["accuracy"]
    assert test["macro_f1"] == pytest.approx(file["macro_f1"])
    assert sum(map(sum, test["confusion"])) == manifest["test"]["n_images"]
    card = (exported / "MODEL_CARD.md").read_text()
    assert f"| accuracy | {test['accuracy']:.1%} |" in card
    for row in test["confusion"]:
        assert f"| {' | '.join(map(str, row))} |" in card
    for words in (
        "Scores of `int8.tflite` on the test images",
        "27 labelled images of `others`",
        "no basis for",
        "Prohibited uses",
        "include this notice",
        f"right on {test['accuracy']:.1%} of 12 images that it was not",
        "seed 0: 96 train, 12 validation, 12 test |",
    ):
        assert words in card
    # No folder of this machine.
    assert str(run.parent) not in card + json.dumps(manifest)


def test_the_card_of_a_model_of_whole_images_says_so(exported):
    """Prediction takes images as the training did."""
    card = (exported / "MODEL_CARD.md").read_text()
    assert "whole images, not cropped" in card
    assert "detector's box" not in card
    assert manifest_of(exported)["input"]["face_margin"] is None
    assert Recognizer(exported).uses_full_image


def test_the_keras_file_of_an_export_is_the_run_s_model(exported, run):
    images = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3))
    images = images.astype("uint8")
    expected = load_model(run).predict(images, verbose=0)
    assert np.ptp(expected) > 0.2
    found = load_model(exported).predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    facts = manifest_of(exported)["files"]["model.keras"]
    assert facts["agreement"] == 1 and facts["largest_difference"] < 1e-6


class LeftHalf:
    """A detector that takes a bright left half for a face."""

    def detect(self, image):
        height, width = image.shape[:2]
        if image[:, : width // 2].mean() < 60:
            return []
        small = Face((0, 0, 3, 3), 0.9)
        return [Face((0, 0, width // 2, height), 0.9), small]


def test_faces_are_cut_out_as_prediction_does(
    exported, run, tmp_path, monkeypatch
):
    dark = np.random.default_rng(0).integers(0, 40, (40, 30, 3), np.uint8)
    folder = tmp_path / "others"
    shutil.copytree(run.parent / "others", folder)
    cv2.imwrite(str(folder / "red" / "dark.png"), dark)
    monkeypatch.setattr(external_test, "make_detector", lambda *_: LeftHalf())
    found = external_test.ExternalTest.load(
        folder, None, CLASSES, (SIZE, SIZE, 3), 0.1
    )
    assert (found.searched, len(found.images)) == (28, 27)
    assert found.subjects is None
    copy = tmp_path / "export"
    shutil.copytree(exported, copy)
    (copy / "manifest.json").write_text('{"input": {"face_margin": 0.1}}')
    recognizer = Recognizer(copy / "int8.tflite", detector=LeftHalf())
    files = sorted(folder.glob("*/Ann*.png"))
    images = [cv2.imread(str(file))[..., ::-1].copy() for file in files]
    faces = [recognizer.predict(image)[0] for image in images]
    np.testing.assert_allclose(
        run_file(exported / "int8.tflite", found.images).probabilities,
        [[face.probabilities[name] for name in CLASSES] for face in faces],
        atol=1e-6,
    )
    names = [file.parent.name for file in files]
    assert found.labels.tolist() == [CLASSES.index(name) for name in names]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--external-test", "nowhere"), "nowhere"),
        (("--external-test", "{root}/my run/best.keras"), "best.keras"),
        (("--external-test", "{root}/data"), "has not seen"),
        (("--external-test", "{root}/two"), "The data has 2: blue, purple"),
        (("--subject-pattern", "^(.+)_"), "without --external-test"),
    ],
)
def test_other_pictures_that_can_t_be_taken(run, tmp_path, capfd, flags, words):
    root = run.parent
    if not (root / "two").exists():
        generator = np.random.default_rng(1)
        write_pictures(root / "two", 3, generator, ("red", "blue"))
        (root / "two" / "red").rename(root / "two" / "purple")
    flags = [flag.format(root=root) for flag in flags]
    assert export(run, tmp_path / "out", "--formats", "float16", *flags) == 2
    said = capfd.readouterr().err.replace("\n", " ")
    assert words in said
    assert not (tmp_path / "out").exists()


def test_other_pictures_may_show_fewer_classes(run, tmp_path):
    generator = np.random.default_rng(1)
    fewer = write_pictures(tmp_path / "fewer", 4, generator, ("red", "blue"))
    flags = ("--formats", "float16", "--external-test", str(fewer))
    assert export(run, tmp_path / "out", *flags) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    other = manifest["scores"]["external_test"]
    found = [other["classes"][name]["n_images"] for name in CLASSES]
    assert found == [4, 0, 4]


# === What is made of it ===


@pytest.mark.slow
def test_a_training_begins_with_an_export(tmp_path, capfd, monkeypatch):
    from kerafer.models import create_model

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = write_pictures(tmp_path / "data", 12, np.random.default_rng(0))
    model = create_model("kerafer_edge", 3, (48, 48, 1), width=0.25)
    config = {"dataset": "folder", "image_size": 48, "channels": 1}
    run = make_run(tmp_path / "run", data, config, model)
    out = tmp_path / "out"
    assert export(run, out, "--formats", "keras,float16") == 0
    mine = write_pictures(tmp_path / "mine", 10, np.random.default_rng(1))
    words = (
        *("train", "--arch", "kerafer_edge", "--options", "width=0.25"),
        *("--image-size", "48", "--channels", "1", "--dataset", "folder"),
        *("--epochs", "1", "--augment", "none"),
    )
    where = ["--data-dir", str(mine), "--out", str(tmp_path / "tuned")]
    assert main([*words, *where, "--init-from", str(out)]) == 0
    assert "fresh: none" in capfd.readouterr().err.replace("\n", " ")
    assert (tmp_path / "tuned" / "metrics.json").is_file()


def run_recipe(tmp_path, name, *words, **variables):
    """What a recipe asks kerafer for, noted by a stand-in."""
    stand_in, notes = tmp_path / "kerafer", tmp_path / "notes"
    stand_in.write_text(
        '#!/bin/sh\nprintf "%s|" "$@" >>"$NOTES"; echo >>"$NOTES"\n'
    )
    stand_in.chmod(0o755)
    own = {"KERAFER": str(stand_in), "NOTES": str(notes)}
    done = subprocess.run(
        ["bash", RECIPES / name, *words],
        env=os.environ | own | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = notes.read_text().splitlines()
    return [line.split("|")[:-1] for line in lines], done.stdout


def test_the_recipe_goes_on_where_it_was_broken_off(tmp_path):
    out = tmp_path / "my runs"
    for name in ("teacher_adamw", "teacher_sgd"):
        (out / name).mkdir(parents=True)
        (out / name / "config.yaml").touch()
    (out / "teacher_adamw" / "metrics.json").touch()
    lines, said = run_recipe(
        tmp_path,
        "edge_fer2013.sh",
        *("train data.zip", out, "faces.zip"),
        EXPORTED="exports",
    )
    assert "teacher_adamw is over already" in said
    did = [line[0] for line in lines]
    assert did == ["audit", *["train"] * 5, *["evaluate"] * 6, *["export"] * 2]
    assert lines[0][3:5] == ["--data-dir", "train data.zip"]
    assert lines[1] == ["train", "--resume", f"{out}/teacher_sgd"]
    flags = dict(zip(lines[2][1::2], lines[2][2::2], strict=True))
    assert flags["--data-dir"] == "train data.zip"
    assert flags["--init-from"] == f"{out}/teacher_adamw"
    assert flags["--teacher"] == f"{out}/teacher_adamw,{out}/teacher_sgd"
    assert flags["--out"] == f"{out}/student_first"
    assert lines[-2][1:5] == [
        *("--model", f"{out}/kerafer_edge_fer2013"),
        *("--out", "exports/kerafer_edge_fer2013"),
    ]
    assert lines[-1][-4:] == [
        *("--external-test", "faces.zip", "--subject-pattern", r"^(.+)_\d+")
    ]


@pytest.mark.parametrize("name", ["edge_fer2013.sh", "fine_tuning.sh"])
def test_the_flags_of_a_recipe_are_such(name, tmp_path):
    lines, _ = run_recipe(tmp_path, name, "n_images", tmp_path / "out")
    trainings = [line[1:] for line in lines if line[0] == "train"]
    assert len(trainings) > 4
    for words in trainings:
        config, _ = parse_training(words)
        size = 48 if name == "edge_fer2013.sh" else 64
        assert config.arch == "kerafer_edge" and config.image_size == size


def test_the_models_that_come_along_are_trained_from_their_starts(tmp_path):
    out, start = tmp_path / "out", tmp_path / "start"
    for folder in (out, start):
        folder.mkdir()
    (out / "split.csv").touch()
    names = ("edge_ferplus", "edge_small_ferplus", "teacher_0", "teacher_1")
    for file in (*(f"{name}.keras" for name in names), "labels.txt"):
        (start / file).touch()
    lines, _ = run_recipe(
        *(tmp_path, "edge_ferplus.sh", "ferplus.zip", out, "faces.zip"),
        START=str(start),
    )
    trainings = [line[1:] for line in lines if line[0] == "train"]
    configs = []
    for words in trainings:
        config, recipe = parse_training(words)
        assert recipe == "ferplus"
        configs.append(config)
    assert [config.init_from for config in configs] == [
        *(f"{out}/edge_ferplus.keras", f"{out}/edge_wide"),
        f"{out}/edge_small_ferplus.keras",
    ]
    taught = [f"{out}/{n}.keras" for n in (names[0], *names[2:])]
    assert all(list(config.teachers) == taught for config in configs)
    assert {config.image_size for config in configs} == {64}
    assert [config.calibrate for config in configs] == [False, True, True]
    assert [line[0] for line in lines[3:]] == ["evaluate", "export"] * 2


def test_fine_tuning_compares_the_two_starts(tmp_path):
    lines, _ = run_recipe(
        tmp_path, "fine_tuning.sh", "my faces", tmp_path / "out", SEEDS="0 1"
    )
    assert [line[0] for line in lines] == ["train", "train", "evaluate"] * 2
    tuned, alone = (dict(zip(x[1::2], x[2::2], strict=True)) for x in lines[:2])
    assert tuned.pop("--init-from") == "kerafer_edge_ferplus"
    assert tuned.pop("--learning-rate") == "1e-3"
    assert tuned.pop("--out") != alone.pop("--out")
    # Nothing else is different, and so neither is the split.
    assert tuned == alone and tuned["--data-dir"] == "my faces"
    assert lines[2][1:5] == [
        *("--model", str(tmp_path / "out" / "tuned-seed0")),
        *("--against", str(tmp_path / "out" / "from_nothing-seed0")),
    ]


@pytest.mark.parametrize(
    "name", ["edge_fer2013.sh", "edge_ferplus.sh", "fine_tuning.sh"]
)
def test_a_recipe_says_what_it_takes(name):
    done = subprocess.run(
        ["bash", RECIPES / name], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "usage" in done.stderr
