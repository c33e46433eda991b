"""MA-Net and CDERNet, two methods that the article compares with."""

import math

import keras
import numpy as np
import pytest
from harness import check_gradients, pictures
from scipy.signal import correlate2d
from scipy.special import softmax

import kerafer
from kerafer.layers import ConvolutionalBlockAttention
from kerafer.models.ma_net import _apply_multi_scale_block, _apply_quadrant
from kerafer.models.save import save_model

# At 7 classes: trainable parameters, and multiply-adds at 224 x 224 in G.
TABLE = {"cder_net": (11_345_095, 1.814), "ma_net": (50_547_214, 3.638)}
QUADRANTS = {
    "upper_left": (slice(0, 4), slice(0, 4)),
    "upper_right": (slice(0, 4), slice(4, 8)),
    "lower_left": (slice(4, 8), slice(0, 4)),
    "lower_right": (slice(4, 8), slice(4, 8)),
}


def take_statistics(model, images):
    """Of these images, into every BatchNorm: a new model's answers are
    nearly 0 and 1 without."""
    norms = [
        norm
        for layer in model.layers
        for norm in (layer, getattr(layer, "norm", None))
        if isinstance(norm, keras.layers.BatchNormalization)
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(images, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@pytest.fixture(scope="module")
def models():
    """Both, made once."""
    made = {}
    for name in TABLE:
        keras.utils.set_random_seed(1)
        made[name] = kerafer.create_model(name, 7, (64, 64, 3))
        take_statistics(made[name], pictures((8, 64, 64, 3)))
    return made


@pytest.fixture(scope="module")
def ma_net(models):
    return models["ma_net"]


# === Counts and sizes ===


def trainable(model):
    return sum(math.prod(w.shape) for w in model.trainable_weights)


def multiply_adds(model):
    """Of convolutions and dense layers, from shapes alone."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            outputs = math.prod(layer.output.shape[1:])
            channels = layer.input.shape[-1]
            total += outputs * channels * math.prod(layer.kernel_size)
        elif isinstance(layer, keras.layers.Dense):
            total += layer.input.shape[-1] * layer.units
        elif isinstance(layer, ConvolutionalBlockAttention):
            _, height, width, channels = layer.input.shape
            # Two pools, each through two dense layers; a 7x7 kernel on two
            # maps.
            total += 2 * 2 * channels * (channels // 16)
            total += height * width * 2 * 7 * 7
        else:
            assert all(len(w.shape) < 2 for w in layer.weights), layer
    return total


@pytest.mark.parametrize("name", TABLE)
def test_counts(name):
    model = kerafer.create_model(name)
    assert model.name == name
    parameters, macs = TABLE[name]
    assert trainable(model) == parameters
    assert round(multiply_adds(model) / 1e9, 3) == macs
    if name == "ma_net":
        assert model.get_layer("upper_left").output.shape[1:] == (14, 14, 128)
        assert model.get_layer("quadrants").output.shape[1:] == (14, 14, 512)
        last = model.get_layer("global_block_4_relu_2").output
        assert last.shape[1:] == (7, 7, 512)


@pytest.mark.parametrize("shape", [(48, 63, 1), (112, 96, 3)])
@pytest.mark.parametrize("name", TABLE)
def test_other_sizes_build(name, shape):
    model = kerafer.create_model(name, 3, shape)
    assert model.output_shape == (None, 3)
    # A gray image has a stem of 7 x 7 x 2 x 64 weights less; 4 outputs of
    # 32 numbers and a bias, or twice 512, are less too.
    gray = 6272 if shape[-1] == 1 else 0
    outputs = {"cder_net": 4 * 33, "ma_net": 2 * 4 * 513}[name]
    assert trainable(model) == TABLE[name][0] - gray - outputs
    if name == "ma_net":
        # A map of a side n has quadrants of half of it, which are halved.
        sides = [math.ceil(math.ceil(n / 8) / 2) for n in shape[:2]]
        together = [2 * math.ceil(n / 2) for n in sides]
        quadrants = model.get_layer("quadrants").output
        assert quadrants.shape[1:] == (*together, 512)


def test_the_least_size_is_named_and_is_enough():
    for shape in ((8, 99, 1), (99, 8, 3)):
        with pytest.raises(kerafer.UserError) as caught:
            kerafer.create_model("ma_net", 2, shape)
        said = str(caught.value)
        assert said.startswith("ma_net needs images of at least 9 x 9 ")
        assert said.endswith(f"Received: {shape[0]} x {shape[1]}.")
    model = kerafer.create_model("ma_net", 2, (9, 9, 1))
    assert model.get_layer("layer_2_block_2_add").output.shape[1:3] == (2, 2)
    outputs = model(pictures((2, 9, 9, 1)))
    np.testing.assert_allclose(np.sum(outputs, axis=1), 1, atol=1e-6)


# === Training, saving, precision ===


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_every_parameter_learns_and_is_saved(name, models, tmp_path):
    model = models[name]
    images = pictures((8, 64, 64, 3))
    check_gradients(model, images)
    expected = model(images)
    np.testing.assert_allclose(np.sum(expected, axis=1), 1, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.1
    save_model(model, tmp_path / "model.keras")
    loaded = kerafer.load_model(tmp_path / "model.keras")
    (tmp_path / "model.keras").unlink()
    assert loaded.name == name
    np.testing.assert_array_equal(loaded(images), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "policy", "middle", "wide"),
    [
        ("cder_net", "mixed_float16", "embedding", ["logits"]),
        ("cder_net", "mixed_bfloat16", "embedding", ["logits"]),
        (
            "ma_net",
            "mixed_float16",
            "quadrants",
            ["local_logits", "global_logits", "logits"],
        ),
    ],
)
def test_half_precision_gives_float32_probabilities(
    name, policy, middle, wide, models
):
    reference = models[name]
    keras.config.set_dtype_policy(policy)
    model = kerafer.create_model(name, 7, (64, 64, 3))
    model.set_weights(reference.get_weights())
    images = pictures((4, 64, 64, 3))
    outputs = model(images)
    assert outputs.dtype == "float32"
    half = policy.removeprefix("mixed_")
    assert model.get_layer(middle).output.dtype == half
    assert all(model.get_layer(n).output.dtype == "float32" for n in wide)
    np.testing.assert_allclose(np.sum(outputs, axis=1), 1, atol=1e-6)
    expected = reference(images)
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(outputs, expected, atol=0.05)


# === CDERNet ===


def test_cder_net_is_resnet18_with_dense_layers(models):
    model = models["cder_net"]
    resnet18 = kerafer.create_model("resnet18", 7, (64, 64, 3))
    body = resnet18.weights[:-2]
    assert [w.path for w in body] == [w.path for w in model.weights[:-8]]
    for ours, theirs in zip(model.weights, body, strict=False):
        theirs.assign(ours)
    images = pictures((4, 64, 64, 3))

    def outputs(whole, name):
        part = keras.Model(whole.input, whole.get_layer(name).output)
        return np.array(part(images))

    def dense(x, name):
        kernel, bias = model.get_layer(name).get_weights()
        return x @ kernel + bias

    x = outputs(resnet18, "average_pool")
    assert x.shape == (4, 512)
    x = dense(x, "embedding")
    assert (x < 0).any()
    embedding = outputs(model, "embedding")
    np.testing.assert_allclose(embedding, x, atol=1e-4)
    assert embedding.shape == (4, 256)
    for name, units in (("dense_1", 128), ("dense_2", 32)):
        x = np.maximum(dense(x, name), 0)
        assert x.shape == (4, units)
    x = dense(x, "logits")
    np.testing.assert_allclose(model(images), softmax(x, axis=-1), atol=1e-4)


# === MA-Net ===


def test_the_prediction_mixes_two_branches(ma_net):
    images = pictures((3, 64, 64, 3))
    names = ("local_logits", "global_logits", "logits")
    parts = keras.Model(
        ma_net.input,
        [*(ma_net.get_layer(name).output for name in names), ma_net.output],
    )
    local, whole, logits, predictions = map(np.array, parts(images))
    assert not np.allclose(local, whole, atol=0.5)
    np.testing.assert_allclose(logits, 0.6 * local + 0.4 * whole, atol=1e-5)
    np.testing.assert_allclose(
        predictions, softmax(0.6 * local + 0.4 * whole, axis=-1), atol=1e-5
    )
    pool = ma_net.get_layer("local_average_pool")
    assert pool.input is ma_net.get_layer("quadrants").output
    pool = ma_net.get_layer("global_average_pool")
    assert pool.input is ma_net.get_layer("global_block_4_relu_2").output


def test_attention_stands_before_the_addition(ma_net):
    kinds = [type(layer) for layer in ma_net.layers]
    assert kinds.count(ConvolutionalBlockAttention) == 4 * 4
    for name in QUADRANTS:
        before = ma_net.get_layer(name).output
        for index, channels in enumerate((256, 256, 512, 512), start=1):
            block = f"{name}_block_{index}"
            attention = ma_net.get_layer(f"{block}_attention")
            config = attention.get_config()
            wanted = {
                "ratio": 16,
                "kernel_size": 7,
                "use_bias": True,
                "use_norm": True,
            }
            assert wanted.items() <= config.items()
            norm = ma_net.get_layer(f"{block}_conv_2_norm")
            assert attention.input is norm.output
            shortcut = before
            if index in (1, 3):
                shortcut = ma_net.get_layer(f"{block}_shortcut_norm").output
                assert ma_net.get_layer(f"{block}_shortcut").input is before
            added = ma_net.get_layer(f"{block}_add").input
            assert [id(x) for x in added] == [
                id(attention.output),
                id(shortcut),
            ]
            before = ma_net.get_layer(f"{block}_relu_2").output
            assert before.shape == (None, 2, 2, channels)


def test_quadrants_keep_their_place(ma_net):
    first = ma_net.get_layer("layer_2_block_2_relu_2").output
    branch = keras.Model(first, ma_net.get_layer("quadrants").output)
    features = np.random.default_rng(2).uniform(size=(1, 8, 8, 128))
    before = np.array(branch(features))
    assert before.shape == (1, 4, 4, 512)
    for name, (rows, columns) in QUADRANTS.items():
        changed = features.copy()
        changed[:, rows, columns] += 1
        moved = np.abs(np.array(branch(changed)) - before).max((0, 3)) > 0
        # Its output is half as large.
        place = np.zeros((8, 8), bool)
        place[rows, columns] = True
        np.testing.assert_array_equal(moved, place[::2, ::2], name)


def test_quadrants_of_an_odd_map_share_its_middle():
    inputs = keras.Input((5, 4, 1))
    model = keras.Model(
        inputs,
        [
            _apply_quadrant(inputs, upper, left, f"{upper}_{left}")
            for upper in (True, False)
            for left in (True, False)
        ],
    )
    given = np.arange(20.0).reshape(1, 5, 4, 1)
    expected = [
        given[:, rows, columns]
        for rows in (slice(0, 3), slice(2, 5))
        for columns in (slice(0, 2), slice(2, 4))
    ]
    for ours, theirs in zip(model(given), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def normalised(x, layer):
    gamma, beta, mean, variance = layer.get_weights()
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def convolved(x, layer, strides=1):
    """Padded by half of the kernel on each side, as PyTorch does."""
    kernel = np.array(layer.kernel)
    half = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (half, half), (half, half), (0, 0)))
    outputs = [
        [
            sum(
                correlate2d(picture[..., c], kernel[..., c, o], "valid")
                for c in range(x.shape[-1])
            )
            for o in range(kernel.shape[-1])
        ]
        for picture in padded
    ]
    return np.moveaxis(outputs, 1, -1)[:, ::strides, ::strides]


@pytest.mark.parametrize(
    ("filters", "strides"),
    [(8, 2), (8, 1), (12, 1)],
    ids=["smaller", "plain", "wider"],
)
def test_a_multi_scale_block(filters, strides):
    inputs = keras.Input((7, 6, 8))
    x = _apply_multi_scale_block(inputs, filters, strides, "block")
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(3)
    model.set_weights(
        [
            rng.uniform(0.5, 2, w.shape)
            if w.name == "moving_variance"
            else rng.normal(size=w.shape)
            for w in model.weights
        ]
    )
    given = rng.normal(size=(2, 7, 6, 8))

    def apply(x, name, strides=1):
        layer = model.get_layer(f"block_{name}")
        norm = model.get_layer(f"block_{name}_norm")
        return normalised(convolved(x, layer, strides), norm)

    x = np.maximum(apply(given, "conv", strides), 0)
    s1, s2, s3, s4 = np.split(x, 4, axis=-1)
    y1 = apply(s1, "forward_1")
    y2 = apply(np.maximum(y1, 0) + s2, "forward_2")
    y3 = apply(np.maximum(y2, 0) + s3, "forward_3")
    y4 = apply(np.maximum(y3, 0) + s4, "forward_4")
    z4 = apply(s4, "backward_1")
    z3 = apply(np.maximum(z4, 0) + s3, "backward_2")
    z2 = apply(np.maximum(z3, 0) + s2, "backward_3")
    z1 = apply(np.maximum(z2, 0) + s1, "backward_4")
    shortcut = given
    if (filters, strides) != (8, 1):
        shortcut = apply(given, "shortcut", strides)
    expected = np.maximum(
        np.concatenate([y1, y2, y3, y4], axis=-1)
        + np.concatenate([z1, z2, z3, z4], axis=-1)
        + shortcut,
        0,
    )
    assert expected.shape[1:3] == ((4, 3) if strides == 2 else (7, 6))
    np.testing.assert_allclose(model(given), expected, rtol=1e-3, atol=1e-3)
