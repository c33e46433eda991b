"""What each kind of layer costs, worked out by hand."""

import math

import keras
import pytest
import tensorflow as tf
from keras import layers

from kerafer.errors import UserError
from kerafer.evaluation import complexity
from kerafer.layers import (
    ChannelSlice,
    DualDirectionHead,
    MultiScaleConv2D,
    SqueezeExcitation,
    WaveletChannelAttention,
)


def counts(middle):
    """Multiply-adds, what the article adds, other operations: of features of
    6 rows, 4 columns and 8 channels, 192 numbers."""
    inputs = keras.Input((6, 4, 8))
    model = keras.Model(inputs, middle(inputs))
    macs, paper, flops = (
        complexity(model, convention).macs
        for convention in ("macs", "paper", "flops")
    )
    return macs, paper - macs, flops - 2 * macs


CASES = {
    # 24 places of 16 outputs, 9 taps each; biases.
    "depthwise": (
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        (24 * 16 * 9, 0, 24 * 16),
    ),
    # 3 x 2 places; a ReLU and no bias.
    "depthwise, strided": (
        layers.DepthwiseConv2D(
            5, strides=2, padding="same", use_bias=False, activation="relu"
        ),
        (6 * 8 * 25, 0, 6 * 8),
    ),
    # Each of 4 filters sees 4 of 8 channels.
    "groups": (
        layers.Conv2D(4, 3, padding="same", groups=2, use_bias=False),
        (24 * 4 * 9 * 4, 0, 0),
    ),
    # Dilation costs nothing: 3 x 3 taps, wherever they are; bias and ReLU6.
    "dilation": (
        layers.Conv2D(
            4, 3, padding="same", dilation_rate=2, activation="relu6"
        ),
        (24 * 4 * 9 * 8, 0, 24 * 4 * (1 + 2)),
    ),
    # Two branches, of 1 and 9 taps; each of 8 filters sees 2 channels.
    "multi-scale groups": (
        MultiScaleConv2D(8, (1, 3), groups=4),
        (24 * 8 * (1 + 9) * 2, 0, 24 * 16),
    ),
    "dense on a map": (layers.Dense(5), (24 * 8 * 5, 0, 24 * 5)),
    "prelu": (layers.PReLU(shared_axes=[1, 2]), (0, 0, 192 * 2)),
    "relu": (layers.ReLU(), (0, 0, 192)),
    "relu6": (layers.ReLU(max_value=6), (0, 0, 192 * 2)),
    "hard swish": (layers.Activation("hard_swish"), (0, 0, 192 * 4)),
    "silu": (layers.Activation("silu"), (0, 0, 192 * 5)),
    "linear": (layers.Activation("linear"), (0, 0, 0)),
    "rescaling": (layers.Rescaling(0.6), (0, 0, 192 * 2)),
    "maximum of 3": (lambda x: layers.Maximum()([x, x, x]), (0, 0, 2 * 192)),
    "average of 3": (lambda x: layers.Average()([x, x, x]), (0, 0, 3 * 192)),
    "product": (lambda x: layers.Multiply()([x, x]), (0, 0, 192)),
    "difference": (lambda x: layers.Subtract()([x, x]), (0, 0, 192)),
    "sum of 4": (lambda x: layers.Add()([x, x, x, x]), (0, 0, 3 * 192)),
    # A maximum of 24 numbers takes 23 comparisons; then the product.
    "product with channels": (
        lambda x: layers.Multiply()(
            [x, layers.GlobalMaxPooling2D(keepdims=True)(x)]
        ),
        (0, 0, 23 * 8 + 192),
    ),
    "concatenation": (lambda x: layers.Concatenate(1)([x, x]), (0, 0, 0)),
    "slices": (
        lambda x: ChannelSlice(2, 3)(layers.Cropping2D(1)(x)),
        (0, 0, 0),
    ),
    "reshape": (layers.Reshape((4, 6, 8)), (0, 0, 0)),
    "nearest": (layers.UpSampling2D(2), (0, 0, 0)),
    # Of two numbers, two products and a sum, in both directions.
    "bilinear": (
        layers.UpSampling2D(2, interpolation="bilinear"),
        (0, 0, 12 * 8 * 8 * 2 * 3),
    ),
    # 3 sums and a division.
    "average pool": (layers.AveragePooling2D(2), (0, 0, 3 * 2 * 8 * 4)),
    # Pools as long as a row and a column, W, and its two ways back, for 6 rows
    # and 4 columns; BatchNorm of these 10, once with 8 channels and once with
    # the 8 that are left at least.
    "dual-direction head": (
        DualDirectionHead(),
        (
            2 * 192 + 10 * 8 * 8 + 10 * 8 * 8,
            4 * 10 * 8 + 4 * 10 * 8,
            # Two norms; bias, norm and hard-swish; bias and sigmoid; product.
            2 * 80 + (1 + 2 + 4) * 80 + (1 + 4) * 80 + 192,
        ),
    ),
    # The average's 24 numbers and 1; hidden biases and silu; biases; sigmoid;
    # product.
    "squeeze and excitation": (
        SqueezeExcitation(use_bias=True, activation="silu"),
        (8 * 2 + 2 * 8, 25 * 8, 25 * 8 + (1 + 5) * 2 + 8 + 4 * 8 + 192),
    ),
    # As wCA, and the share: 16 numbers to one, a bias, a sigmoid, 1 - share,
    # two products.
    "gated": (
        WaveletChannelAttention(fusion="gated"),
        (
            2 * (8 * 2 + 2 * 8) + 16,
            25 * 8,
            (25 + 23) * 8 + 2 * 2 * 8 + (1 + 4 + 1 + 2 * 8) + 8 + 4 * 8 + 192,
        ),
    ),
    # One hidden vector of both pools.
    "concat": (
        WaveletChannelAttention(fusion="concat"),
        (16 * 2 + 2 * 8, 25 * 8, (25 + 23) * 8 + 2 * 8 + 4 * 8 + 192),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_counts_of_a_layer(name):
    middle, expected = CASES[name]
    assert counts(middle) == expected


def test_a_model_within_a_model_counts_in_full():
    inner_inputs = keras.Input((6, 4, 8))
    inner = keras.Model(
        inner_inputs, layers.DepthwiseConv2D(3)(layers.ReLU()(inner_inputs))
    )
    assert counts(inner) == (4 * 2 * 8 * 9, 0, 192 + 4 * 2 * 8)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.Conv2DTranspose(2, 3, name="odd"), "odd .Conv2DTranspose"),
        (layers.Conv2D(2, 3, activation="gelu", name="odd"), "gelu, at odd"),
        (layers.Activation("tanh", name="odd"), "tanh, at odd"),
        (
            layers.UpSampling2D(interpolation="bicubic", name="odd"),
            "bicubic, at odd",
        ),
    ],
)
def test_what_has_no_cost_here_is_named(layer, message):
    with pytest.raises(UserError, match=message):
        counts(layer)


def test_flops_agree_with_tensorflows_own_count():
    """Its profiler counts no BatchNorm and no average pooling."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )
    from tensorflow.python.profiler.model_analyzer import profile
    from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

    inputs = keras.Input((32, 24, 3))
    x = MultiScaleConv2D(12, (3, 5), groups=3, strides=2, fused=False)(inputs)
    x = layers.DepthwiseConv2D(5, padding="same")(x)
    x = layers.ReLU(max_value=6)(x)
    x = layers.Conv2D(32, 3, dilation_rate=2, padding="same")(x)
    parts = [ChannelSlice(0, 16)(x), ChannelSlice(16, 32)(x)]
    parts[0] = layers.DepthwiseConv2D(3, padding="same")(parts[0])
    x = layers.Maximum()([parts[0], parts[1]])
    x = layers.Conv2D(32, 1)(layers.Concatenate()([x, *parts]))
    x = layers.Multiply()([x, DualDirectionHead()(x)])
    x = layers.Dense(7)(layers.Flatten()(x))
    model = keras.Model(inputs, x)
    function = tf.function(lambda image: model(image, training=False))
    graph = convert_variables_to_constants_v2(
        function.get_concrete_function(tf.TensorSpec((1, 32, 24, 3)))
    ).graph
    options = ProfileOptionBuilder(ProfileOptionBuilder.float_operation())
    theirs = profile(
        graph, options=options.with_empty_output().build()
    ).total_float_ops
    assert math.isclose(complexity(model, "flops").macs, theirs, rel_tol=0.03)
