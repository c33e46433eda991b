"""The small model: its limits, and its ghost modules against NumPy."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from by_hand import convolution
from harness import check_gradients, pictures

import kerafer
from kerafer.evaluation import complexity
from kerafer.export.converter import Converter
from kerafer.export.graph import freeze_graph
from kerafer.export.image_input import image_input
from kerafer.models.kerafer_edge import apply_ghost_module


def counted_macs(model):
    """Multiply-adds of the operations that TensorFlow would run."""
    # As one convolution the branches would count the zeros around them.
    model.get_layer("stem").fused = False
    function = tf.function(lambda image: model(image, training=False))
    graph = function.get_concrete_function(
        tf.TensorSpec((1, *model.input_shape[1:]))
    ).graph
    macs = 0
    for operation in graph.get_operations():
        if operation.type not in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
            continue
        outputs = math.prod(operation.outputs[0].shape)
        kernel = operation.inputs[1].shape
        if operation.type == "Conv2D":
            macs += outputs * math.prod(kernel[:3])
        elif operation.type == "MatMul":
            assert not operation.get_attr("transpose_b")
            macs += outputs * kernel[0]
        else:
            macs += outputs * math.prod(kernel[:2])
    return macs


@pytest.fixture(scope="module")
def colour():
    keras.utils.set_random_seed(1)
    return kerafer.create_model("kerafer_edge", 7, (64, 64, 3))


def test_its_cost_is_that_of_tensorflows_operations(colour):
    assert complexity(colour, "macs").macs == counted_macs(colour)


@pytest.mark.parametrize(
    ("width", "largest"), [(1.0, 1_200_000), (0.375, 150_000)]
)
def test_the_int8_file_is_as_small_as_a_phone_asks_for(width, largest):
    model = kerafer.create_model("kerafer_edge", 7, (64, 64, 3), width=width)
    images = pictures((4, 64, 64, 3)).astype(np.uint8)
    given = image_input(model, "uint8")
    with Converter() as converter:
        made = freeze_graph(model, given, 1, "float32", True)
        content = converter.convert(made, "int8", images)
    # A byte for each weight and more.
    weights = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert weights < len(content) < largest


@pytest.mark.parametrize(
    "shape", [(24, 24, 1), (48, 65, 1), (49, 49, 3), (112, 97, 3)]
)
def test_odd_and_oblong_pictures_fit(shape):
    model = kerafer.create_model("kerafer_edge", 3, shape, width=0.25)
    outputs = model(pictures((2, *shape)))
    np.testing.assert_allclose(np.sum(outputs, axis=1), 1, atol=1e-6)
    # Each of three steps by 2 rounds up.
    last = tuple(math.ceil(side / 8) for side in shape[:2])
    assert model.get_layer("head_attention").output.shape[1:3] == last


@pytest.mark.parametrize("shape", [(23, 23, 1), (23, 64, 3), (64, 23, 3)])
def test_smaller_pictures_are_refused(shape):
    size = f"{shape[0]} x {shape[1]}"
    with pytest.raises(kerafer.UserError, match=f"24 x 24 .* {size}"):
        kerafer.create_model("kerafer_edge", input_shape=shape)


def test_the_width_multiplies_the_channels_of_all_blocks():
    for width, expected in (
        (0.25, [12, 8, 16, 16, 40, 40]),
        (0.5, [24, 16, 32, 32, 80, 80]),
        (1.0, [48, 24, 64, 64, 160, 160]),
    ):
        model = kerafer.create_model(
            "kerafer_edge", 7, (48, 48, 1), width=width
        )
        names = ["stem", *(f"block_{index}_add" for index in range(1, 6))]
        channels = [model.get_layer(n).output.shape[-1] for n in names]
        assert channels == expected


def test_every_parameter_gets_a_gradient():
    keras.utils.set_random_seed(1)
    model = kerafer.create_model("kerafer_edge", 7, (48, 48, 3))
    check_gradients(model, pictures((8, 48, 48, 3)))


def normalized(values, weights):
    gamma, beta, mean, variance = weights
    return (values - mean) / np.sqrt(variance + 1e-5) * gamma + beta


@pytest.mark.parametrize(
    "facts",
    [
        {"filters": 6},
        {"filters": 6, "strides": 2},
        {"filters": 4, "activated": False},
    ],
    ids=str,
)
def test_a_ghost_module_is_what_the_article_says(facts):
    generator = np.random.default_rng(0)
    images = generator.normal(size=(2, 7, 6, 3)).astype("float32")
    inputs = keras.Input((7, 6, 3))
    model = keras.Model(inputs, apply_ghost_module(inputs, **facts))
    drawn = [
        generator.uniform(0.5, 1.5, weight.shape)
        * (generator.choice([-1, 1], weight.shape) if weight.trainable else 1)
        for weight in model.weights
    ]
    model.set_weights(drawn)
    # In the order of the layers: kernel, BatchNorm's four, and again.
    kernel, primary_norm, cheap_kernel, cheap_norm = (
        drawn[0],
        drawn[1:5],
        drawn[5],
        drawn[6:10],
    )
    last = (
        (lambda v: np.maximum(v, 0))
        if facts.get("activated", True)
        else (lambda v: v)
    )
    primary = convolution(images, kernel, facts.get("strides", 1))
    primary = last(normalized(primary, primary_norm))
    # Every primary channel alone, with each of its own kernels.
    cheap = np.concatenate(
        [
            convolution(primary[..., [c]], cheap_kernel[:, :, [c]])
            for c in range(primary.shape[-1])
        ],
        axis=-1,
    )
    cheap = last(normalized(cheap, cheap_norm))
    assert primary.shape[-1] * 2 == facts["filters"]
    expected = np.concatenate([primary, cheap], axis=-1)
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-4)
