"""Heat maps, wavelets and channels against closed forms and NumPy."""

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
from kerafer.errors import UserError
from kerafer.explain import (
    METHODS,
    cam_sheet,
    channel_weights,
    explain,
    grad_cam,
    occlusion_map,
    overlay,
    plot_channels,
    plot_wavelets,
    wavelet_table,
)
from kerafer.images import read_image
from kerafer.layers import (
    MultiScaleConv2D,
    WaveletChannelAttention,
    WaveletSqueezeExcitation,
)
from kerafer.models.save import save_model
from kerafer.workflows import explanation as command

NAMES = ("angry", "happy", "sad")


def pictures(count=3, size=12, seed=0, channels=3):
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


def set_wavelets(wavelet, scale, shift):
    wavelet.scale.assign(np.float32(scale))
    wavelet.shift.assign(np.float32(shift))


# === Grad-CAM ===


@pytest.mark.parametrize("ending", ["layer", "activation", "dense", "scores"])
def test_grad_cam_is_cam_behind_global_average_pooling(ending):
    model, images = cam_model(ending), pictures()
    weights = model.get_layer("dense").get_weights()[0]
    drawn = 0
    for index in range(3):
        got = grad_cam(model, images, index)
        expected = normalised(features(model, images) @ weights[:, index])
        assert got.shape == (3, 12, 12) and got.dtype == np.float32
        np.testing.assert_allclose(got, expected, atol=1e-5)
        drawn += got.any()
    assert drawn >= 2


def test_grad_cam_does_not_fade_where_the_answer_is_sure():
    """The softmax' gradient is 0 there; that of the score is not."""
    model, images = cam_model(), pictures()
    dense = model.get_layer("dense")
    kernel, bias = dense.get_weights()
    before = grad_cam(model, images, 1)
    dense.set_weights([kernel * 1.0, bias + np.float32([0, 500, 0])])
    assert model.predict_on_batch(images)[:, 1].min() == 1.0
    np.testing.assert_allclose(grad_cam(model, images, 1), before, atol=1e-5)


def test_each_picture_has_a_class_of_its_own():
    model, images = cam_model(), pictures()
    mixed = grad_cam(model, images, [2, 0, 1])
    for row, index in enumerate((2, 0, 1)):
        one = grad_cam(model, images[row : row + 1], index)
        np.testing.assert_allclose(mixed[row], one[0], atol=1e-6)
    likeliest = model.predict_on_batch(images).argmax(axis=1)
    np.testing.assert_allclose(
        grad_cam(model, images), grad_cam(model, images, likeliest), atol=1e-6
    )


def test_grad_cam_plus_plus_follows_its_formula():
    """With squared features in the score gradients differ by position."""
    keras.utils.set_random_seed(4)
    image = keras.Input((10, 10, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = layers.Conv2D(5, 1, activation="relu", name="features")(x)
    y = layers.GlobalAveragePooling2D()(layers.Multiply()([x, x]))
    y = layers.Dense(3, name="dense", use_bias=False)(y)
    model = keras.Model(image, layers.Softmax()(y))
    images = pictures(4, 10)
    kernel = model.get_layer("dense").get_weights()[0].astype(np.float64)
    values = features(model, images)
    compared = 0
    for index in range(3):
        gradients = 2.0 * values * kernel[:, index] / 100
        maps = np.zeros(values.shape[:3])
        for b in range(len(images)):
            for k in range(5):
                a, g = values[b, ..., k], gradients[b, ..., k]
                below = 2 * g**2 + a.sum() * g**3
                safe = np.where(below == 0, 1.0, below)
                alpha = np.where(below == 0, 0.0, g**2 / safe)
                maps[b] += (alpha * np.maximum(g, 0)).sum() * a
        got = grad_cam(model, images, index, "features", plus_plus=True)
        np.testing.assert_allclose(got, normalised(maps), atol=2e-4)
        plain = grad_cam(model, images, index, "features")
        compared += np.abs(plain - got).max() > 0.01
    assert compared


@pytest.mark.parametrize("plus_plus", [False, True])
def test_a_bright_blob_is_found(plus_plus):
    image = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(1, 5, padding="same", name="bright", use_bias=False)(x)
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(2, name="dense")(x)
    model = keras.Model(image, layers.Softmax()(x))
    model.get_layer("bright").set_weights([np.ones((5, 5, 3, 1)) / 75])
    columns = np.ones((256, 1)) * np.array([[1.0, -1.0]])
    model.get_layer("dense").set_weights([columns, np.zeros(2)])
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[0, 4:10, 20:26] = images[1, 22:28, 3:9] = 255
    for one, (row, column) in zip(
        grad_cam(model, images, 0, plus_plus=plus_plus),
        ((6.5, 22.5), (24.5, 5.5)),
        strict=True,
    ):
        mass = one / one.sum()
        assert abs(mass.sum(axis=1) @ np.arange(32) - row) < 0.7
        assert abs(mass.sum(axis=0) @ np.arange(32) - column) < 0.7
        assert one.max() == 1.0
    # Nothing speaks for the other class: a map of zeros, no division by it.
    assert not grad_cam(model, images, 1, plus_plus=plus_plus).any()


def test_the_layer_is_the_last_with_four_positions_and_no_pooling():
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", name="far")(image)
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="near")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(4, 2, strides=2, name="small")(x)
    x = layers.Dense(3)(layers.Flatten()(x))
    model = keras.Model(image, layers.Softmax()(x))
    images = pictures(2, 16)
    default = grad_cam(model, images, 0)
    for name in ("far", "near", "pool", "small"):
        same = np.allclose(default, grad_cam(model, images, 0, name), atol=1e-6)
        assert same == (name == "near"), name


def test_layers_of_another_model_and_frozen_ones_are_explained():
    model, images = cam_model(), pictures()
    expected = grad_cam(model, images, 0)
    twin = keras.Sequential([keras.Input((12, 12, 3)), *model.layers[1:]])
    twin.trainable = False
    np.testing.assert_allclose(grad_cam(twin, images, 0), expected, atol=1e-6)


def test_an_inner_model_counts_as_a_layer():
    model, images = cam_model(), pictures()
    inner = keras.Model(
        model.inputs[0], model.get_layer("features").output, name="body"
    )
    image = keras.Input((12, 12, 3))
    x = layers.GlobalAveragePooling2D()(inner(image))
    outer = keras.Model(image, layers.Softmax()(model.get_layer("dense")(x)))
    for name in (None, "body"):
        got = grad_cam(outer, images, 0, name)
        np.testing.assert_allclose(got, grad_cam(model, images, 0), atol=1e-6)


def test_grad_cam_refuses_what_it_cannot_take():
    model, images = cam_model(), pictures()
    for wrong in (images[0], images[:, :8], images[..., :1], images[:0]):
        with pytest.raises(UserError, match=r"12, 12, 3\)\. Received"):
            grad_cam(model, wrong)
    for wrong in (3, -1, [0, 1], 0.5, [0, 1, 3]):
        with pytest.raises(UserError, match="0 to 2"):
            grad_cam(model, images, wrong)
    with pytest.raises(UserError, match=r"features\. Received: dense"):
        grad_cam(model, images, layer="dense")
    flat = keras.Sequential(
        [keras.Input((12, 12, 3)), layers.Flatten(), layers.Dense(2)]
    )
    with pytest.raises(UserError, match="4 x 4 positions"):
        grad_cam(flat, images)


# === Occlusion ===


def corner_model(size=12):
    """The more red the upper left 4 x 4, the likelier class 0."""
    image = keras.Input((size, size, 3))
    x = layers.Cropping2D(((0, size - 4), (0, size - 4)))(image)
    x = layers.Rescaling(1 / 255)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(2, name="dense")(x)
    model = keras.Model(image, layers.Softmax()(x))
    kernel = np.zeros((3, 2), np.float32)
    kernel[0, 0] = 4
    model.get_layer("dense").set_weights([kernel, np.zeros(2)])
    return model


def test_occlusion_is_the_drop_of_a_model_that_sees_one_corner():
    model = corner_model()
    images = np.zeros((2, 12, 12, 3), np.uint8)
    images[..., 0] = 255
    maps = occlusion_map(model, images, 0, window=4, step=4)
    drop = 1 / (1 + np.exp(-4)) - 1 / (1 + np.exp(-2))
    expected = np.zeros((2, 12, 12))
    expected[:, :4, :4] = drop
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    other = occlusion_map(model, images, [0, 1], window=4, step=4)
    np.testing.assert_allclose(other[1], -expected[1], atol=1e-6)


def test_overlapping_squares_are_averaged_and_reach_the_edge():
    """Every square is computed here by itself, in NumPy."""
    model, images = cam_model("dense", 10), pictures(1, 10, seed=3)
    maps = occlusion_map(model, images, 1, window=4, step=3)
    whole = model.predict_on_batch(images)[0, 1]
    total, counts = np.zeros((10, 10)), np.zeros((10, 10))
    for top in (0, 3, 6):
        for left in (0, 3, 6):
            copy = images[0].astype(np.float32)
            copy[top : top + 4, left : left + 4] = 127.5
            drop = whole - model.predict_on_batch(copy[None])[0, 1]
            total[top : top + 4, left : left + 4] += drop
            counts[top : top + 4, left : left + 4] += 1
    assert counts.min() == 1 and counts.max() == 4
    np.testing.assert_allclose(maps[0], total / counts, atol=1e-6)
    # Squares of 5 and steps of 3 do not end at 10 by themselves.
    edges = occlusion_map(model, images, 1, window=5, step=3)
    assert np.isfinite(edges).all() and (edges[0, -1] != 0).all()


@pytest.mark.parametrize("wrong", [{"window": 0}, {"window": 13}, {"step": 3}])
def test_occlusion_refuses_squares_that_do_not_fit(wrong):
    with pytest.raises(UserError, match="pixels"):
        occlusion_map(corner_model(), pictures(), 0, **{"window": 2, **wrong})


# === Overlays, explanations, sheets ===


@pytest.mark.parametrize("channels", [1, 3])
def test_an_overlay_has_the_size_of_its_picture(channels):
    image = np.full((30, 50, channels), 128, np.uint8)
    heat = np.zeros((3, 5))
    heat[:, -1] = 1.0
    laid = overlay(image, heat)
    assert laid.shape == (30, 50, 3) and laid.dtype == np.uint8
    cold, hot = laid[15, 1].astype(int), laid[15, -2].astype(int)
    assert hot[0] > hot[2] and cold[2] >= cold[0]
    np.testing.assert_array_equal(overlay(image, 7.0 * heat), laid)
    with pytest.raises(UserError, match="uint8"):
        overlay(image.astype(np.float32), heat)


@pytest.mark.parametrize("method", METHODS)
def test_an_explanation_tells_class_probability_and_answer(method):
    model, images = cam_model(), pictures(4)
    probabilities = model.predict_on_batch(images)
    for name in (None, "sad"):
        found = explain(model, images, NAMES, method, name)
        for one, row in zip(found, probabilities, strict=True):
            assert one.answer == NAMES[row.argmax()]
            assert one.label == (name or one.answer)
            assert one.probability == pytest.approx(
                row[NAMES.index(one.label)], abs=1e-6
            )
            assert one.heatmap.shape == (12, 12)
            assert one.heatmap.min() >= 0
            assert one.heatmap.max() in (0.0, 1.0)
            assert (one.largest_drop is None) == (method != "occlusion")


def test_explanations_refuse_unknown_words():
    model, images = cam_model(), pictures()
    with pytest.raises(UserError, match="bored"):
        explain(model, images, NAMES, class_name="bored")
    with pytest.raises(UserError, match="lime"):
        explain(model, images, NAMES, "lime")
    with pytest.raises(UserError, match="has 3"):
        explain(model, images, NAMES[:2])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_has_a_row_a_picture_and_a_column_a_model(tmp_path, channels):
    images = pictures(2, 12, channels=channels)
    image = keras.Input((12, 12, channels))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Softmax()(x))
    file = tmp_path / "sheet.png"
    cam_sheet({"a": model, "b": model}, images, NAMES[:2], NAMES, file)
    assert read_image(file).shape == (
        round((2 * 2.4 + 0.4) * 120),
        round((3 * 2.4 + 1.0) * 120),
        3,
    )
    assert [f.name for f in tmp_path.iterdir()] == ["sheet.png"]


# === Wavelets ===


def test_wavelets_start_where_the_article_starts_them():
    table = wavelet_table(wavelet_model())
    assert len(table) == 4 and set(table["layer"]) == {"wca"}
    assert (table["scale"] == 1).all() and (table["shift"] == 0).all()
    assert (table["frequency"] == table["start_frequency"]).all()
    assert table["frequency"][0] == pytest.approx(1.75 / (2 * np.pi), rel=1e-3)


@pytest.mark.parametrize("wavelet", ["morlet", "mexh", "gaus1", "gaus2"])
def test_frequencies_are_the_peak_of_the_curve_s_spectrum(wavelet):
    """Of a NumPy or PyWavelets curve, in cycles per unit."""
    attention = WaveletChannelAttention(
        ratio=2, wavelet=wavelet, center_frequency=5.0, name="wca"
    )
    model = wavelet_model(attention)
    scales = [1.0, -2.0, 0.5, 0.7]
    set_wavelets(attention.wavelets[0], scales, [0.1, 0.0, -0.3, 2.0])
    table = wavelet_table(model)
    np.testing.assert_allclose(
        table["shift_change"], [0.1, 0.0, -0.3, 2.0], rtol=1e-6
    )
    np.testing.assert_allclose(
        table["scale_change"], np.subtract(scales, 1.0), rtol=1e-6, atol=1e-6
    )
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
    set_wavelets(wavelet, [0.0, -1e-4, 0.01, 0.02], np.zeros(4))
    table = wavelet_table(model)
    unit = 1.75 / (2 * np.pi)
    np.testing.assert_allclose(
        table["frequency"], unit / np.array([0.01, 0.01, 0.01, 0.02]), rtol=1e-3
    )
    np.testing.assert_allclose(table["scale"], [0, -1e-4, 0.01, 0.02])


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
    sizes = [read_image(tmp_path / f"{n}.png").shape[:2] for n in "ab"]
    assert sizes == [(3 * 1020, 3900), (2 * 1020, 3900)]
    # Channels of the inner model can't be had from the outer's images.
    channels = channel_weights(outer, pictures(3, 16), np.arange(3), NAMES)
    assert set(channels["layer"]) == {"wse"}


def test_a_model_without_wavelets_says_so():
    with pytest.raises(UserError, match="has no wavelets"):
        wavelet_table(cam_model())
    with pytest.raises(UserError, match="has no wavelets"):
        channel_weights(cam_model(), pictures(), np.arange(3), NAMES)


# === Channels ===


def test_channel_weights_are_the_mean_gates_by_class(tmp_path):
    model = wavelet_model()
    gate = model.get_layer("wca")
    (wavelet,) = gate.wavelets
    scale, shift = np.float32([0.8, -1.2, 1.5, 0.4]), np.float32([0, 1, -1, 2])
    set_wavelets(wavelet, scale, shift)
    images = pictures(70, 16, seed=8)
    # Class 1 has no image, and class 0 more than one batch.
    labels = np.where(np.arange(70) % 5 == 0, 2, 0)
    conv = keras.Model(model.inputs[0], model.get_layer("conv").output)
    values = conv.predict(images, verbose=0).astype(np.float64)
    w1, w2 = (
        keras.ops.convert_to_numpy(kernels[0]).astype(np.float64)
        for kernels in (gate.reduce_kernels, gate.expand_kernels)
    )

    def branch(pooled):
        t = (pooled @ w1 - shift) / scale
        return (np.cos(1.75 * t) * np.exp(-(t**2) / 2)) @ w2

    logits = branch(values.max(axis=(1, 2))) + branch(values.mean(axis=(1, 2)))
    gates = 1 / (1 + np.exp(-logits))
    table = channel_weights(model, images, labels, NAMES)
    assert list(table["class"].unique()) == ["angry", "sad"]
    means = {
        "angry": gates[labels == 0].mean(axis=0),
        "sad": gates[labels == 2].mean(axis=0),
    }
    middle = (means["angry"] + means["sad"]) / 2
    for name, expected in means.items():
        rows = table[table["class"] == name]
        assert (np.diff(rows["difference"]) <= 0).all()
        assert set(rows["n_images"]) == {(labels == NAMES.index(name)).sum()}
        rows = rows.sort_values("channel")
        assert list(rows["channel"]) == list(range(8))
        np.testing.assert_allclose(rows["gate"], expected, atol=1e-5)
        np.testing.assert_allclose(rows["mean"], middle, atol=1e-5)
        np.testing.assert_allclose(
            rows["difference"], expected - middle, atol=2e-5
        )
    assert table["difference"].abs().max() > 1e-3
    plot_channels(table, tmp_path / "channels.png")
    assert read_image(tmp_path / "channels.png").shape[1] == 3300


def test_channel_weights_refuse_labels_that_are_none():
    for wrong in (np.zeros(2, int), np.full(3, 3), np.zeros(3), [-1, 0, 0]):
        with pytest.raises(UserError, match="0 to 2, for each of the 3"):
            channel_weights(wavelet_model(), pictures(3, 16), wrong, NAMES)


# === The command ===


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


def picture(file, size=(40, 60)):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    image = pictures(1, 60)[0][: size[0], : size[1]]
    assert cv2.imwrite(str(file), image)


def run(*words):
    return main(["explain", *map(str, words)])


def written(folder="explained"):
    return sorted(
        file.relative_to(folder).as_posix()
        for file in Path(folder).rglob("*")
        if file.is_file()
    )


def test_a_batch_goes_on_past_what_is_no_picture(here, runs, capsys):
    picture("in/a.png")
    picture("in/deep/b.jpg")
    Path("in/c.jpg").write_bytes(b"no image")
    Path("in/film.mp4").write_bytes(b"")
    words = ("in", "--model", runs / "plain", "--detector", "none")
    assert run(*words, "--method", "grad-cam++") == 0
    assert written() == ["a_grad-cam++.png", "deep/b_grad-cam++.png"]
    told = capsys.readouterr().err
    assert "1 of 3 can't be read" in told and "c.jpg" in told
    assert "Left out: 1 video" in told
    assert read_image("explained/a_grad-cam++.png").shape == (336, 696, 3)


def test_a_sheet_that_cannot_be_written_ends_nothing(here, runs, capsys):
    long, meets = "n" * 230, "a_grad-cam.png/x"
    for name in (long, "n" * 250, meets, "a", "z"):
        picture(f"in/{name}.png")
    Path("explained").mkdir()
    words = ("in", "--model", runs / "plain", "--detector", "none")
    assert run(*words, "--out", "explained") == 1
    found = written()
    assert f"{long}_grad-cam.png" in found and "z_grad-cam.png" in found
    assert len(found) == 3
    assert "2 of 5 cannot be written" in capsys.readouterr().err


def test_models_stand_side_by_side_and_share_a_class(here, runs, capsys):
    picture("a.png")
    models = (
        "--model",
        runs / "plain",
        "--model",
        runs / "wave" / "best.keras",
    )
    words = ("a*.png", *models, "--detector", "none", "--class", "sad")
    assert run(*words, "--method", "occlusion", "--out", "maps") == 0
    assert written("maps") == ["a_occlusion.png"]
    assert read_image("maps/a_occlusion.png").shape == (336, 984, 3)


def test_a_row_is_a_face_and_none_is_no_mistake(
    here, runs, monkeypatch, capsys
):
    class Detector:
        def detect(self, image):
            if image.shape[0] == 40:
                return []
            return [
                type("Face", (), {"box": box})()
                for box in ((5, 5, 20, 20), (30, 5, 20, 20))
            ]

    monkeypatch.setattr(command, "make_detector", lambda *_: Detector())
    picture("none.png")
    picture("two.png", (50, 60))
    assert run("none.png", "two.png", "--model", runs / "plain") == 0
    assert written() == ["two_grad-cam.png"]
    assert read_image("explained/two_grad-cam.png").shape == (624, 696, 3)
    assert "1 of 2 without a face" in capsys.readouterr().err


def test_wavelets_are_written_without_the_run_s_data(here, runs, capsys):
    assert run("--model", runs / "wave") == 0
    assert written() == ["wavelets.csv", "wavelets.png"]
    table = pd.read_csv("explained/wavelets.csv")
    assert list(table["scale"]) == [1, 1, 1]
    told = capsys.readouterr().err
    assert "3 wavelets" in told
    assert "channels.csv and .png are left out" in told
    assert "config.yaml" in told


def test_a_run_s_test_pictures_tell_its_channels(here, runs, capsys):
    from kerafer.datasets import load, make_split

    dataset = load("synthetic", people=3, image_size=32)
    split = make_split(dataset, "paper", 0)
    folder = here / "run"
    folder.mkdir()
    for name in ("best.keras", "labels.txt"):
        (folder / name).write_bytes((runs / "wave" / name).read_bytes())
    (folder / "config.yaml").write_text("people: 3\nimage_size: 32\n")
    dataset.manifest.assign(split=split.to_numpy()).to_csv(
        folder / "split.csv", index=False
    )
    assert run("--model", "run", "--model", runs / "plain") == 0
    assert written() == [
        f"run/{name}"
        for name in (
            "channels.csv",
            "channels.png",
            "wavelets.csv",
            "wavelets.png",
        )
    ]
    table = pd.read_csv("explained/run/channels.csv")
    assert set(table["class"]) <= set(dataset.class_names)
    assert set(table["channel"]) == set(range(12))
    told = capsys.readouterr().err
    assert "has no wavelets" in told and "raised most" in told


def test_wrong_words_end_with_2_and_say_the_rule(here, runs, capsys):
    picture("a.png")
    Path("bad.png").write_bytes(b"none")
    Path("film.mp4").write_bytes(b"")
    Path("tiny.tflite").write_bytes(b"none")
    plain = ("--model", runs / "plain")
    for words, message in (
        (("a.png",), "--model says"),
        (("a.png", "--model", "nowhere"), "File not found: nowhere"),
        (("a.png", "--model", "tiny.tflite"), "gradients"),
        (("nothing.png", *plain), "There is no nothing.png"),
        (("a.png", *plain, "--class", "bored"), "--class bored"),
        ((*plain, "--class", "sad"), "no image"),
        (("a.png", *plain, "--method", "lime"), "lime"),
        (("a.png", *plain, "--labels", "x,y"), "7 outputs"),
        (("film.mp4", *plain), "not videos"),
        (("a.png", *plain, "--out", "a.png"), "--out is a folder"),
        (("bad.png", *plain, "--detector", "none"), "bad.png cannot be read"),
        (plain, "has no wavelets"),
    ):
        assert run(*words) == 2, words
        told = capsys.readouterr().err
        assert message in told and "Traceback" not in told, (words, told)
        assert written(".") == [
            "a.png",
            "bad.png",
            "film.mp4",
            "tiny.tflite",
        ], words
    # An empty folder of results would look like a success.
    run(*plain, "--out", "new")
    assert not Path("new").exists()


def test_an_original_is_never_replaced(here, runs, capsys):
    picture("a.png")
    picture("a_grad-cam.png")
    before = Path("a_grad-cam.png").read_bytes()
    assert run(".", "--model", runs / "plain", "--out", ".") == 2
    assert "no original would be replaced" in capsys.readouterr().err
    assert Path("a_grad-cam.png").read_bytes() == before


def test_mistakes_come_before_tensorflow(here):
    from harness import run_python

    run_python(
        """
        import sys
        from kerafer.cli import main
        assert main(["explain", "a.png"]) == 2
        assert not {"tensorflow", "keras", "pandas"} & set(sys.modules)
        """
    )


# === The article's models ===


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [*list_models("*cnn"), *list_models("*resnet18"), "kerafer_edge"]
)
def test_every_model_of_ours_is_explained(name):
    keras.utils.set_random_seed(0)
    model = create_model(name, num_classes=3, input_shape=(64, 64, 3))
    images = pictures(2, 64)
    for plus_plus in (False, True):
        maps = grad_cam(model, images, 1, plus_plus=plus_plus)
        assert maps.shape == (2, 64, 64)
        assert np.isfinite(maps).all() and maps.min() >= 0
        assert maps.max() in (0.0, 1.0)
    drops = occlusion_map(model, images, 1, window=32, step=32)
    assert np.isfinite(drops).all() and np.abs(drops).max() > 0
    if name.startswith(("wca", "wse", "msc_wca")):
        assert np.isfinite(wavelet_table(model)["frequency"]).all()
        channels = channel_weights(model, images, np.array([0, 2]), NAMES)
        assert channels["gate"].between(0, 1).all()
