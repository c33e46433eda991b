"""The five methods that the article compares with, and their layers."""

import math

import cv2
import keras
import numpy as np
import pytest
from by_hand import (
    convolved,
    depthwise,
    draw_weights,
    hard_swish,
    multiply_adds,
    normalized,
    sigmoid,
    trainable,
)
from harness import check_gradients, check_layer, pictures
from scipy.special import softmax

import kerafer
from kerafer.layers import (
    ChannelSlice,
    DualDirectionHead,
)
from kerafer.models.ddamfn import _apply_bottleneck
from kerafer.models.ma_net import _apply_multi_scale_block
from kerafer.models.mlcl_net import (
    _apply_doubled_sum,
    _apply_down_block,
    _apply_mlcl,
)
from kerafer.models.save import save_model

FEATURES = np.random.default_rng(0).normal(size=(2, 13, 11, 8)).astype("f")
# At 7 classes: the side of the published images, trainable parameters, and
# multiply-adds there in G.
TABLE = {
    "ddamfn": (112, 4_105_999, 0.540),
    "res_emote_net": (64, 80_238_599, 0.337),
    "cder_net": (224, 11_345_095, 1.814),
    "ma_net": (224, 50_547_214, 3.638),
}
# Small enough to train in a test, all but one with 80 million parameters.
SIDES = {
    **{"ddamfn": 32, "mlcl_net": 21, "res_emote_net": 64},
    **{"cder_net": 64, "ma_net": 64},
}
QUADRANTS = {
    "upper_left": (slice(0, 4), slice(0, 4)),
    "upper_right": (slice(0, 4), slice(4, 8)),
    "lower_left": (slice(4, 8), slice(0, 4)),
    "lower_right": (slice(4, 8), slice(4, 8)),
}


def take_statistics(model, images):
    """Of these images, into every BatchNorm: without, the probabilities of a
    new model are nearly 0 and 1."""
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
    """Every model, made once."""
    made = {}
    for name, side in SIDES.items():
        keras.utils.set_random_seed(1)
        made[name] = kerafer.create_model(name, 7, (side, side, 3))
        if name in ("cder_net", "ma_net"):
            take_statistics(made[name], pictures((8, side, side, 3)))
    return made


@pytest.fixture(scope="module")
def ma_net(models):
    return models["ma_net"]


@pytest.fixture(scope="module")
def large_ddamfn():
    return kerafer.create_model("ddamfn", 7, (112, 112, 3))


@pytest.mark.parametrize("name", TABLE)
def test_counts(name, large_ddamfn):
    side, parameters, macs = TABLE[name]
    model = large_ddamfn
    if name != "ddamfn":
        model = kerafer.create_model(name, 7, (side, side, 3))
    assert model.name == name
    assert trainable(model) == parameters
    assert round(multiply_adds(model) / 1e9, 3) == macs
    places = {
        "ddamfn": ("features_prelu", (7, 7, 512)),
        "res_emote_net": ("block_3_add", (1, 1, 2048)),
        "cder_net": ("layer_4_block_2_add", (7, 7, 512)),
        "ma_net": ("quadrants", (14, 14, 512)),
    }
    layer, shape = places[name]
    assert model.get_layer(layer).output.shape[1:] == shape


def test_the_published_ddamfn_counts_layers_that_it_never_calls():
    # BatchNorm and PReLU of each bottleneck's depthwise channels, a 7x7 kernel
    # with BatchNorm in each head, BatchNorm of 7 logits.
    widths = 10 * 128 + 17 * 256 + 1024 + 6 * 512
    unused = 3 * widths + 2 * (49 + 2) * 512 + 2 * 7
    assert TABLE["ddamfn"][1] + unused == 4_187_421


def test_ddamfns_kernels_are_as_large_as_its_last_map(large_ddamfn):
    larger = kerafer.create_model("ddamfn", 7, (224, 224, 3))
    assert larger.get_layer("pool").kernel_size == (14, 14)
    heads = 2 * 2 * (14 - 7) * 512
    pool = (14**2 - 7**2) * 512
    assert trainable(larger) == trainable(large_ddamfn) + heads + pool


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


@pytest.mark.parametrize(
    ("size", "channels"), [(48, 1), (63, 1), (64, 3), (97, 3), (224, 3)]
)
def test_mlcl_net_builds_at_any_size(size, channels):
    shape = (size, size + 3, channels)
    model = kerafer.create_model("mlcl_net", 3, shape)
    assert model.output_shape == (None, 3)
    for stage, divisor in ((1, 1), (2, 2), (3, 4)):
        merged = model.get_layer(f"mlcl_{stage}_merge").output.shape[1:3]
        assert merged == tuple(math.ceil(n / divisor) for n in shape[:2])


@pytest.mark.parametrize("shape", [(48, 63, 1), (112, 96, 3)])
@pytest.mark.parametrize("name", ["cder_net", "ma_net"])
def test_other_sizes_build(name, shape):
    model = kerafer.create_model(name, 3, shape)
    assert model.output_shape == (None, 3)
    # A gray image has a stem of 7 x 7 x 2 x 64 weights less; 4 outputs of
    # 32 numbers and a bias, or twice 512, are less too.
    gray = 6272 if shape[-1] == 1 else 0
    outputs = {"cder_net": 4 * 33, "ma_net": 2 * 4 * 513}[name]
    assert trainable(model) == TABLE[name][1] - gray - outputs
    if name == "ma_net":
        # A map of a side n has quadrants of half of it, which are halved.
        sides = [math.ceil(math.ceil(n / 8) / 2) for n in shape[:2]]
        together = [2 * math.ceil(n / 2) for n in sides]
        quadrants = model.get_layer("quadrants").output
        assert quadrants.shape[1:] == (*together, 512)


@pytest.mark.parametrize(
    ("name", "least"),
    [("ddamfn", 17), ("mlcl_net", 5), ("res_emote_net", 8), ("ma_net", 9)],
)
def test_the_least_size_is_named_and_is_enough(name, least):
    for shape in ((least - 1, 99, 1), (99, least - 1, 3)):
        with pytest.raises(kerafer.UserError) as caught:
            kerafer.create_model(name, 2, shape)
        told = str(caught.value)
        assert told.startswith(f"{name} needs images of at least {least} x ")
        assert told.endswith(f"Received: {shape[0]} x {shape[1]}.")
    if name != "res_emote_net":
        model = kerafer.create_model(name, 2, (least, least, 1))
        outputs = model(pictures((2, least, least, 1)))
        np.testing.assert_allclose(np.sum(outputs, axis=1), 1, atol=1e-6)


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
        ("cder_net", "mixed_float16", "embedding"),
        ("cder_net", "mixed_bfloat16", "embedding"),
        ("ma_net", "mixed_float16", "quadrants"),
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


def test_channel_slice_takes_what_stands_between():
    _, outputs = check_layer(ChannelSlice, {"start": 2, "stop": 5}, FEATURES)
    np.testing.assert_array_equal(outputs, FEATURES[:, :, :, 2:5])
    _, outputs = check_layer(ChannelSlice, {"start": 7, "stop": 8}, FEATURES)
    np.testing.assert_array_equal(outputs, FEATURES[:, :, :, 7:])


def numpy_head(features, layer, of_the_batch=False):
    """Row by row and column by column, a sum for each channel."""
    rows = np.einsum("bijc,jc->bic", features, np.array(layer.row_pool_kernel))
    columns = np.einsum(
        "bijc,ic->bjc", features, np.array(layer.column_pool_kernel)
    )
    both = np.concatenate(
        [
            normalized(rows, layer.row_norm, of_the_batch),
            normalized(columns, layer.column_norm, of_the_batch),
        ],
        axis=1,
    )
    hidden = both @ np.array(layer.reduce_kernel) + np.array(layer.reduce_bias)
    hidden = hard_swish(normalized(hidden, layer.norm, of_the_batch))
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


@pytest.mark.parametrize("strides", [1, 2])
def test_a_bottleneck_of_ddamfn(strides):
    inputs = keras.Input((7, 6, 4))
    x = _apply_bottleneck(inputs, 4, strides, 6, (3, 2, 1), "block")
    model = keras.Model(inputs, x)
    draw_weights(model)
    given = np.random.default_rng(3).normal(size=(2, 7, 6, 4))

    def named(name):
        return model.get_layer(f"block_{name}")

    x = normalized(convolved(given, named("expand")), named("expand_norm"))
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
    hidden = hard_swish(normalized(hidden, attention.norm))
    rows = hidden[:, :height] @ np.array(attention.row_kernel)
    columns = hidden[:, height:] @ np.array(attention.column_kernel)
    x = x * sigmoid(rows + np.array(attention.row_bias))[:, :, None]
    x = x * sigmoid(columns + np.array(attention.column_bias))[:, None]
    x = normalized(convolved(x, named("reduce")), named("reduce_norm"))
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
        return normalized(
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


@pytest.mark.parametrize(
    ("filters", "strides"),
    [(8, 2), (8, 1), (12, 1)],
    ids=["smaller", "plain", "wider"],
)
def test_a_multi_scale_block(filters, strides):
    inputs = keras.Input((7, 6, 8))
    x = _apply_multi_scale_block(inputs, filters, strides, "block")
    model = keras.Model(inputs, x)
    draw_weights(model)
    given = np.random.default_rng(3).normal(size=(2, 7, 6, 8))

    def apply(x, name, strides=1):
        layer = model.get_layer(f"block_{name}")
        norm = model.get_layer(f"block_{name}_norm")
        return normalized(convolved(x, layer, strides), norm)

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
