"""Models of every format: found, opened, fed and named alike."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tiny_models
from harness import noise
from tiny_models import LABELS, expected

import kerafer
from kerafer.cli import main
from kerafer.errors import UserError
from kerafer.files import digest
from kerafer.inference import InputRange, ModelBundle, ModelSource

IMAGES = np.stack([noise(8, 8, seed) for seed in range(3)])
WANTED = np.stack([expected(image) for image in IMAGES])
# Mean and standard deviation of pixels from 0 to 255.
RANGES = {
    "0..255": (0.0, 1.0),
    "0..1": (0.0, 255.0),
    "-1..1": (127.5, 127.5),
    "120,110,100/60,50,40": ([120, 110, 100], [60, 50, 40]),
}


def float_model(text="0..255"):
    """The tiny model behind a function that undoes a range."""
    mean, std = RANGES[text]
    image = keras.Input((8, 8, 3))
    layer = keras.layers.Dense(3, trainable=False)
    x = layer(image)
    layer.set_weights(
        [np.eye(3) * np.array(std, float), np.zeros(3) + np.array(mean)]
    )
    return keras.Model(image, tiny_models.to_keras()(x))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The tiny model in every format."""
    folder = tmp_path_factory.mktemp("models")
    plain = tiny_models.to_tflite()
    for name, content in {
        "plain.tflite": plain,
        "labelled.tflite": tiny_models.with_labels(plain),
        "one.onnx": tiny_models.to_onnx(),
        "any.onnx": tiny_models.to_onnx("batch"),
    }.items():
        (folder / name).write_bytes(content)
    model = tiny_models.to_keras()
    model.save(folder / "tiny.keras")
    model.export(folder / "saved", verbose=False)
    return folder


@pytest.mark.parametrize(
    "name", ["plain.tflite", "tiny.keras", "saved", "one.onnx", "any.onnx"]
)
def test_every_format_gives_the_same_probabilities(files, name):
    bundle = ModelBundle.load(files / name, labels=LABELS)
    assert bundle.input_shape == (8, 8, 3) and bundle.labels == LABELS
    np.testing.assert_allclose(bundle.predict(IMAGES), WANTED, atol=1e-5)
    assert bundle.predict(IMAGES[:0]).shape == (0, 3)
    assert bundle.digest == digest(files / name)


def test_a_model_in_memory_is_a_bundle():
    model = tiny_models.to_keras()
    bundle = ModelBundle.load(model, labels=LABELS)
    np.testing.assert_allclose(bundle.predict(IMAGES), WANTED, atol=1e-5)
    assert bundle.file is bundle.run is None and bundle.keras_model is model
    with pytest.raises(UserError, match="class names"):
        ModelBundle.load(model)


@pytest.mark.parametrize("name", ["tiny.keras", "saved"])
def test_threads_share_a_bundle(files, name):
    bundle = ModelBundle.load(files / name, labels=LABELS)

    def work(number):
        row = bundle.predict(IMAGES[number % 3][None])[0]
        return np.abs(row - WANTED[number % 3]).max()

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(work, range(48))) < 1e-5


def test_damaged_files_are_refused(files, tmp_path):
    whole = (files / "plain.tflite").read_bytes()
    cuts = [whole[:n] for n in (0, 7, 100, len(whole) // 2, len(whole) - 9)]
    for content in (*cuts, b"PK\x03\x04" * 99, b"\0\0\0\0TFL3" + b"\xff" * 99):
        (tmp_path / "bad.tflite").write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.tflite"):
            ModelBundle.load(tmp_path / "bad.tflite", labels=LABELS)
    whole = (files / "one.onnx").read_bytes()
    for content in (b"", b"nothing", whole[: len(whole) // 2]):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.onnx"):
            ModelBundle.load(tmp_path / "bad.onnx", labels=LABELS)


def test_an_onnx_file_cannot_read_other_files(files, tmp_path):
    import onnx

    model = onnx.load(files / "one.onnx")
    secret = tmp_path / "secret"
    secret.write_bytes(np.eye(3, dtype=np.float32).tobytes())
    (weights,) = model.graph.initializer
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="secret")
    (tmp_path / "sly.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=r"sly\.onnx"):
        ModelBundle.load(tmp_path / "sly.onnx", labels=LABELS)


# --- Finding a model's file ---


def test_the_model_of_a_folder(files, tmp_path):
    def found():
        return ModelSource.find(tmp_path).file.name

    with pytest.raises(UserError, match="No model found"):
        found()
    order = ("model.onnx", "other.keras", "int8.tflite", "float16.tflite")
    for name in (*order, "best.keras"):
        (tmp_path / name).write_bytes(b"")
        assert found() == name
    (tmp_path / "best.keras").unlink()
    # The file whose scores are published.
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"scores": {"file": "int8.tflite"}}))
    assert found() == "int8.tflite"
    manifest.write_text(json.dumps({"scores": {"file": "../../x"}}))
    assert found() == "float16.tflite"
    (tmp_path / "model.keras").write_bytes(b"")
    assert ModelSource.find(tmp_path, True).file.name == "model.keras"


def test_a_path_without_a_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path, tmp_path / "none.tflite", tmp_path / "notes.txt", 3):
        with pytest.raises(UserError):
            ModelBundle.load(path)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("old.h5", 'load_model("old.h5").save("old.keras")'),
        ("old.hdf5", 'load_model("old.hdf5").save("old.keras")'),
        ("my.weights.h5", "load_weights"),
        ("net.pth", "torch.onnx.export"),
    ],
)
def test_other_formats_are_told_how_to_convert(name, advice, tmp_path):
    (tmp_path / name).write_bytes(b"\x89HDF")
    for call in (ModelBundle.load, kerafer.load_model):
        with pytest.raises(UserError) as caught:
            call(tmp_path / name)
        assert advice in str(caught.value)


# --- Class names ---


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("x\ny\r\n\nz \n", ("x", "y", "z")),
        ("\ufeffx\ny\nz", ("x", "y", "z")),
        # As Teachable Machine writes them.
        ("0 angry\n1 very sad\n2 happy\n", ("angry", "very sad", "happy")),
        ("1 a\n2 b\n3 c\n", ("1 a", "2 b", "3 c")),
    ],
)
def test_labels_beside_the_model(files, tmp_path, content, labels):
    shutil.copy(files / "plain.tflite", tmp_path / "a.tflite")
    (tmp_path / "labels.txt").write_text(content, encoding="utf-8")
    assert ModelBundle.load(tmp_path / "a.tflite").labels == labels


def test_labels_inside_a_file_or_of_a_run(files, tmp_path):
    assert ModelBundle.load(files / "labelled.tflite").labels == LABELS
    cut = (files / "labelled.tflite").read_bytes()[:-10]
    (tmp_path / "cut.tflite").write_bytes(cut)
    with pytest.raises(UserError, match="class names"):
        ModelBundle.load(tmp_path / "cut.tflite")
    shutil.copy(files / "tiny.keras", tmp_path / "best.keras")
    per_class = {"p": {}, "q": {}, "r": {}}
    (tmp_path / "metrics.json").write_text(
        json.dumps({"test": {"per_class": per_class}})
    )
    assert ModelBundle.load(tmp_path).labels == ("p", "q", "r")
    for wrong in (["a", "b"], ["a", "b", "b"]):
        with pytest.raises(UserError, match="3 outputs"):
            ModelBundle.load(tmp_path, labels=wrong)


# --- Crop margin ---


@pytest.mark.parametrize(
    ("file", "text", "margin"),
    [
        ("manifest.json", '{"input": {"face_margin": 0.0}}', 0.0),
        ("manifest.json", '{"input": {"face_margin": 0.5}}', 0.5),
        ("manifest.json", '{"input": {"face_margin": null}}', None),
        ("manifest.json", '{"input": {"face_margin": "wide"}}', 0.2),
        ("manifest.json", '{"input": {"face_margin": -1}}', 0.2),
        ("manifest.json", '{"input": 3}', 0.2),
        ("manifest.json", "{", 0.2),
        ("metrics.json", '{"face_margin": 0.15}', 0.15),
        ("metrics.json", '{"face_margin": null}', None),
        ("config.yaml", "dataset: kdef\nface_crop: none\n", None),
        ("config.yaml", "dataset: kdef\nface_crop: mtcnn\n", 0.2),
        (
            "config.yaml",
            "dataset: fesr\nface_crop: mtcnn\nface_margin: 0.0\n",
            0.0,
        ),
        ("config.yaml", "dataset: fer2013\nface_crop: none\n", 0.0),
        ("config.yaml", "dataset: synthetic\nface_crop: none\n", None),
        ("config.yaml", "dataset: folder\nface_crop: none\n", None),
        ("config.yaml", "arch: mcnn\n", 0.2),
        ("config.yaml", "[1, 2]", 0.2),
    ],
)
def test_the_crop_margin_is_that_of_training(tmp_path, file, text, margin):
    (tmp_path / file).write_text(text)
    assert ModelSource(tmp_path / "best.keras").crop_margin == margin


# --- Input range ---


@pytest.mark.parametrize("text", RANGES)
def test_a_range_is_applied_as_it_is_written(text):
    mean, std = RANGES[text]
    taken = InputRange.parse(text)
    wanted = (IMAGES - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(taken.apply(IMAGES), wanted, rtol=1e-5)
    assert str(taken) == text


@pytest.mark.parametrize("text", RANGES)
@pytest.mark.parametrize("suffix", [".keras", ".tflite"])
def test_a_stated_range_gives_the_right_answers(text, suffix, tmp_path):
    import tensorflow as tf

    file, model = tmp_path / f"model{suffix}", float_model(text)
    if suffix == ".keras":
        model.save(file)
    else:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        file.write_bytes(converter.convert())
    bundle = ModelBundle.load(file, labels=LABELS, input_range=text)
    np.testing.assert_allclose(bundle.predict(IMAGES), WANTED, atol=1e-4)
    if suffix == ".keras":
        pixels = IMAGES.astype(np.float32)
        answers = bundle.keras_model_of_pixels()(pixels)
        np.testing.assert_allclose(answers, WANTED, atol=1e-4)


@pytest.fixture(scope="module")
def float_exports(tmp_path_factory):
    """Exports of a model of -1 to 1, with and without its range stated."""
    root = tmp_path_factory.mktemp("exports")
    pixels = np.random.default_rng(1).integers(0, 256, (20, 8, 8, 3))
    for name, stated in (("stated", "-1..1"), ("unstated", None)):
        kerafer.export_model(
            float_model("-1..1"),
            root / name,
            "keras,savedmodel,float16,onnx",
            images=(pixels / 127.5 - 1).astype(np.float32),
            class_names=LABELS,
            input="float32",
            input_range=stated,
        )
    return root


FORMATS = ["model.keras", "saved_model", "float16.tflite", "model.onnx"]


@pytest.mark.parametrize("name", FORMATS[1:])
def test_an_export_knows_its_range_away_from_its_manifest(
    name, float_exports, tmp_path
):
    for export in ("stated", "unstated"):
        source, copy = float_exports / export / name, tmp_path / export / name
        copy.parent.mkdir()
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
    bundle = ModelBundle.load(tmp_path / "stated" / name, labels=LABELS)
    np.testing.assert_allclose(bundle.predict(IMAGES), WANTED, atol=1e-3)
    with pytest.raises(UserError, match="range"):
        ModelBundle.load(tmp_path / "unstated" / name, labels=LABELS)


def test_a_known_range_is_kept(float_exports, caplog):
    model = float_exports / "stated" / "float16.tflite"
    for file in (model, "kerafer_edge_ferplus"):
        caplog.clear()
        known = ModelBundle.load(file).input_range
        found = ModelBundle.load(file, input_range="0..1").input_range
        assert found == known
        assert "0..1 is ignored" in caplog.text


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain", "train"])
def test_every_command_refuses_an_unknown_range(
    command, float_exports, tmp_path, capsys
):
    model = str(float_exports / "unstated" / "model.keras")
    words = {
        "predict": ("--model", model, "--detector", "none"),
        "explain": ("--model", model, "--detector", "none"),
        "evaluate": ("--model", model, "--dataset", "folder"),
        "train": ("--teacher", model, "--dataset", "folder"),
    }[command]
    for place, label in enumerate(LABELS):
        (tmp_path / label).mkdir()
        for number in range(12):
            image = noise(8, 8, number) // 3
            image[..., place] += 150
            keras.utils.save_img(tmp_path / label / f"{number}.png", image)
    if command in ("predict", "explain"):
        words = (str(tmp_path / "red" / "0.png"), *words)
    else:
        words = (*words, "--data-dir", str(tmp_path), "--split", "paper")
    out = ("--out", str(tmp_path / "out"))
    assert main([command, *words, *out]) == 2
    assert "floats of an unknown range" in capsys.readouterr().err
    if command == "evaluate":
        found = kerafer.evaluate(
            model,
            "folder",
            subset="all",
            data_dir=tmp_path,
            split="paper",
            input_range="-1..1",
        )
        assert found.accuracy == 1.0


@pytest.mark.parametrize("kind", ["keras", "onnx"])
def test_an_assumed_range_is_told_once(kind, tmp_path, capsys, files):
    file = tmp_path / f"model.{kind}"
    if kind == "keras":
        float_model().save(file)
    else:
        shutil.copy(files / "one.onnx", file)
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    picture = tmp_path / "a.png"
    keras.utils.save_img(picture, noise(20, 20))
    words = ["predict", str(picture), "--model", str(file), "--detector"]
    words += ["none", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert shown.count("pixels of 0 to 255") == 1 and "--input-range" in shown
    assert main([*words, "--force", "--input-range", "0..1"]) == 0
    assert "pixels of 0 to 255" not in capsys.readouterr().err
