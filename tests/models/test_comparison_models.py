"""The methods that the article compares with, and the layers they need."""

import math
import re
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from harness import check_gradients, check_layer, pictures
from scipy.signal import correlate2d

import kerafer
from kerafer.layers import (
    ChannelSlice,
    CoordinateAttention,
    DualDirectionHead,
    SqueezeExcitation,
)
from kerafer.models import registry
from kerafer.models.ddamfn import _apply_bottleneck, ddamfn
from kerafer.models.mlcl_net import (
    _apply_doubled_sum,
    _apply_down_block,
    _apply_mlcl,
)
from kerafer.models.save import save_model

FEATURES = np.random.default_rng(0).normal(size=(2, 13, 11, 8)).astype("f")


# === Counts ===


def trainable(model):
    return sum(math.prod(w.shape) for w in model.trainable_weights)


def multiply_adds(model):
    """Of convolutions and dense layers, from shapes alone."""
    total = 0
    for layer in model.layers:
        outputs = math.prod(layer.output.shape[1:])
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            total += outputs * math.prod(layer.kernel_size)
        elif isinstance(layer, keras.layers.Conv2D):
            channels = layer.input.shape[-1]
            total += outputs * channels * math.prod(layer.kernel_size)
        elif isinstance(layer, keras.layers.Dense):
            total += layer.input.shape[-1] * layer.units
        elif isinstance(layer, SqueezeExcitation):
            total += 2 * layer.input.shape[-1] ** 2 // layer.ratio
        elif isinstance(layer, CoordinateAttention | DualDirectionHead):
            _, height, width, channels = layer.input.shape
            reduced = max(8, channels // layer.ratio)
            total += 2 * (height + width) * channels * reduced
            if isinstance(layer, DualDirectionHead):
                total += 2 * height * width * channels
        else:
            kernels = [w for w in layer.weights if len(w.shape) > 1]
            prelu = isinstance(layer, keras.layers.PReLU)
            assert prelu or not kernels, layer
    return total


@pytest.fixture(scope="module")
def large_ddamfn():
    return kerafer.create_model("ddamfn", 7, (112, 112, 3))


# Small enough to train in a test, all but one with 80 million parameters.
SIDES = {"ddamfn": 32, "mlcl_net": 21, "res_emote_net": 64}


@pytest.fixture(scope="module")
def models():
    """Every model, made once."""
    made = {}
    for name, side in SIDES.items():
        keras.utils.set_random_seed(1)
        made[name] = kerafer.create_model(name, 7, (side, side, 3))
    return made


@pytest.fixture
def res_emote_net(models):
    return models["res_emote_net"]


def test_counts_of_ddamfn(large_ddamfn):
    assert trainable(large_ddamfn) == 4_105_999
    assert round(multiply_adds(large_ddamfn) / 1e9, 3) == 0.540
    # What the published program declares and never calls: BatchNorm and PReLU
    # of each bottleneck's depthwise channels, a 7x7 kernel with BatchNorm in
    # each head, BatchNorm of 7 logits.
    widths = 10 * 128 + 17 * 256 + 1024 + 6 * 512
    unused = 3 * widths + 2 * (49 + 2) * 512 + 2 * 7
    assert trainable(large_ddamfn) + unused == 4_187_421


def test_ddamfns_kernels_are_as_large_as_its_last_map(large_ddamfn):
    larger = kerafer.create_model("ddamfn", 7, (224, 224, 3))
    assert larger.get_layer("pool").kernel_size == (14, 14)
    heads = 2 * 2 * (14 - 7) * 512
    pool = (14**2 - 7**2) * 512
    assert trainable(larger) == trainable(large_ddamfn) + heads + pool


def test_ddamfns_maps_are_oblong_where_the_picture_is():
    model = kerafer.create_model("ddamfn", 3, (17, 40, 1))
    assert model.get_layer("head_1").output.shape == (None, 2, 3, 512)
    assert model.get_layer("pool").kernel_size == (2, 3)
    assert model.output_shape == (None, 3)


def test_ddamfns_loss_finds_the_heads(large_ddamfn):
    heads = [large_ddamfn.get_layer(f"head_{index}") for index in (1, 2)]
    assert all(isinstance(head, DualDirectionHead) for head in heads)
    assert heads[0].input is heads[1].input
    maximum = large_ddamfn.get_layer("head_maximum")
    assert maximum.input == [head.output for head in heads]
    product = large_ddamfn.get_layer("head_product")
    assert product.input == [heads[0].input, maximum.output]
    first, second = (np.array(head.reduce_kernel) for head in heads)
    assert not np.allclose(first, second)


def test_mlcl_nets_pyramid_is_that_of_the_published_segmentation():
    model = kerafer.create_model("mlcl_net", 7, (512, 512, 3))
    pyramid = model.get_layer("pyramid").output
    assert pyramid.shape == (None, 512, 512, 64)
    mask = keras.layers.Conv2D(1, 1, activation="sigmoid")(pyramid)
    segmentation = keras.Model(model.input, mask)
    assert trainable(segmentation) == 657_249
    assert round(multiply_adds(segmentation) / 1e9, 2) == 28.05
    # 64 to 7 in place of 64 to 1, with biases.
    assert trainable(model) == 657_249 + 6 * 65


def test_counts_of_res_emote_net(res_emote_net):
    assert trainable(res_emote_net) == 80_238_599
    assert round(multiply_adds(res_emote_net) / 1e9, 3) == 0.337
    assert res_emote_net.get_layer("block_3_add").output.shape[1:3] == (1, 1)


def test_res_emote_net_builds_at_the_articles_size(res_emote_net):
    model = kerafer.create_model("res_emote_net", 7, (224, 224, 3))
    assert trainable(model) == trainable(res_emote_net)
    assert model.get_layer("block_3_add").output.shape[1:3] == (4, 4)


@pytest.mark.parametrize(
    ("size", "channels"),
    [(48, 1), (56, 3), (63, 1), (64, 3), (97, 3), (112, 1), (224, 3)],
)
def test_mlcl_net_builds_at_any_size(size, channels):
    shape = (size, size + 3, channels)
    model = kerafer.create_model("mlcl_net", 3, shape)
    assert model.output_shape == (None, 3)
    for stage, divisor in ((1, 1), (2, 2), (3, 4)):
        merged = model.get_layer(f"mlcl_{stage}_merge").output.shape[1:3]
        assert merged == tuple(math.ceil(n / divisor) for n in shape[:2])


def test_mlcl_net_builds_at_the_least_size():
    model = kerafer.create_model("mlcl_net", 2, (5, 9, 1))
    assert model.get_layer("mlcl_3_merge").output.shape[1:3] == (2, 3)


@pytest.mark.parametrize(
    ("name", "least"), [("ddamfn", 17), ("mlcl_net", 5), ("res_emote_net", 8)]
)
def test_the_least_size_is_named(name, least):
    for shape in ((least - 1, 99, 1), (99, least - 1, 3)):
        with pytest.raises(kerafer.UserError) as caught:
            kerafer.create_model(name, 2, shape)
        said = str(caught.value)
        assert said.startswith(f"{name} needs images of at least {least} x ")
        assert said.endswith(f"Received: {shape[0]} x {shape[1]}.")


# === Training, saving, precision ===


@pytest.mark.slow
@pytest.mark.parametrize("name", SIDES)
def test_every_parameter_learns_and_is_saved(name, models, tmp_path):
    model = models[name]
    images = pictures((8, *model.input_shape[1:]))
    check_gradients(model, images)
    expected = model(images)
    np.testing.assert_allclose(np.sum(expected, axis=1), 1, atol=1e-6)
    save_model(model, tmp_path / "model.keras")
    loaded = kerafer.load_model(tmp_path / "model.keras")
    (tmp_path / "model.keras").unlink()
    assert loaded.name == name
    np.testing.assert_array_equal(loaded(images), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "policy", "middle"),
    [
        ("ddamfn", "mixed_float16", "head_product"),
        ("mlcl_net", "mixed_float16", "pyramid"),
        ("mlcl_net", "mixed_bfloat16", "pyramid"),
    ],
)
def test_half_precision_gives_float32_probabilities(
    name, policy, middle, models
):
    reference = models[name]
    shape = reference.input_shape[1:]
    keras.config.set_dtype_policy(policy)
    model = kerafer.create_model(name, 7, shape)
    model.set_weights(reference.get_weights())
    images = pictures((4, *shape))
    outputs = model(images)
    assert outputs.dtype == "float32"
    half = policy.removeprefix("mixed_")
    assert model.get_layer(middle).output.dtype == half
    np.testing.assert_allclose(np.sum(outputs, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(outputs, reference(images), atol=0.1)


# === Layers and blocks by hand ===


def draw_weights(holder):
    """Random weights, and positive ones where they are variances."""
    rng = np.random.default_rng(8)
    holder.set_weights(
        [
            rng.uniform(0.5, 2, w.shape)
            if w.name == "moving_variance"
            else rng.normal(size=w.shape)
            for w in holder.weights
        ]
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hard_swish(x):
    return x * np.clip(x + 3, 0, 6) / 6


def normalised(x, layer, of_the_batch=False):
    gamma, beta, mean, variance = layer.get_weights()
    if of_the_batch:
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes)
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def correlated(plane, kernel, rate=1, strides=1):
    """One channel with one kernel, padded by half of it on each side."""
    height, width = ((n - 1) * rate + 1 for n in kernel.shape)
    spread = np.zeros((height, width))
    spread[::rate, ::rate] = kernel
    padded = np.pad(plane, ((height // 2,) * 2, (width // 2,) * 2))
    return correlate2d(padded, spread, "valid")[::strides, ::strides]


def depthwise(x, layer, strides=1):
    kernel = np.array(layer.kernel)[..., 0]
    return np.stack(
        [
            np.stack(
                [
                    correlated(x[b, ..., c], kernel[..., c], 1, strides)
                    for c in range(x.shape[-1])
                ],
                axis=-1,
            )
            for b in range(len(x))
        ]
    )


def convolved(x, layer, rate=1):
    kernel = np.array(layer.kernel)
    outputs = np.stack(
        [
            np.stack(
                [
                    sum(
                        correlated(x[b, ..., c], kernel[..., c, o], rate)
                        for c in range(x.shape[-1])
                    )
                    for o in range(kernel.shape[-1])
                ],
                axis=-1,
            )
            for b in range(len(x))
        ]
    )
    return outputs + (0 if layer.bias is None else np.array(layer.bias))


def test_channel_slice_takes_what_stands_between():
    _, outputs = check_layer(ChannelSlice, {"start": 2, "stop": 5}, FEATURES)
    np.testing.assert_array_equal(outputs, FEATURES[:, :, :, 2:5])
    _, outputs = check_layer(ChannelSlice, {"start": 7, "stop": 8}, FEATURES)
    np.testing.assert_array_equal(outputs, FEATURES[:, :, :, 7:])


@pytest.mark.parametrize(
    ("start", "stop", "message"),
    [
        (3, 3, "`start` must be 0 or more and `stop` above it"),
        (-2, 3, "`start` must be 0 or more"),
        (0, 1.0, "must be integers.*stop=1.0"),
        (True, 3, "must be integers"),
        (4, 9, "up to channel 9 .* Received: channels=8"),
    ],
)
def test_channel_slice_states_the_rule(start, stop, message):
    with pytest.raises(ValueError, match=message):
        ChannelSlice(start, stop)(FEATURES)


def numpy_head(features, layer, of_the_batch=False):
    """Row by row and column by column, a correlation for each channel."""
    row_pool = np.array(layer.row_pool_kernel)
    column_pool = np.array(layer.column_pool_kernel)
    rows, columns = [], []
    for picture in features.astype("f8"):
        planes = np.moveaxis(picture, -1, 0)
        rows.append(
            [
                correlate2d(plane, row_pool[None, :, c], "valid")[:, 0]
                for c, plane in enumerate(planes)
            ]
        )
        columns.append(
            [
                correlate2d(plane, column_pool[:, None, c], "valid")[0]
                for c, plane in enumerate(planes)
            ]
        )
    rows = np.swapaxes(rows, 1, 2)
    columns = np.swapaxes(columns, 1, 2)
    assert rows.shape[1] == features.shape[1]
    assert columns.shape[1] == features.shape[2]
    both = np.concatenate(
        [
            normalised(rows, layer.row_norm, of_the_batch),
            normalised(columns, layer.column_norm, of_the_batch),
        ],
        axis=1,
    )
    hidden = both @ np.array(layer.reduce_kernel) + np.array(layer.reduce_bias)
    hidden = hard_swish(normalised(hidden, layer.norm, of_the_batch))
    height = features.shape[1]
    rows = hidden[:, :height] @ np.array(layer.row_kernel)
    columns = hidden[:, height:] @ np.array(layer.column_kernel)
    return np.einsum(
        "bic,bjc->bijc",
        sigmoid(rows + np.array(layer.row_bias)),
        sigmoid(columns + np.array(layer.column_bias)),
    )


def test_a_head_maps_rows_and_columns():
    # Momentum 1: the statistics stay as they are while gradients are checked.
    layer, _ = check_layer(DualDirectionHead, {"momentum": 1.0}, FEATURES)
    draw_weights(layer)
    np.testing.assert_allclose(
        layer(FEATURES), numpy_head(FEATURES, layer), atol=1e-5
    )


def test_a_head_learns_from_the_batchs_statistics():
    layer = DualDirectionHead()
    layer.build(FEATURES.shape)
    draw_weights(layer)
    before = [
        norm.get_weights()[2] for norm in (layer.row_norm, layer.column_norm)
    ]
    expected = numpy_head(FEATURES, layer, of_the_batch=True)
    outputs = layer(FEATURES, training=True)
    np.testing.assert_allclose(outputs, expected, atol=1e-4)
    sums = (
        np.einsum("bijc,jc->bic", FEATURES, np.array(layer.row_pool_kernel)),
        np.einsum("bijc,ic->bjc", FEATURES, np.array(layer.column_pool_kernel)),
    )
    for norm, old, values in zip(
        (layer.row_norm, layer.column_norm), before, sums, strict=True
    ):
        np.testing.assert_allclose(
            norm.moving_mean, 0.9 * old + 0.1 * values.mean((0, 1)), atol=1e-5
        )


@pytest.mark.parametrize(("channels", "middle"), [(8, 8), (512, 16)])
def test_a_heads_weights(channels, middle):
    layer = DualDirectionHead()
    layer.build((None, 7, 5, channels))
    pools = (7 + 5) * channels + 4 * channels
    expected = pools + 3 * channels * middle + 2 * channels + 3 * middle
    assert trainable(layer) == expected


def test_a_head_with_the_channels_first():
    last = DualDirectionHead(momentum=1.0)
    expected = np.array(last(FEATURES))
    turned = FEATURES.transpose(0, 3, 1, 2)
    first, _ = check_layer(
        DualDirectionHead,
        {"momentum": 1.0, "data_format": "channels_first"},
        turned,
    )
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(
        np.array(first(turned)).transpose(0, 2, 3, 1), expected, atol=1e-5
    )


def test_a_head_states_the_rule():
    with pytest.raises(ValueError, match="Height and width must be defined"):
        DualDirectionHead()(keras.Input((None, 7, 8)))
    with pytest.raises(ValueError, match="number of channels must be defined"):
        DualDirectionHead()(keras.Input((7, 7, None)))
    with pytest.raises(ValueError, match="`ratio` must be a positive"):
        DualDirectionHead(ratio=0)


@pytest.mark.parametrize("strides", [1, 2])
def test_a_bottleneck_of_ddamfn(strides):
    inputs = keras.Input((7, 6, 4))
    x = _apply_bottleneck(inputs, 4, strides, 6, (3, 2, 1), "block")
    model = keras.Model(inputs, x)
    draw_weights(model)
    given = np.random.default_rng(3).normal(size=(2, 7, 6, 4))

    def named(name):
        return model.get_layer(f"block_{name}")

    x = normalised(convolved(given, named("expand")), named("expand_norm"))
    slopes = np.array(named("expand_prelu").alpha)
    x = np.where(x > 0, x, slopes * x)
    x = np.concatenate(
        [
            depthwise(x[..., :3], named("depthwise_3"), strides),
            depthwise(x[..., 3:5], named("depthwise_5"), strides),
            depthwise(x[..., 5:], named("depthwise_7"), strides),
        ],
        axis=-1,
    )
    attention = named("attention")
    height = x.shape[1]
    hidden = np.concatenate([x.mean(2), x.mean(1)], axis=1)
    hidden = hidden @ np.array(attention.reduce_kernel)
    hidden = hidden + np.array(attention.reduce_bias)
    hidden = hard_swish(normalised(hidden, attention.norm))
    rows = hidden[:, :height] @ np.array(attention.row_kernel)
    columns = hidden[:, height:] @ np.array(attention.column_kernel)
    x = x * sigmoid(rows + np.array(attention.row_bias))[:, :, None]
    x = x * sigmoid(columns + np.array(attention.column_bias))[:, None]
    x = normalised(convolved(x, named("reduce")), named("reduce_norm"))
    if strides == 1:
        x = x + given
    assert x.shape == (2, *((7, 6, 4) if strides == 1 else (4, 3, 4)))
    np.testing.assert_allclose(model(given), x, rtol=1e-3, atol=1e-3)


def test_an_mlcl_module():
    inputs = keras.Input((9, 8, 3))
    model = keras.Model(inputs, _apply_mlcl(inputs, "mlcl"))
    draw_weights(model)
    given = np.random.default_rng(4).normal(size=(2, 9, 8, 3))
    branches = []
    for size in (1, 3, 5):
        name = f"mlcl_branch_{size}"
        x = np.maximum(convolved(given, model.get_layer(f"{name}_local")), 0)
        dilated = model.get_layer(f"{name}_dilated")
        branches.append(np.maximum(convolved(x, dilated, rate=size), 0))
    x = np.concatenate(branches, axis=-1)
    expected = convolved(x, model.get_layer("mlcl_merge"))
    np.testing.assert_allclose(model(given), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(8, 6), (7, 6), (7, 5)])
def test_a_down_block_of_mlcl_net(shape):
    inputs = keras.Input((*shape, 2))
    x = _apply_down_block(inputs, 3, "block")
    model = keras.Model(inputs, x)
    draw_weights(model)
    given = np.random.default_rng(5).normal(size=(2, *shape, 2))

    def apply(x, name):
        layer = model.get_layer(f"block_{name}")
        return normalised(
            convolved(x, layer), model.get_layer(f"block_{name}_norm")
        )

    side = np.maximum(apply(given, "side"), 0)[:, ::2, ::2]
    x = np.maximum(apply(given, "conv_1"), 0)
    rows, columns = (range(0, n, 2) for n in shape)
    x = np.stack(
        [
            np.stack(
                [x[:, i : i + 2, j : j + 2].max((1, 2)) for j in columns],
                axis=1,
            )
            for i in rows
        ],
        axis=1,
    )
    expected = np.maximum(apply(x, "conv_2") + side, 0)
    np.testing.assert_allclose(model(given), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(8, 6), (7, 6), (8, 5), (7, 5)])
def test_doubling_is_opencvs_and_is_cut_to_odd_sizes(size):
    coarse, fine = keras.Input((4, 3, 2)), keras.Input((*size, 2))
    x = _apply_doubled_sum(coarse, fine, "sum")
    rng = np.random.default_rng(6)
    small = rng.normal(size=(4, 3, 2)).astype("f")
    large = rng.normal(size=(*size, 2)).astype("f")
    doubled = cv2.resize(small, (6, 8), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(
        keras.Model([coarse, fine], x)([small[None], large[None]])[0],
        doubled[: size[0], : size[1]] + large,
        atol=1e-5,
    )


# === Names ===


def test_ddamfn_answers_to_the_articles_name_too():
    assert registry.find_spec("ddmafn").builder is ddamfn
    assert "ddamfn" in kerafer.list_models()
    assert kerafer.list_models("ddmafn") == []
    with pytest.raises(kerafer.UserError, match="of ddamfn are none"):
        kerafer.create_model("ddmafn", heads=3)


def test_a_model_says_where_it_is_from_and_what_it_was_made_for():
    spec = registry.find_spec("ddmafn")
    assert spec.reference.startswith('Zhang et al., "A Dual-Direction')
    assert spec.reference.endswith("Electronics 12(17), 3595 (2023).")
    assert spec.size_note(112) is None
    assert "made for images of 112 pixels a side" in spec.size_note(224)
    note = registry.find_spec("kerafer_edge").size_note(224)
    assert "48 to 112 pixels a side; these have 224" in note
    assert registry.find_spec("wca_mcnn").size_note(48) is None
    assert all(registry.find_spec(n).reference for n in kerafer.list_models())


def test_the_documentation_has_the_sizes_that_models_were_made_for():
    page = Path(__file__).parents[2] / "docs" / "models.md"
    rows = re.findall(
        r"^\| `(\w+)`[^|]*\| (any size|\d+) \|", page.read_text(), re.M
    )
    assert len(rows) == 5
    for name, told in rows:
        size = None if told == "any size" else (int(told), int(told))
        assert registry.find_spec(name).made_for == size, name


def test_a_name_is_given_once(monkeypatch):
    monkeypatch.setattr(registry, "_SPECS", {})
    monkeypatch.setattr(registry, "_ALIASES", {})

    @registry.register_model
    def plain(num_classes, input_shape):
        raise NotImplementedError

    @registry.register_model(alias="other")
    def first(num_classes, input_shape):
        raise NotImplementedError

    def other(num_classes, input_shape):
        raise NotImplementedError

    def second(num_classes, input_shape):
        raise NotImplementedError

    with pytest.raises(ValueError, match=r"given once\. Received: 'other'"):
        registry.register_model(other)
    for alias in ("plain", "other"):
        with pytest.raises(ValueError, match=rf"once\. Received: '{alias}'"):
            registry.register_model(alias=alias)(second)
    assert registry.list_models() == ["first", "plain"]
    assert registry.find_spec("other").builder is first
    assert registry.find_spec("plain").builder is plain
