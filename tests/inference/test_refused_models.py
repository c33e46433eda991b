"""Models that do not classify images: every command names cause and cure."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_models
from harness import noise
from PIL import Image

import kerafer
from kerafer.cli import main
from kerafer.demo.page_model import PageModel
from kerafer.demo.server import DemoServer
from kerafer.errors import UserError
from kerafer.inference.probabilities import check_probabilities

LABELS = ("red", "green", "blue")
SHAPE = (8, 8, 3)


def network(ending):
    image = keras.Input(SHAPE, name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    three = keras.layers.Dense(3, name="three")
    if ending == "logits":
        return keras.Model(image, keras.layers.Rescaling(900, -700)(three(x)))
    if ending == "sigmoid":
        three.activation = keras.activations.sigmoid
        return keras.Model(image, three(x))
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
        return keras.Model(image, {"expr": answer, "age": x})
    if ending == "a map":
        return keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    if ending == "channels first":
        first = keras.Input((3, 8, 8))
        inner = keras.Model(image, answer)
        return keras.Model(first, inner(keras.layers.Permute((2, 3, 1))(first)))
    other = keras.Input((2,), name="age")
    both = keras.layers.Concatenate()([x, other])
    answer = keras.layers.Dense(3, activation="softmax")(both)
    return keras.Model([image, other], answer)


# The cause or the line of code that solves it.
ADVICE = {
    "logits": "keras.layers.Softmax()(m.output)",
    "sigmoid": "multi-label",
    "NaN": "such as nan",
    "one sigmoid": "p and 1 - p",
    "two outputs": "2 outputs",
    "named outputs": "2 outputs",
    "two inputs": "2 inputs",
    "a map": "(batch, classes)",
    "channels first": "Permute",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    for ending in ADVICE:
        model, name = network(ending), ending.replace(" ", "_")
        model.save(folder / f"{name}.keras")
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        (folder / f"{name}.tflite").write_bytes(converter.convert())
    (folder / "labels.txt").write_text("\n".join(LABELS))
    return folder


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A data set of three classes."""
    folder = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    for place, name in enumerate(LABELS):
        (folder / name).mkdir()
        for number in range(12):
            image = generator.integers(0, 90, SHAPE, np.uint8)
            image[..., place] += 150
            Image.fromarray(image).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("kind", [".keras", ".tflite"])
@pytest.mark.parametrize("ending", ADVICE)
def test_commands_tell_it(ending, kind, models, colours, tmp_path, capsys):
    file = str(models / (ending.replace(" ", "_") + kind))
    picture = str(next(colours.rglob("*.png")))
    common = ("--model", file)
    data = (
        "--dataset",
        "folder",
        "--data-dir",
        str(colours),
        "--subset",
        "all",
    )
    calls = {
        "predict": (picture, "--detector", "none", "--input-range", "0..255"),
        "evaluate": (*data, "--input-range", "0..255"),
    }
    if kind == ".keras":
        calls["explain"] = (picture, "--detector", "none")
    for command, words in calls.items():
        out = ("--out", str(tmp_path / command))
        assert main([command, *words, *common, *out]) == 2, command
        told = capsys.readouterr().err
        assert ADVICE[ending] in " ".join(told.split()), told
        assert "Traceback" not in told
        # Progress comes before it.
        assert told[told.index(f"kerafer {command}:") :].count("\n") <= 7


def test_export_tells_of_channels_first(models, tmp_path, capsys):
    model = str(models / "channels_first.keras")
    words = ["export", "--model", model, "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "Permute" in capsys.readouterr().err


@pytest.mark.parametrize(
    "ending", ["sigmoid", "logits", "named outputs", "channels first"]
)
def test_the_code_in_the_message_solves_it(
    ending, models, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    file = models / f"{ending.replace(' ', '_')}.keras"
    with pytest.raises(UserError) as caught:
        kerafer.predict(noise(8, 8), file)
    lines = [x for x in str(caught.value).splitlines() if x[:4] == "    "]
    code = "\n".join(lines).replace("model.keras", str(file))
    code = code.replace('output["age"]', 'output["expr"]')
    keras.saving.load_model(file).save("model.keras")
    names = {"keras": keras, "model": keras.saving.load_model(file)}
    exec(compile("if True:\n" + code, "told", "exec"), names)
    (made,) = tmp_path.glob("[!m]*.keras")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    assert len(kerafer.predict(noise(8, 8), made)) == 1


def test_a_lambda_layer_is_told_whole(tmp_path):
    image = keras.Input(SHAPE)
    x = keras.layers.Lambda(lambda x: x / 255)(image)
    x = keras.layers.Flatten()(x)
    answer = keras.layers.Dense(3, activation="softmax")(x)
    keras.Model(image, answer).save(tmp_path / "lambda.keras")
    with pytest.raises(UserError) as caught:
        kerafer.load_model(tmp_path / "lambda.keras")
    told = str(caught.value)
    assert "Lambda" in told and "Rescaling(1 / 255)" in told
    assert all(line.rstrip()[-1] in ".:)5" for line in told.splitlines())


def test_the_page_refuses_them(models):
    with pytest.raises(UserError, match="2 outputs"):
        DemoServer(models / "two_outputs.tflite", 0)
    # Its floats have no range that is known.
    with pytest.raises(UserError, match="input_range"):
        PageModel(models / "logits.tflite")


def test_one_tensor_in_a_list_or_a_dictionary_is_one(tmp_path):
    model = tiny_models.to_keras()
    image = noise(8, 8)
    for number, outputs in enumerate(([model.output], {"y": model.output})):
        file = tmp_path / f"{number}.keras"
        keras.Model([model.input], outputs).save(file)
        recognizer = kerafer.Recognizer(file, labels=LABELS)
        found = recognizer.probabilities([image])[0]
        np.testing.assert_allclose(
            found, tiny_models.expected(image), atol=1e-5
        )


class OfItsOwn(keras.Model):
    """The tiny model as a class, which has no graph."""

    def __init__(self, inner):
        super().__init__(name="of_its_own")
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)


def evaluated(model, colours):
    return kerafer.evaluate(
        model,
        "folder",
        subset="all",
        labels=LABELS,
        data_dir=colours,
        split="paper",
        **({} if isinstance(model, keras.Model) else {"image_size": 8}),
    ).predictions.probabilities


@pytest.mark.parametrize("built", [False, True])
def test_sequences_and_classes_are_models(built, tmp_path, colours):
    layers = tiny_models.to_keras().layers[1:]
    copies = [type(x).from_config(x.get_config()) for x in layers]
    model = keras.Sequential([*([keras.Input(SHAPE)] * built), *copies])
    model.build((None, *SHAPE))
    model.layers[-1].set_weights(layers[-1].get_weights())
    model.compile("adam", "categorical_crossentropy")
    file = tmp_path / "sequence.keras"
    model.save(file)
    own = OfItsOwn(model)
    own(np.zeros((1, *SHAPE)))
    wanted = evaluated(tiny_models.to_keras(), colours)
    for one in (file, model, own):
        np.testing.assert_allclose(evaluated(one, colours), wanted, atol=1e-6)


def test_a_model_that_was_never_built_is_told(tmp_path, capsys, colours):
    file = tmp_path / "unbuilt.keras"
    with pytest.warns(UserWarning, match="not yet been built"):
        keras.Sequential([keras.layers.Dense(3)]).save(file)
    for words in (
        ["predict", str(colours), "--model", str(file)],
        ["train", "--init-from", str(file), "--subjects", "6"],
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
        with pytest.raises(UserError, match="wrong"):
            check_probabilities(wrong, "wrong")
