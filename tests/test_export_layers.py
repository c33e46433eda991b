"""Every kind of layer answers in every format as it does in Keras."""

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from kerafer.errors import UserError
from kerafer.export.graph import Graph
from kerafer.export.module import Module
from kerafer.export.onnx import onnx_bytes
from kerafer.export.stem import FORMS, Stem, choose_stem
from kerafer.export.tflite import tflite
from kerafer.layers import (
    ChannelAttention,
    ChannelSlice,
    ConvolutionalBlockAttention,
    CoordinateAttention,
    DualDirectionHead,
    EfficientChannelAttention,
    MultiScaleConv2D,
    SqueezeExcitation,
    WaveletChannelAttention,
)

SIZE = 16
PICTURES = 16


def pictures(seed=0):
    """Coloured blobs, uint8: noise alone would give one answer for all."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (PICTURES, 4, 4, 3))
    fine = np.kron(coarse, np.ones((1, SIZE // 4, SIZE // 4, 1)))
    fine += generator.normal(0, 20, fine.shape)
    return np.clip(fine, 0, 255).astype(np.uint8)


def shake(model, seed=0):
    """Weights as a training might leave them: nothing at its first value."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        last = weight.path.split("/")[-1]
        if last in ("gamma", "moving_variance", "scale"):
            weight.assign(generator.uniform(0.5, 1.5, weight.shape))
        elif last == "alpha":
            weight.assign(generator.uniform(-0.5, 0.5, weight.shape))
        elif len(weight.shape) == 1 or "fusion" in last:
            weight.assign(generator.normal(0.1, 0.2, weight.shape))
        elif len(weight.shape) == 4:
            # Keras starts depthwise kernels so small that little is left.
            alone = "depthwise" in weight.path
            taps = np.prod(weight.shape[: 2 if alone else 3])
            deviation = (2 / taps) ** 0.5
            weight.assign(generator.normal(0, deviation, weight.shape))
    return model


def normalised(x):
    return layers.BatchNormalization()(x)


def build(middle, size=SIZE, channels=3, stem=True):
    """A model with a part to test between its stem and its softmax."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, channels))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    if stem:
        x = normalised(layers.Conv2D(8, 3, strides=2, padding="same")(x))
    x = middle(x)
    if len(x.shape) == 4:
        x = layers.Flatten()(x)
    x = layers.Dense(3)(x)
    model = shake(keras.Model(inputs, layers.Softmax()(x)))
    # Logits around 0 and so far apart that a wrong layer shows.
    logits = np.array(keras.Model(inputs, x)(pictures()))
    factor = 4 / np.ptp(logits, axis=0).max()
    kernel, bias = model.layers[-2].get_weights()
    bias = (bias - logits.mean(axis=0)) * factor
    model.layers[-2].set_weights([kernel * factor, bias])
    return model


# === Parts to test ===


def depthwise(x):
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU(max_value=6)(normalised(x))
    x = layers.ZeroPadding2D(((1, 0), (0, 2)))(x)
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2)(x)
    x = layers.ReLU()(normalised(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu")(
        x
    )
    x = layers.DepthwiseConv2D(3, padding="same", dilation_rate=2)(x)
    return layers.DepthwiseConv2D((1, x.shape[2]))(x)


def depthwise_of_the_picture(x):
    x = layers.DepthwiseConv2D(5, strides=2, depth_multiplier=2)(x)
    return layers.ReLU()(normalised(x))


def convolutions(x):
    x = layers.Conv2D(12, 3, groups=4, padding="same")(x)
    x = layers.ReLU()(normalised(x))
    x = layers.Conv2D(24, 3, strides=2, groups=2, use_bias=False)(x)
    # As many groups as channels: depthwise.
    x = normalised(layers.Conv2D(48, 3, groups=24, padding="same")(x))
    x = layers.ReLU()(layers.UpSampling2D(2)(x))
    x = layers.Conv2D(6, 3, dilation_rate=3, padding="same")(x)
    x = layers.ReLU()(normalised(x))
    x = layers.ZeroPadding2D(2)(x)
    return layers.Conv2D(6, 3, dilation_rate=(2, 1))(x)


def multi_scale(x):
    x = MultiScaleConv2D(6, groups=3, dilation_rates=(1, 2, 1), strides=2)(x)
    x = layers.ReLU()(normalised(x))
    # As many groups as channels, and more filters than these.
    return normalised(MultiScaleConv2D(18, (1, 3), groups=18)(x))


def activations(x):
    x = layers.PReLU(shared_axes=[1, 2])(x)
    x = layers.PReLU()(layers.Conv2D(6, 3)(x))
    x = layers.Conv2D(6, 3, activation="hard_swish")(x)
    x = layers.Activation("silu")(x)
    x = layers.Activation("hard_swish")(layers.Conv2D(6, 1)(x))
    x = layers.Activation("relu6")(layers.Conv2D(6, 1)(x))
    return layers.PReLU()(layers.Dense(9)(layers.Flatten()(x)))


def combinations(x):
    y, z = layers.Conv2D(8, 1)(x), layers.Conv2D(8, 3, padding="same")(x)
    one = layers.Maximum()([x, y, z])
    two = layers.Average()([x, y, z])
    three = layers.Subtract()([layers.Multiply()([x, y]), z])
    x = layers.ReLU()(layers.Add()([one, two, three]))
    # A weight a channel, a channel's place, a row and a place.
    pooled = layers.GlobalMaxPooling2D()(x)
    x = layers.Multiply()([x, layers.Dense(8, activation="sigmoid")(pooled)])
    mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Add()([x, layers.Conv2D(8, 1)(mean)])
    row = layers.AveragePooling2D((1, x.shape[2]))(x)
    x = layers.Multiply()([layers.Dense(8)(row), x])
    return layers.Maximum()([x, layers.Conv2D(1, 1)(x)])


def concatenations(x):
    parts = [
        ChannelSlice(0, 3)(x),
        ChannelSlice(3, 8)(x),
        ChannelSlice(1, 8)(x),
    ]
    whole = ChannelSlice(0, 8)(x)
    x = layers.Concatenate()([*parts, whole])
    top = layers.Cropping2D(((0, 4), (0, 0)))(x)
    bottom = layers.Cropping2D(((3, 0), (0, 0)))(x)
    y = layers.Concatenate(axis=1)(
        [layers.Conv2D(4, 1)(bottom), *2 * [layers.Conv2D(4, 1)(top)]]
    )
    left = layers.Cropping2D(((0, 0), (1, 3)))(y)
    y = layers.Concatenate(axis=2)([layers.ReLU()(left), y])
    vectors = [
        layers.GlobalMaxPooling2D()(y),
        layers.GlobalAveragePooling2D()(x),
    ]
    return layers.Concatenate()([*vectors, layers.Flatten()(y)])


def narrowed(x):
    """A concatenation whose range its source must not get."""
    x = layers.Conv2D(4, 3)(x)
    averages = layers.AveragePooling2D(5, strides=1)(x)
    places = layers.Cropping2D(2)(layers.Conv2D(4, 1)(x))
    both = layers.Concatenate()([averages, layers.Rescaling(0.1)(places)])
    parts = [layers.Dense(6)(layers.Flatten()(y)) for y in (both, x)]
    return layers.Add()(parts)


def sizes(x):
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(4, 2)(x))
    x = layers.Conv2D(4, 3)(layers.UpSampling2D((2, 3))(x))
    x = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.AveragePooling2D(2)(layers.Conv2D(4, 1)(x))
    height, width = x.shape[1:3]
    x = layers.Reshape((width, 2, height * 2))(x)
    x = layers.Reshape((x.shape[1] * x.shape[2] * x.shape[3],))(x)
    return layers.Reshape((1, 2, -1))(layers.Dense(6)(x))


def rescaled(x):
    x = layers.Rescaling(0.5, offset=0.25)(layers.Conv2D(6, 3)(x))
    kept = layers.Rescaling(-2.0)(layers.ReLU()(x))
    heads = [
        layers.Rescaling(factor)(layers.Dense(5)(layers.Flatten()(y)))
        for factor, y in ((0.6, x), (0.4, kept))
    ]
    return layers.Add()(heads)


def shared(x):
    """One layer, used on two parts."""
    layer = layers.Conv2D(5, 3)
    halves = [
        layers.Cropping2D(((0, 3), (0, 0)))(x),
        layers.Cropping2D(((3, 0), (0, 0)))(x),
    ]
    return layers.Maximum()([layers.ReLU()(layer(half)) for half in halves])


def attentions(*attentions, relu=True):
    """Attentions one behind the other, on a map that is no square."""

    def middle(x):
        x = layers.Conv2D(16, 3, padding="same")(x)
        x = layers.Cropping2D(((0, 0), (1, 2)))(normalised(x))
        if relu:
            x = layers.ReLU()(x)
        for attention in attentions:
            x = attention(x)
        return x if relu else layers.ReLU()(x)

    return middle


def heads(x):
    x = attentions()(x)
    maps = [DualDirectionHead()(x) for _ in range(2)]
    return layers.Multiply()([x, layers.Maximum()(maps)])


PARTS = {
    "depthwise": depthwise,
    "convolutions": convolutions,
    "activations": activations,
    "combinations": combinations,
    "concatenations": concatenations,
    "narrowed": narrowed,
    "sizes": sizes,
    "rescaled": rescaled,
    "shared": shared,
    "weights for channels": attentions(
        SqueezeExcitation(use_bias=True),
        ChannelAttention(ratio=2, shared=False),
        SqueezeExcitation(activation="silu"),
        EfficientChannelAttention(kernel_size=5),
    ),
    "weights for places": attentions(
        ConvolutionalBlockAttention(use_norm=True, use_bias=True),
        CoordinateAttention(),
    ),
    "heads": heads,
    "wavelets": attentions(
        WaveletChannelAttention(fusion="gated"),
        WaveletChannelAttention(fusion="concat"),
        WaveletChannelAttention(fusion="gated", shared=False),
    ),
    "features below 0": attentions(
        ConvolutionalBlockAttention(),
        WaveletChannelAttention(fusion="concat"),
        relu=False,
    ),
}
ON_THE_PICTURE = {
    "depthwise on the picture": depthwise_of_the_picture,
    "multi-scale": multi_scale,
}


@pytest.fixture(scope="module", params=[*PARTS, *ON_THE_PICTURE])
def case(request):
    """A model, pictures, and its answers."""
    name = request.param
    on_the_picture = name in ON_THE_PICTURE
    parts = ON_THE_PICTURE if on_the_picture else PARTS
    model = build(parts[name], stem=not on_the_picture)
    expected = np.array(model(pictures()))
    assert np.ptp(expected, axis=0).max() > 0.3
    return Graph(model), pictures(), expected


def answers(file, images):
    interpreter = Interpreter(model_content=file.content())
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    found = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0])
    scale, zero = target["quantization"]
    found = np.array(found, np.float64)
    return (found - zero) * scale if scale else found


def test_nothing_is_left_that_can_be_folded(case):
    graph, *_ = case
    assert graph.nodes[0].kind == "input"
    for node in graph.nodes:
        assert node.kind != "scaling"
        if node.kind == "norm":
            (source,) = node.inputs
            sole = len(graph.consumers(source)) == 1
            assert source.relu or not (source.kernels and sole)


def test_any_batch_in_tensorflow(case):
    graph, images, expected = case
    function = Module(graph, "fused", batch=None).function
    found = function(images)["probabilities"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_float32_file(case):
    graph, images, expected = case
    found = answers(tflite(graph, "float32", "blocks"), images)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_onnx_file(case):
    graph, images, expected = case
    session = onnxruntime.InferenceSession(
        onnx_bytes(graph), providers=["CPUExecutionProvider"]
    )
    found = [
        session.run(None, {"image": image[None].astype(np.float32)})[0][0]
        for image in images
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float16", 0.01), ("dynamic", 0.05)]
)
@pytest.mark.parametrize(
    "part", ["depthwise", "convolutions", "weights for places"]
)
def test_files_of_smaller_weights(part, kind, tolerance):
    model = build(PARTS[part])
    found = answers(tflite(Graph(model), kind, "separate"), pictures())
    np.testing.assert_allclose(found, model(pictures()), atol=tolerance)


def test_file_without_floats(case):
    graph, images, expected = case
    file = tflite(graph, "integer", "separate", images)
    assert file.float_tensors == []
    assert not {"DEQUANTIZE", "BATCH_MATMUL"} & set(file.operators)
    found = answers(file, images)
    np.testing.assert_allclose(found, expected, atol=0.07)
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.8


def test_groups_and_dilation_stay_what_they_are():
    """No zeros in the files for them."""
    for part, kinds in (
        (convolutions, "ccdcc"),
        (depthwise, "ddddd"),
    ):
        nodes = Graph(build(part)).nodes[2:]
        nodes = [node for node in nodes if node.kernels][:-1]
        assert "".join(node.kind[0] for node in nodes) == kinds
        for node in nodes:
            assert all(kernel.all() for kernel in node.kernels)


def refuses(middle, message):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, middle(layers.Conv2D(4, 3)(inputs)))
    with pytest.raises(UserError, match=message):
        Graph(model)


def test_what_has_no_rule_is_named():
    for layer, message in (
        (layers.Conv2DTranspose(2, 3, name="odd"), "odd, a Conv2DTranspose"),
        (layers.Conv2D(2, 3, activation="gelu", name="odd"), "gelu, at odd"),
        (layers.Activation("tanh", name="odd"), "tanh, at odd"),
        (layers.ReLU(negative_slope=0.1, name="odd"), "max_value=6.*odd"),
        (layers.ReLU(max_value=1, name="odd"), "max_value=6.*odd"),
        (layers.UpSampling2D(interpolation="bicubic"), "bicubic, at up"),
        (layers.BatchNormalization(axis=1, name="odd"), "odd, axis 1"),
        (layers.Reshape((36, 4), name="odd"), r"odd, to \(36, 4\)"),
    ):
        refuses(layer, message)


def test_a_model_has_one_input_and_one_output():
    inputs = keras.Input((8, 8, 3))
    heads = [layers.Conv2D(2, size)(inputs) for size in (1, 3)]
    with pytest.raises(UserError, match="one input and one output"):
        Graph(keras.Model(inputs, heads))
    with pytest.raises(UserError, match="a Sequential"):
        Graph(keras.Sequential([inputs, layers.Conv2D(2, 3)]))


def test_pixels_are_scaled_and_then_convolved():
    inputs = keras.Input((8, 8, 3))
    x = layers.MaxPooling2D(name="early")(layers.Rescaling(2)(inputs))
    with pytest.raises(UserError, match="scale the pixels first"):
        Graph(keras.Model(inputs, layers.Conv2D(2, 3)(x)))


def test_the_form_of_the_stem_is_that_of_its_convolution(monkeypatch):
    asked = []

    def watched(graph, kind, form, pictures):
        asked.append((graph.nodes[-1].name, form))
        return tflite(graph, kind, form, pictures)

    monkeypatch.setattr("kerafer.export.stem.tflite", watched)
    inputs = keras.Input((SIZE, SIZE, 3))
    fine = layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    wide = MultiScaleConv2D(4, strides=2, name="wide")(inputs)
    x = layers.Concatenate()([fine, wide])
    graph = Graph(keras.Model(inputs, x))
    stem = choose_stem(graph, "float32", "auto", pictures()[0])
    assert asked == [("wide", form) for form in FORMS]
    assert set(stem.milliseconds) == set(FORMS)

    x = layers.Dense(3)(layers.Flatten()(inputs))
    graph = Graph(keras.Model(inputs, layers.Softmax()(x)))
    assert choose_stem(graph, "float32", "auto", pictures()[0]) == Stem(
        "separate"
    )


def test_a_layer_that_is_always_0_has_no_8_bit_range():
    inputs = keras.Input((SIZE, SIZE, 3))
    dead = layers.Conv2D(4, 3, name="_a dead one", activation="relu")
    x = layers.Conv2D(4, 3)(layers.Conv2D(4, 3)(inputs))
    x = layers.Add()([x, dead(layers.Conv2D(4, 3)(inputs))])
    dead.bias.assign([-1e6] * 4)
    x = layers.Softmax()(layers.Dense(3)(layers.Flatten()(x)))
    graph = Graph(keras.Model(inputs, x))
    with pytest.raises(UserError, match=r"are 0: a_dead_one\."):
        tflite(graph, "int8", "separate", pictures())
