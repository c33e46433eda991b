"""What each kind of layer costs, worked out by hand."""

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
    """Multiply-adds and what the article adds: of features of 6 rows, 4
    columns and 8 channels, 192 numbers."""
    inputs = keras.Input((6, 4, 8))
    model = keras.Model(inputs, middle(inputs))
    macs = complexity(model, "macs").macs
    return macs, complexity(model).macs - macs


CASES = {
    # 24 places of 16 outputs, 9 taps each.
    "depthwise": (
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        (24 * 16 * 9, 0),
    ),
    # 3 x 2 places.
    "depthwise, strided": (
        layers.DepthwiseConv2D(5, strides=2, padding="same", use_bias=False),
        (6 * 8 * 25, 0),
    ),
    # Each of 4 filters sees 4 of 8 channels.
    "groups": (
        layers.Conv2D(4, 3, padding="same", groups=2, use_bias=False),
        (24 * 4 * 9 * 4, 0),
    ),
    # Dilation costs nothing: 3 x 3 taps, wherever they are.
    "dilation": (
        layers.Conv2D(4, 3, padding="same", dilation_rate=2),
        (24 * 4 * 9 * 8, 0),
    ),
    # Two branches, of 1 and 9 taps; each of 8 filters sees 2 channels.
    "multi-scale groups": (
        MultiScaleConv2D(8, (1, 3), groups=4),
        (24 * 8 * (1 + 9) * 2, 0),
    ),
    "dense on a map": (layers.Dense(5), (24 * 8 * 5, 0)),
    "norm": (layers.BatchNormalization(), (0, 4 * 192)),
    "norm without scale": (layers.BatchNormalization(scale=False), (0, 384)),
    "activations": (
        lambda x: layers.Softmax()(layers.PReLU()(layers.ReLU()(x))),
        (0, 0),
    ),
    "sums": (lambda x: layers.Add()([x, layers.Rescaling(2)(x)]), (0, 0)),
    "pools": (
        lambda x: layers.AveragePooling2D(2)(
            layers.UpSampling2D(2)(layers.MaxPooling2D(2)(x))
        ),
        (0, 0),
    ),
    # 24 numbers and 1 for each of 8 channels.
    "global average": (layers.GlobalAveragePooling2D(), (0, 25 * 8)),
    "slices": (lambda x: ChannelSlice(2, 3)(layers.Cropping2D(1)(x)), (0, 0)),
    # Pools as long as a row and a column, W, and its two ways back, for 6 rows
    # and 4 columns; BatchNorm of these 10, once with 8 channels and once with
    # the 8 that are left at least.
    "dual-direction head": (
        DualDirectionHead(),
        (2 * 192 + 10 * 8 * 8 + 10 * 8 * 8, 4 * 10 * 8 + 4 * 10 * 8),
    ),
    "squeeze and excitation": (
        SqueezeExcitation(use_bias=True, activation="silu"),
        (8 * 2 + 2 * 8, 25 * 8),
    ),
    # Two pools, and a share from 16 numbers.
    "gated": (
        WaveletChannelAttention(fusion="gated"),
        (2 * (8 * 2 + 2 * 8) + 16, 25 * 8),
    ),
    # One hidden vector of both pools.
    "concat": (
        WaveletChannelAttention(fusion="concat"),
        (16 * 2 + 2 * 8, 25 * 8),
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
    assert counts(inner) == (4 * 2 * 8 * 9, 0)


def test_a_layer_without_a_rule_is_named():
    with pytest.raises(UserError, match="Conv2DTranspose"):
        counts(layers.Conv2DTranspose(2, 3, name="odd"))
    with pytest.raises(UserError, match="Dot"):
        counts(lambda x: layers.Dot((3, 3), name="odd")([x, x]))


def test_macs_agree_with_tensorflows_own_count():
    """Its profiler counts additions too, and no BatchNorm."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )
    from tensorflow.python.profiler.model_analyzer import profile
    from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

    inputs = keras.Input((32, 24, 3))
    x = MultiScaleConv2D(12, (3, 5), groups=3, strides=2, fused=False)(inputs)
    x = layers.DepthwiseConv2D(5, padding="same")(x)
    x = layers.Conv2D(32, 3, dilation_rate=2, padding="same")(x)
    x = layers.Conv2D(32, 1)(x)
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
    macs = complexity(model, "macs").macs
    assert 2 * macs <= theirs <= 1.1 * 2 * macs
