"""The same class under another name is the same wherever two lists meet."""

import json
import shutil

import keras
import numpy as np
import pytest
import tiny_models
from PIL import Image

from kerafer.class_names import column_order, match_classes, same_word
from kerafer.cli import main
from kerafer.datasets import load, read_split
from kerafer.errors import UserError
from kerafer.evaluation.predictions import Predictions


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("disgust", "disgusted"),
        ("fear", "fearful"),
        ("surprise", "surprised"),
        ("anger", "angry"),
        ("sadness", "sad"),
        ("happiness", "happy"),
        ("joy", "Happy"),
        ("neutral", " NEUTRAL "),
        ("Surprise", "surprised"),
        ("my  class", "My class"),
    ],
)
def test_they_are_one_class(one, other):
    assert same_word(one) == same_word(other)
    assert match_classes([one, "x"], ["x", other]) == [1, 0]
    assert match_classes([other, "x"], ["x", one]) == [1, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("happy", "sad"),
        ("class 1", "class 2"),
        ("happy1", "happy2"),
        ("happy 1", "happy"),
        ("unhappy", "happy"),
        ("cat", "cats"),
        ("très", "tres"),
        ("", "neutral"),
    ],
)
def test_they_are_two_classes(one, other):
    assert match_classes([one], [other]) == [None]


def test_equal_names_come_before_those_of_the_same_meaning():
    ours = ["joy", "happy", "Happy"]
    assert match_classes(ours, ["happy", "joy", "Happy"]) == [1, 0, 2]
    assert match_classes(ours, ["happiness"]) in ([0], [1], [2])
    # Each is found once.
    assert match_classes(["happy"], ["happy", "joy"]) == [0, None]
    assert match_classes(["happy"], ["joy", "happy"]) == [None, 0]


def test_columns_of_a_model_are_those_of_a_data_set():
    fer = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    kdef = ["surprised", "sad", "neutral", "happy", "fearful"]
    kdef += ["disgusted", "angry"]
    np.testing.assert_array_equal(column_order(fer, kdef), [*range(7)][::-1])
    for wrong in (kdef[1:], [*kdef, "bored"], [*kdef[1:], "bored"]):
        with pytest.raises(UserError, match="classes of model and data"):
            column_order(fer, wrong)


def test_predictions_of_an_earlier_evaluation_are_read(tmp_path):
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6]])
    ours = Predictions(
        np.array(["a", "b"], object),
        np.array([0, 1]),
        probabilities,
        ("fear", "joy"),
    )
    ours.write(tmp_path / "p.csv")
    read = Predictions.read(tmp_path / "p.csv", ("happy", "Fearful"))
    np.testing.assert_array_equal(read.labels, [1, 0])
    np.testing.assert_allclose(read.probabilities, probabilities[:, ::-1])


def colours(folder, names):
    """Images of red, green and blue under these names."""
    generator = np.random.default_rng(0)
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            image = generator.integers(0, 90, (8, 8, 3), np.uint8)
            image[..., place] += 150
            Image.fromarray(image).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Knows red as angry, green as disgusted and blue as sad."""
    folder = tmp_path_factory.mktemp("model")
    tiny_models.to_keras().save(folder / "model.keras")
    (folder / "labels.txt").write_text("angry\ndisgusted\nsad\n")
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("anger", "disgust", "sadness"),
        ("  Angry ", "Disgust", "SAD"),
        ("angry", "disgusted", "sad"),
    ],
)
def test_a_data_set_may_use_other_words(names, model, tmp_path):
    data = colours(tmp_path / "data", names)
    out = tmp_path / "out"
    words = ("--dataset", "folder", "--data-dir", str(data), "--subset", "all")
    words = (*words, "--model", str(model), "--out", str(out))
    assert main(["evaluate", *words]) == 0
    scores = json.loads((out / "metrics.json").read_text())
    assert scores["accuracy"] == 1
    # Named as the data set has them.
    assert set(scores["per_class"]) == {name.strip() for name in names}


def test_blanks_around_a_folder_s_name_are_no_part_of_the_class(tmp_path):
    data = colours(tmp_path / "data", ("  angry ", "not  sure", "sad"))
    dataset = load("folder", data)
    assert dataset.class_names == ("angry", "not sure", "sad")
    assert set(dataset.manifest["label"]) == {"angry", "not sure", "sad"}
    assert dataset.read_image(dataset.manifest["path"][0]).shape == (8, 8, 3)
    shutil.copytree(data / "sad", data / " sad")
    with pytest.raises(UserError, match="' sad' and 'sad'"):
        load("folder", data)


def test_a_split_of_the_same_pictures_under_other_words(tmp_path):
    data = colours(tmp_path / "data", ("anger", "fear"))
    dataset = load("folder", data)
    rows = dataset.manifest.assign(split=["train", "test"] * 10)
    for label, fits in (("angry", True), ("happy", False)):
        rows["label"] = rows["label"].replace("anger", label)
        rows["label"] = rows["label"].replace("angry", label)
        rows.to_csv(tmp_path / "split.csv", index=False)
        if fits:
            split = read_split(tmp_path / "split.csv", dataset)
            assert list(split) == ["train", "test"] * 10
        else:
            with pytest.raises(UserError, match="with another label"):
                read_split(tmp_path / "split.csv", dataset)


def test_explain_takes_a_word_for_a_class(model, tmp_path):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(image, keras.layers.Dense(3, "softmax")(x))
    network.save(tmp_path / "cnn.keras")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png"), "--model", str(tmp_path / "cnn.keras")]
    words += ["--detector", "none", "--labels", "angry,disgusted,sad"]
    words += ["--out", str(tmp_path / "out")]
    assert main(["explain", *words, "--class", "Disgust"]) == 0
    assert main(["explain", *words, "--class", "fear"]) == 2


def test_fer2013_labels_may_be_numbers_or_names(tmp_path):
    face = " ".join(str((i * 7) % 256) for i in range(48 * 48))
    codes = ["0", "1.0", "FEARFUL", "joy", "+4", "surprised", "6.", "7", "x"]
    lines = [f"{code},{face},Training" for code in codes]
    (tmp_path / "fer2013.csv").write_text(
        "\n".join(["emotion,pixels,Usage", *lines, ""])
    )
    dataset = load("fer2013", tmp_path / "fer2013.csv")
    expected = ["angry", "disgust", "fear", "happy", "sad", "surprise"]
    assert list(dataset.manifest["label"]) == [*expected, "neutral"]
    assert len(dataset.skipped_files) == 2
