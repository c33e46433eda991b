"""Heat maps and wavelets against closed forms, NumPy and PyWavelets."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import pywt
from keras import layers

from kerafer import create_model, list_models
from kerafer.cli import main
from kerafer.datasets.synthetic import draw_image
from kerafer.errors import UserError
from kerafer.explain.grad_cam import grad_cam
from kerafer.explain.sheet import explain_answers, plot_sheet
from kerafer.explain.wavelets import plot_wavelets, wavelet_table
from kerafer.images import read_image
from kerafer.inference import ModelBundle
from kerafer.layers import (
    MultiScaleConv2D,
    WaveletChannelAttention,
    WaveletSqueezeExcitation,
)
from kerafer.models.save import save_model

NAMES = ("angry", "happy", "sad")


def images_of(count=3, size=12, seed=0, channels=3):
    generator = np.random.default_rng(seed)
    shape = (count, size, size, channels)
    return generator.integers(0, 256, shape).astype(np.uint8)


def cam_model(ending="layer", size=12, seed=5):
    """1x1 convolution, global average pooling, dense: Grad-CAM is CAM."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = layers.Conv2D(6, 1, activation="relu", name="features")(x)
    x = layers.GlobalAveragePooling2D()(x)
    if ending == "dense":
        x = layers.Dense(3, activation="softmax", name="dense")(x)
    else:
        x = layers.Dense(3, name="dense")(x)
    if ending == "layer":
        x = layers.Softmax()(x)
    if ending == "activation":
        x = layers.Activation("softmax")(x)
    return keras.Model(image, x)


def features(model, images):
    kernel, bias = model.get_layer("features").get_weights()
    x = images / 127.5 - 1.0
    return np.maximum(x @ kernel[0, 0] + bias, 0.0)


def normalised(maps):
    maps = np.maximum(maps, 0.0)
    highest = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(highest > 0, highest, 1.0)


def wavelet_model(attention=None, size=16):
    keras.utils.set_random_seed(2)
    image = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(x)
    attention = attention or WaveletChannelAttention(ratio=2, name="wca")
    x = attention(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(3)(x)
    return keras.Model(image, layers.Softmax()(x))


@pytest.mark.parametrize("ending", ["layer", "activation", "dense", "scores"])
def test_grad_cam_is_cam_behind_global_average_pooling(ending):
    model, images = cam_model(ending), images_of()
    weights = model.get_layer("dense").get_weights()[0]
    drawn = 0
    for index in range(3):
        got = grad_cam(model, images, [index] * 3)
        expected = normalised(features(model, images) @ weights[:, index])
        assert got.shape == (3, 12, 12) and got.dtype == np.float32
        np.testing.assert_allclose(got, expected, atol=1e-5)
        drawn += got.any()
    assert drawn >= 2


def test_the_layer_is_the_last_with_four_positions_and_no_pooling():
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3))
    near = layers.Conv2D(4, 3, strides=2, padding="same")(image)
    x = layers.MaxPooling2D(2)(near)
    x = layers.Conv2D(4, 2, strides=2)(x)
    scores = layers.Dense(3)(layers.Flatten()(x))
    model = keras.Model(image, layers.Softmax()(scores))
    images = images_of(2, 16)
    values = keras.Model(image, near)(images)
    with tf.GradientTape() as tape:
        tape.watch(values)
        score = keras.Model(near, scores)(values)[:, 0]
    weights = tape.gradient(score, values).numpy().mean(axis=(1, 2))
    maps = np.einsum("bijk,bk->bij", values, weights)
    large = [cv2.resize(np.maximum(one, 0), (16, 16)) for one in maps]
    found = grad_cam(model, images, [0, 0])
    np.testing.assert_allclose(found, normalised(np.stack(large)), atol=1e-4)
    flat = keras.Sequential(
        [keras.Input((12, 12, 3)), layers.Flatten(), layers.Dense(2)]
    )
    with pytest.raises(UserError, match="4 x 4"):
        grad_cam(flat, images_of(1), [0])


def test_layers_of_another_model_and_frozen_ones_are_explained():
    model, images = cam_model(), images_of()
    expected = grad_cam(model, images, [0] * 3)
    twin = keras.Sequential([keras.Input((12, 12, 3)), *model.layers[1:]])
    twin.trainable = False
    found = grad_cam(twin, images, [0] * 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    inner = keras.Model(
        model.inputs[0], model.get_layer("features").output, name="body"
    )
    image = keras.Input((12, 12, 3))
    x = layers.GlobalAveragePooling2D()(inner(image))
    outer = keras.Model(image, layers.Softmax()(model.get_layer("dense")(x)))
    found = grad_cam(outer, images, [0] * 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_explanation_has_class_probability_and_answer(tmp_path):
    model, images = cam_model(), images_of(4)
    bundle = ModelBundle.load(model, labels=NAMES, input_range="0..255")
    probabilities = model.predict_on_batch(images)
    for index in (None, 2):
        found = explain_answers(bundle, images, index)
        for one, row in zip(found, probabilities, strict=True):
            assert one.answer == NAMES[row.argmax()]
            assert one.label == (one.answer if index is None else "sad")
            assert one.probability == pytest.approx(
                row[NAMES.index(one.label)], abs=1e-6
            )
            assert one.heatmap.max() in (0.0, 1.0)
    file = tmp_path / "sheet.png"
    models = [("a", found), ("b", found)]
    plot_sheet(list(images), models, file, ["sad"] * 4)
    assert read_image(file).shape == (
        round((4 * 2.4 + 0.4) * 120),
        round((3 * 2.4 + 1.0) * 120),
        3,
    )


@pytest.mark.parametrize("wavelet", ["morlet", "mexh", "gaus1", "gaus2"])
def test_frequencies_are_the_peak_of_the_curve_s_spectrum(wavelet):
    """Of a NumPy or PyWavelets curve, in cycles per unit."""
    attention = WaveletChannelAttention(
        ratio=2, wavelet=wavelet, center_frequency=5.0, name="wca"
    )
    model = wavelet_model(attention)
    scales = [1.0, -2.0, 0.5, 0.7]
    attention.wavelets[0].scale.assign(np.float32(scales))
    attention.wavelets[0].shift.assign(np.float32([0.1, 0.0, -0.3, 2.0]))
    table = wavelet_table(model)
    np.testing.assert_allclose(table["shift"], [0.1, 0.0, -0.3, 2.0], rtol=1e-6)
    np.testing.assert_allclose(table["scale"], scales, rtol=1e-6)
    x = np.linspace(-512, 512, 2**16, endpoint=False)
    frequencies = np.fft.rfftfreq(len(x), x[1] - x[0])
    for scale, got in zip(scales, table["frequency"], strict=True):
        t = x / scale
        t2 = np.square(t)
        curve = {
            "morlet": np.cos(5.0 * t) * np.exp(-t2 / 2),
            "mexh": (1 - t2) * np.exp(-t2 / 2),
            "gaus1": -2 * t * np.exp(-t2),
            "gaus2": (2 * t2 - 1) * np.exp(-t2),
        }[wavelet]
        peak = frequencies[np.abs(np.fft.rfft(curve)).argmax()]
        assert got == pytest.approx(peak, rel=0.01)
    if wavelet == "morlet":
        # PyWavelets' own Morlet has 5 too: its grid is 1/16 wide at scale 1.
        assert table["frequency"][0] == pytest.approx(
            pywt.scale2frequency("morl", 1.0), abs=1 / 32
        )


def test_a_scale_near_zero_counts_as_a_hundredth():
    model = wavelet_model()
    (wavelet,) = model.get_layer("wca").wavelets
    table = wavelet_table(model)
    unit = 1.75 / (2 * np.pi)
    assert (table["scale"] == 1).all() and (table["shift"] == 0).all()
    np.testing.assert_allclose(table["frequency"], unit)
    np.testing.assert_allclose(table["start_frequency"], unit)
    wavelet.scale.assign(np.float32([0.0, -1e-4, 0.01, 0.02]))
    np.testing.assert_allclose(
        wavelet_table(model)["frequency"],
        unit / np.array([0.01, 0.01, 0.01, 0.02]),
        rtol=1e-6,
    )


def test_every_set_of_wavelets_is_listed_and_drawn(tmp_path):
    separate = WaveletChannelAttention(
        ratio=2, shared=False, per_channel=False, name="wca"
    )
    inner = wavelet_model(separate)
    image = keras.Input((16, 16, 3))
    x = WaveletSqueezeExcitation(ratio=3, name="wse")(image)
    outer = keras.Model(image, inner(x))
    table = wavelet_table(outer)
    assert list(table["layer"]) == ["wse", "wca", "wca"]
    assert list(table["wavelet"]) == ["psi_average", "psi_max", "psi_average"]
    plot_wavelets(outer, tmp_path / "a.png")
    plot_wavelets(inner, tmp_path / "b.png")
    heights = [read_image(tmp_path / f"{n}.png").shape[0] for n in "ab"]
    assert heights == [3 * 1020, 2 * 1020]
    with pytest.raises(UserError, match="no wavelets"):
        wavelet_table(cam_model())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two small models with labels, a run's folder of synthetic faces."""
    folder = tmp_path_factory.mktemp("runs")
    keras.utils.set_random_seed(0)
    for name, stem in (("plain", layers.Conv2D), ("wave", MultiScaleConv2D)):
        image = keras.Input((32, 32, 3))
        x = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
        x = stem(4, 3, padding="same")(x) if name == "plain" else stem(4)(x)
        x = layers.ReLU()(x)
        if name == "wave":
            x = WaveletChannelAttention(name="attention")(x)
        x = layers.Dense(7)(layers.GlobalAveragePooling2D()(x))
        model = keras.Model(image, layers.Softmax()(x))
        (folder / name).mkdir()
        save_model(model, folder / name / "best.keras")
        (folder / name / "labels.txt").write_text(
            "angry\ndisgusted\nfearful\nhappy\nneutral\nsad\nsurprised\n"
        )
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_image(file, size=(40, 60)):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    image = images_of(1, 60)[0][: size[0], : size[1]]
    assert cv2.imwrite(str(file), image)


def run(*words):
    return main(["explain", *map(str, words)])


def written(folder="explained"):
    return sorted(
        file.relative_to(folder).as_posix()
        for file in Path(folder).rglob("*")
        if file.is_file()
    )


def test_a_batch_continues_after_files_that_cannot_be_explained(
    here, runs, capsys
):
    write_image("in/a.png")
    write_image("in/deep/b.jpg")
    Path("in/c.jpg").write_bytes(b"no image")
    Path("in/film.mp4").write_bytes(b"")
    words = ("in", "--model", runs / "plain", "--detector", "none")
    assert run(*words) == 0
    assert written() == ["a_grad-cam.png", "deep/b_grad-cam.png"]
    told = capsys.readouterr().err
    assert "c.jpg" in told and "film.mp4" in told
    assert read_image("explained/a_grad-cam.png").shape == (336, 696, 3)


def test_models_stand_side_by_side_and_share_a_class(here, runs):
    write_image("a.png")
    models = ("--model", runs / "plain", "--model", runs / "wave/best.keras")
    words = ("a*.png", *models, "--detector", "none", "--class", "sad")
    assert run(*words, "--out", "maps") == 0
    assert written("maps") == ["a_grad-cam.png"]
    assert read_image("maps/a_grad-cam.png").shape == (336, 984, 3)
    write_image("a_grad-cam.png")
    before = Path("a_grad-cam.png").read_bytes()
    assert run(".", *models, "--out", ".", "--force") == 2
    assert Path("a_grad-cam.png").read_bytes() == before


def test_a_row_is_a_face_and_no_face_is_no_mistake(here, runs, capsys):
    cv2.imwrite("none.png", np.full((90, 90, 3), 200, np.uint8))
    face = draw_image("AF02/AF02HAS.JPG", 1, (320, 400))[..., ::-1]
    cv2.imwrite("two.png", np.concatenate([face, face], axis=1))
    assert run("none.png", "two.png", "--model", runs / "plain") == 0
    assert written() == ["two_grad-cam.png"]
    assert read_image("explained/two_grad-cam.png").shape == (624, 696, 3)
    assert "none.png" in capsys.readouterr().err


def test_the_command_writes_the_wavelets(here, runs, capsys):
    assert run("--model", runs / "wave") == 0
    assert written() == ["responses.csv", "wavelets.csv", "wavelets.png"]
    responses = pd.read_csv("explained/responses.csv")
    assert set(responses["weights"]) == {"fresh", "trained"}
    assert (responses["responding"] <= 1).all()
    table = pd.read_csv("explained/wavelets.csv")
    assert list(table["scale"]) == [1, 1, 1]
    assert "3 wavelets" in capsys.readouterr().err


def test_mistakes_end_with_2_and_name_the_value(here, runs, capsys):
    write_image("a.png")
    Path("bad.png").write_bytes(b"none")
    Path("film.mp4").write_bytes(b"")
    Path("tiny.tflite").write_bytes(b"none")
    plain = ("--model", runs / "plain")
    before = written(".")
    for words, value in (
        (("a.png",), "--model"),
        (("a.png", "--model", "nowhere"), "nowhere"),
        (("a.png", "--model", "tiny.tflite"), "tiny.tflite"),
        (("nothing.png", *plain), "nothing.png"),
        (("a.png", *plain, "--class", "bored"), "bored"),
        ((*plain, "--class", "sad"), "--class"),
        (("a.png", *plain, "--images", "in"), "--images"),
        (("a.png", *plain, "--labels", "x,y"), "x, y"),
        (("film.mp4", *plain), "film.mp4"),
        (("a.png", *plain, "--out", "a.png"), "a.png"),
        (("bad.png", *plain, "--detector", "none"), "bad.png"),
        (plain, "no wavelets"),
    ):
        assert run(*words) == 2, words
        told = capsys.readouterr().err
        assert value in told and "Traceback" not in told, (words, told)
        assert written(".") == before, words


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*list_models("*cnn"), *list_models("*resnet18"), "kerafer_edge"]
)
def test_every_model_of_ours_is_explained(name):
    keras.utils.set_random_seed(0)
    model = create_model(name, num_classes=3, input_shape=(64, 64, 3))
    maps = grad_cam(model, images_of(2, 64), [1, 1])
    assert maps.shape == (2, 64, 64)
    assert np.isfinite(maps).all() and maps.min() >= 0
    assert maps.max() in (0.0, 1.0)
    if name.startswith(("wca", "wse", "msc_wca")):
        assert np.isfinite(wavelet_table(model)["frequency"]).all()
