"""Models that are no classifiers are told so, by whichever way they come."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_models
from PIL import Image

import kerafer
from kerafer.classifier import check_probabilities
from kerafer.cli import main
from kerafer.demo.page_model import PageModel
from kerafer.demo.server import DemoServer
from kerafer.errors import UserError
from kerafer.layers import MultiScaleConv2D, WaveletChannelAttention
from kerafer.runtime import EmotionRecognizer

LABELS = "red,green,blue"


def network(ending):
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    three = keras.layers.Dense(3, name="three")
    if ending == "logits":
        return keras.Model(image, keras.layers.Rescaling(900, -700)(three(x)))
    if ending == "sigmoid for each class":
        return keras.Model(image, keras.layers.Activation("sigmoid")(three(x)))
    if ending == "one sigmoid":
        one = keras.layers.Dense(1, activation="sigmoid")
        return keras.Model(image, one(x))
    answer = keras.layers.Softmax(name="answer")(three(x))
    if ending == "NaN":
        model = keras.Model(image, answer)
        weights = np.full((3, 3), np.nan, np.float32)
        three.set_weights([weights, np.zeros(3, np.float32)])
        return model
    if ending == "two outputs":
        return keras.Model(image, [answer, x])
    if ending == "named outputs":
        return keras.Model(image, {"feelings": answer, "features": x})
    if ending == "a map":
        return keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    other = keras.Input((2,), name="age")
    both = keras.layers.Concatenate()([x, other])
    answer = keras.layers.Dense(3, activation="softmax")(both)
    return keras.Model([image, other], answer)


# What is said of each, in the words that matter.
ENDINGS = {
    "logits": "1 in sum",
    "sigmoid for each class": "1 in sum",
    "NaN": "such as nan",
    "one sigmoid": "p and 1 - p",
    "two outputs": "2 outputs",
    "named outputs": "2 outputs",
    "two inputs": "2 inputs",
    "a map": "(batch, classes)",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("no classifiers")
    for ending in ENDINGS:
        model = network(ending)
        name = ending.replace(" ", "_")
        model.save(folder / f"{name}.keras")
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        (folder / f"{name}.tflite").write_bytes(converter.convert())
        model.export(folder / name, verbose=False)
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    return folder


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A data set of three classes."""
    folder = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    for place, name in enumerate(LABELS.split(",")):
        (folder / name).mkdir()
        for number in range(12):
            image = generator.integers(0, 90, (8, 8, 3), np.uint8)
            image[..., place] += 150
            Image.fromarray(image).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("kind", [".keras", ".tflite", ""])
@pytest.mark.parametrize("ending", ENDINGS)
def test_it_is_told_in_python(ending, kind, models):
    file = models / (ending.replace(" ", "_") + kind)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    with pytest.raises(UserError) as caught:
        kerafer.predict(image, file)
    assert ENDINGS[ending] in str(caught.value)
    with pytest.raises(UserError) as caught:
        recognizer = EmotionRecognizer(file, labels=LABELS.split(","))
        recognizer.predict(image)
    assert ENDINGS[ending] in str(caught.value)


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain"])
@pytest.mark.parametrize("kind", [".keras", ".tflite"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_it_is_told_by_every_command(
    ending, kind, command, models, colours, tmp_path, capfd
):
    if command == "explain" and kind != ".keras":
        pytest.skip("explain takes .keras files alone")
    file = str(models / (ending.replace(" ", "_") + kind))
    picture = str(next(colours.rglob("*.png")))
    words = {
        "predict": (picture, "--model", file, "--detector", "none"),
        "explain": (picture, "--model", file, "--detector", "none"),
        "evaluate": (
            *("--model", file, "--dataset", "folder"),
            *("--data-dir", str(colours), "--subset", "all"),
        ),
    }[command]
    if command != "evaluate":
        words = (*words, "--labels", LABELS)
    assert main([command, *words, "--out", str(tmp_path / "out")]) == 2
    told = capfd.readouterr().err
    assert ENDINGS[ending] in " ".join(told.split()), told
    assert "Traceback" not in told


def test_the_page_tells_it_too(models):
    with pytest.raises(UserError, match="2 outputs"):
        DemoServer(models / "two_outputs.tflite", 0)
    page = PageModel(models / "logits.tflite")
    with pytest.raises(UserError, match="1 in sum"):
        page.predict(bytes(8 * 8 * 3))


def test_one_tensor_in_a_list_or_a_dictionary_is_one(tmp_path):
    model = tiny_models.to_keras()
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    for number, outputs in enumerate(([model.output], {"y": model.output})):
        file = tmp_path / f"{number}.keras"
        keras.Model([model.input], outputs).save(file)
        recognizer = EmotionRecognizer(file, labels=tiny_models.LABELS)
        told = list(recognizer.predict(image).probabilities.values())
        np.testing.assert_allclose(told, tiny_models.expected(image), atol=1e-5)


class OfItsOwn(keras.Model):
    """The tiny model as a class, which has no graph."""

    def __init__(self, inner):
        super().__init__(name="of_its_own")
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)


def in_sequence(built):
    layers = tiny_models.to_keras().layers[1:]
    weights = layers[-1].get_weights()
    copies = [type(x).from_config(x.get_config()) for x in layers]
    model = keras.Sequential([*([keras.Input((8, 8, 3))] * built), *copies])
    model.build((None, 8, 8, 3))
    model.layers[-1].set_weights(weights)
    return model


def evaluated(model, colours):
    return kerafer.evaluate(
        model,
        "folder",
        subset="all",
        labels=tiny_models.LABELS,
        data_dir=colours,
        split="paper",
        **({} if isinstance(model, keras.Model) else {"image_size": 8}),
    )


@pytest.mark.parametrize("built", [False, True])
def test_a_sequence_of_layers_is_a_model(built, tmp_path, colours):
    file = tmp_path / "sequence.keras"
    model = in_sequence(built)
    model.compile("adam", "categorical_crossentropy")
    model.save(file)
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    recognizer = EmotionRecognizer(file, labels=tiny_models.LABELS)
    told = list(recognizer.predict(image).probabilities.values())
    np.testing.assert_allclose(told, tiny_models.expected(image), atol=1e-5)
    wanted = evaluated(tiny_models.to_keras(), colours).predictions
    for one in (file, model, OfItsOwn(model)):
        if isinstance(one, OfItsOwn):
            one(np.zeros((1, 8, 8, 3)))
        found = evaluated(one, colours).predictions
        np.testing.assert_allclose(
            found.probabilities, wanted.probabilities, atol=1e-6
        )


def test_a_model_that_was_never_built_is_told(tmp_path, capsys, colours):
    file = tmp_path / "unbuilt.keras"
    with pytest.warns(UserWarning, match="not yet been built"):
        keras.Sequential([keras.layers.Dense(3)]).save(file)
    for words in (
        ["predict", str(colours), "--model", str(file)],
        ["evaluate", "--model", str(file), "--dataset", "synthetic"],
        ["train", "--init-from", str(file), "--people", "6"],
        ["export", "--model", str(file), "--out", str(tmp_path / "out")],
    ):
        assert main(words) == 2
        assert "it was never built" in capsys.readouterr().err, words


@pytest.mark.parametrize("classes", [2, 7, 8, 100])
def test_eight_bits_are_near_enough_and_logits_are_not(classes):
    generator = np.random.default_rng(classes)
    exact = generator.dirichlet(np.full(classes, 0.5), 2000)
    # As a file of 8 bits gives them: 256 steps, and 1 is none of them.
    eight = np.rint(exact * 256).clip(0, 255) / 256
    check_probabilities(eight, "eight")
    check_probabilities(eight.astype(np.float16), "half")
    for wrong in (
        *(exact * 1.5, exact - 0.1, np.log(exact), exact[:, :1], exact[0]),
        *(np.full((1, classes), np.nan), np.full((1, classes), np.inf)),
        np.zeros((1, classes)),
    ):
        with pytest.raises(UserError, match="1 in sum"):
            check_probabilities(wrong, "wrong")


def test_the_folder_of_an_export_is_explained(tmp_path, colours):
    model = tiny_models.to_keras()
    folder = tmp_path / "exported"
    folder.mkdir()
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
    model.save(folder / "model.keras")
    (folder / "float16.tflite").write_bytes(tiny_models.to_tflite())
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    picture = str(next(colours.rglob("*.png")))
    out = tmp_path / "out"
    words = (picture, "--model", str(folder), "--detector", "none")
    assert main(["explain", *words, "--out", str(out)]) == 0
    assert list(out.rglob("*.png"))
    # Without it the way out is told.
    (folder / "model.keras").unlink()
    (folder / "manifest.json").write_text("{}")
    assert main(["explain", *words, "--out", str(out)]) == 2


def test_keras_itself_loads_our_layers_in_a_fresh_process(tmp_path):
    image = keras.Input((24, 24, 3))
    x = MultiScaleConv2D(6)(image)
    x = WaveletChannelAttention(ratio=2)(x)
    file = tmp_path / "mine.keras"
    keras.Model(image, x).save(file)
    code = (
        "import sys, keras, kerafer.layers; "
        "model = keras.models.load_model(sys.argv[1]); "
        "print(type(model.layers[1]).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True
    )
    assert done.stdout.strip() == "MultiScaleConv2D", done.stderr
    page = Path(__file__).parents[1] / "docs" / "models.md"
    assert "`import kerafer.layers`" in page.read_text("utf-8")
