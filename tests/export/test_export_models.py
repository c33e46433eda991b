"""Models that anyone may build, in every format, against Keras.

Quick ones run always; what is large, or another case of the same, is slow.
"""

import json

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers as kl
from keras import ops

import kerafer
from kerafer.cli import main
from kerafer.errors import UserError
from kerafer.export.config import FILES, ExportConfig
from kerafer.export.converter import Converter
from kerafer.export.export import NothingExportedError, write_export
from kerafer.export.graph import freeze_graph
from kerafer.export.image_input import image_input
from kerafer.export.source import source_of_model
from kerafer.images import resize
from kerafer.layers import (
    ConvolutionalBlockAttention,
    CoordinateAttention,
    EfficientChannelAttention,
    Morlet,
    MultiScaleConv2D,
    SqueezeExcitation,
    WaveletChannelAttention,
    WaveletSqueezeExcitation,
)

SIZE = 32
EXACT = ("saved_model", "float32.tflite", "model.onnx")
EIGHT = ("int8.tflite",)
# onnx-int8 takes long.
FORMATS = "keras,savedmodel,float32,float16,dynamic,int8,onnx"


def images(count=40, channels=3, seed=0):
    """Blobs of every brightness, smooth as photographs are."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        middle = generator.uniform(40, 215)
        small = generator.normal(middle, 60, (5, 5, channels))
        small = small.astype(np.float32)
        found.append(resize(small, (SIZE, SIZE)).reshape(SIZE, SIZE, -1))
    return np.clip(found, 0, 255).astype(np.uint8)


def shaken(model, seed=0):
    """With weights as a training leaves them: nothing at its first value."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        last = weight.path.split("/")[-1]
        if last in ("gamma", "moving_variance"):
            weight.assign(generator.uniform(0.5, 1.5, weight.shape))
        elif last in ("beta", "moving_mean", "bias", "shift"):
            weight.assign(generator.normal(0, 0.2, weight.shape))
        elif last == "scale":
            sign = generator.choice((-1.0, 1.0), weight.shape)
            weight.assign(sign * generator.uniform(0.5, 1.5, weight.shape))
        elif last in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            fan = max(1, np.prod(weight.shape[:-1]))
            weight.assign(generator.normal(0, 1.5 / fan**0.5, weight.shape))
    return model


def functional(body, channels=3, head=True, scaled=True):
    image = keras.Input((SIZE, SIZE, channels))
    x = kl.Rescaling(1 / 127.5, -1.0)(image) if scaled else image
    x = body(x)
    if head:
        x = kl.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
        x = kl.Dense(4, activation="softmax")(x)
    return keras.Model(image, x)


def conv(filters=8, size=3, **arguments):
    return kl.Conv2D(filters, size, **arguments)


def chain(*layers):
    def body(x):
        for layer in layers:
            x = layer(x)
        return x

    return body


def residual(x):
    y = conv(padding="same")(x)
    return ops.relu(y + conv(padding="same")(y))


def sequential():
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            kl.Rescaling(1 / 255),
            conv(activation="relu"),
            kl.MaxPooling2D(),
            kl.Flatten(),
            kl.Dense(4, activation="softmax"),
        ]
    )


def nested():
    inner = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), conv(), kl.BatchNormalization()]
    )
    return functional(chain(inner, kl.ReLU()))


@keras.saving.register_keras_serializable(package="kerafer_tests")
class Subclassed(keras.Model):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.first = conv(activation="relu")
        self.pool = kl.GlobalAveragePooling2D()
        self.last = kl.Dense(4, activation="softmax")

    def call(self, images, training=None):
        return self.last(self.pool(self.first(images / 255.0)))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    return model


def two_outputs(named=False):
    image = keras.Input((SIZE, SIZE, 3))
    x = kl.GlobalAveragePooling2D()(conv()(kl.Rescaling(1 / 255)(image)))
    answer = kl.Dense(4, activation="softmax", name="feeling")(x)
    other = kl.Dense(2, name="gaze")(x)
    outputs = [answer, other]
    if named:
        outputs = {"z first": answer, "a second": other}
    return keras.Model(image, outputs)


def wide_branch(x):
    """One branch sees the image as it is, the other scaled."""
    return kl.Concatenate()([conv()(x), conv()(kl.Rescaling(1 / 255)(x))])


def self_attention(x):
    x = kl.Reshape((36, 8))(conv(8, 5, strides=5, padding="valid")(x))
    return kl.Reshape((6, 6, 8))(kl.MultiHeadAttention(2, 4)(x, x))


def flat_wavelet(x):
    """Nothing behind the wavelet computes with a scale of its own."""
    x = Morlet()(conv(4)(x))
    return kl.Dense(8, activation="relu")(kl.Flatten()(kl.MaxPooling2D(6)(x)))


def rows(layer):
    """Read an image row by row."""
    return chain(kl.Reshape((SIZE, 3 * SIZE)), kl.AveragePooling1D(4), layer)


def pixel_shuffle(x):
    x = ops.reshape(conv(16, padding="same")(x), (-1, SIZE, SIZE, 2, 2, 4))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, 2 * SIZE, 2 * SIZE, 4))


def vision_transformer(x):
    x = kl.Reshape((16, 16))(conv(16, 8, strides=8)(x))
    y = kl.LayerNormalization()(x)
    x = x + kl.MultiHeadAttention(2, 8)(y, y)
    y = kl.Dense(32, activation="gelu")(kl.LayerNormalization()(x))
    return kl.GlobalAveragePooling1D()(x + kl.Dense(16)(y))


def conv_mixer(x):
    x = kl.BatchNormalization()(conv(8, 4, strides=4, activation="gelu")(x))
    y = kl.DepthwiseConv2D(3, padding="same", activation="gelu")(x)
    return conv(8, 1, activation="gelu")(x + kl.BatchNormalization()(y))


def dense_block(x):
    for _ in range(3):
        y = kl.ReLU()(kl.BatchNormalization()(x))
        x = kl.Concatenate()([x, conv(4, padding="same")(y)])
    return x


def inception(x):
    pooled = kl.AveragePooling2D(3, strides=1, padding="same")(x)
    branches = [
        conv(4, 1)(x),
        conv(4, 5, padding="same")(x),
        conv(4, 1)(pooled),
    ]
    return kl.ReLU()(kl.Concatenate()(branches))


def highway(x):
    x = conv(8)(x)
    gate = conv(8, 1, activation="sigmoid")(x)
    return gate * conv(8, 1, activation="relu")(x) + (1.0 - gate) * x


def prototypes(x):
    """The class is that of the nearest of four points."""
    x = kl.GlobalAveragePooling2D()(conv(3, activation="tanh")(x))
    points = np.random.default_rng(2).normal(size=(4, 3)).astype("f") / 3
    squares = ops.sum((ops.expand_dims(x, 1) - points) ** 2, axis=-1)
    return kl.Softmax()(-8.0 * squares)


def deviations(x):
    x = conv(8)(x)
    return kl.Concatenate()(
        [ops.mean(x, (1, 2)), ops.sqrt(ops.var(x, (1, 2)) + 1e-3)]
    )


def three_outputs():
    image = keras.Input((SIZE, SIZE, 3))
    x = conv(8, activation="relu")(kl.Rescaling(1 / 255)(image))
    x = kl.GlobalAveragePooling2D()(x)
    answer = kl.Dense(4, activation="softmax", name="expression")(x)
    valence = kl.Dense(2, activation="tanh", name="valence_arousal")(x)
    units = kl.Dense(5, activation="sigmoid", name="action_units")(x)
    return keras.Model(image, [answer, valence, units])


MODELS = {
    "sequential": sequential,
    "x + y and ops.relu": lambda: functional(residual),
    "two outputs": two_outputs,
    "gelu": lambda: functional(chain(conv(activation="gelu"))),
    "subclassed": subclassed,
    "morlet": lambda: functional(chain(conv(), Morlet())),
    "multi-scale and wavelets": lambda: functional(
        chain(
            MultiScaleConv2D(4, strides=2, activation="relu"),
            WaveletChannelAttention(ratio=2),
            WaveletChannelAttention(ratio=2, normalize=True),
        )
    ),
    "random flip": lambda: functional(chain(kl.RandomFlip(), conv())),
    "groups": lambda: functional(chain(conv(), conv(groups=4), kl.ReLU())),
    "attention": lambda: functional(self_attention),
    "gray": lambda: functional(chain(conv(), kl.ReLU()), channels=1),
    "unrolled gru": lambda: functional(rows(kl.GRU(8, unroll=True))),
    "logsumexp": lambda: functional(
        lambda x: ops.logsumexp(conv()(x), axis=(1, 2))
    ),
    "normalized wavelet attention": lambda: functional(
        chain(conv(), WaveletChannelAttention(2, normalize=True))
    ),
    "three outputs": three_outputs,
    "embedding": lambda: functional(
        chain(conv(2), kl.Flatten(), kl.Dense(16)), head=False
    ),
}
SLOW = {
    "layer normalization": lambda: functional(
        chain(conv(), kl.LayerNormalization())
    ),
    "separable": lambda: functional(chain(kl.SeparableConv2D(8, 3), kl.ReLU())),
    "nested": nested,
    "named outputs": lambda: two_outputs(named=True),
    "tanh": lambda: functional(chain(conv(activation="tanh"))),
    "swish": lambda: functional(chain(conv(activation="swish"))),
    "two wavelets": lambda: functional(
        chain(conv(), Morlet(), conv(), Morlet(wavelet="mexh"))
    ),
    "wavelet before pooling": lambda: functional(flat_wavelet),
    "softmax over rows": lambda: functional(
        chain(conv(4), kl.Softmax(axis=1), kl.GlobalMaxPooling2D()), head=False
    ),
    "raw branch": lambda: functional(wide_branch, scaled=False),
    "no byte is 0": lambda: functional(
        chain(kl.Rescaling(1 / 255, 0.5), conv(padding="same"), kl.ReLU()),
        scaled=False,
    ),
    "resizing": lambda: functional(chain(kl.Resizing(24, 20), conv())),
    "elu": lambda: functional(chain(conv(activation="elu"))),
    "hard swish": lambda: functional(chain(conv(activation="hard_swish"))),
    "leaky": lambda: functional(chain(conv(), kl.LeakyReLU())),
    "prelu": lambda: functional(chain(conv(), kl.PReLU(shared_axes=[1, 2]))),
    "dropout": lambda: functional(chain(conv(), kl.Dropout(0.5))),
    "transposed": lambda: functional(
        chain(kl.Conv2DTranspose(8, 3, strides=2), kl.ReLU())
    ),
    "group normalization": lambda: functional(
        chain(conv(), kl.GroupNormalization(4))
    ),
    "up-sampling": lambda: functional(chain(kl.UpSampling2D(), conv())),
    "maximum": lambda: functional(
        lambda x: kl.Maximum()([conv()(x), conv()(x)])
    ),
    "normalization": lambda: functional(
        chain(
            kl.Normalization(mean=[120.0] * 3, variance=[2500.0] * 3), conv()
        ),
        scaled=False,
    ),
    "unit normalization": lambda: functional(
        chain(conv(2), kl.Flatten(), kl.UnitNormalization())
    ),
    "depthwise": lambda: functional(
        chain(kl.DepthwiseConv2D(3, depth_multiplier=2), kl.ReLU())
    ),
    "dilated": lambda: functional(chain(conv(dilation_rate=2, padding="same"))),
    "squeeze and excitation": lambda: functional(
        chain(conv(), SqueezeExcitation(2))
    ),
    "cbam": lambda: functional(chain(conv(), ConvolutionalBlockAttention(2))),
    "coordinate": lambda: functional(chain(conv(), CoordinateAttention(2))),
    "eca": lambda: functional(chain(conv(), EfficientChannelAttention())),
    "wavelet squeeze": lambda: functional(
        chain(conv(), WaveletSqueezeExcitation(2, wavelet="gaus2"))
    ),
    "dilated scales": lambda: functional(
        chain(
            MultiScaleConv2D(4, (1, 3, 5), dilation_rates=(1, 2, 1)),
            MultiScaleConv2D(4, padding="valid", use_bias=False),
        )
    ),
    "mobilenet": lambda: keras.applications.MobileNetV2(
        (SIZE, SIZE, 3), alpha=0.35, weights=None, classes=4
    ),
    "mobilenet v3": lambda: keras.applications.MobileNetV3Small(
        (SIZE, SIZE, 3), alpha=0.75, weights=None, classes=4
    ),
    "bidirectional": lambda: functional(
        rows(kl.Bidirectional(kl.LSTM(4, unroll=True)))
    ),
    "softmax over places": lambda: functional(
        chain(conv(4), kl.Softmax(axis=(1, 2)), kl.GlobalMaxPooling2D())
    ),
    "random layers": lambda: functional(
        chain(kl.RandomRotation(0.1), kl.RandomZoom(0.1), conv())
    ),
    "noise": lambda: functional(
        chain(kl.GaussianNoise(0.1), conv(), kl.SpatialDropout2D(0.2))
    ),
    "pixel shuffle": lambda: functional(pixel_shuffle),
    "vision transformer": lambda: functional(vision_transformer),
    "conv mixer": lambda: functional(conv_mixer),
    "dense block": lambda: functional(dense_block),
    "inception": lambda: functional(inception),
    "highway": lambda: functional(highway),
    "prototypes": lambda: functional(prototypes, head=False),
    "deviations": lambda: functional(deviations),
    "padding and cropping": lambda: functional(
        chain(kl.ZeroPadding2D(((0, 2), (1, 0))), conv(), kl.Cropping2D((3, 2)))
    ),
    "mish": lambda: functional(chain(conv(activation="mish"))),
    "spectral normalization": lambda: functional(
        chain(kl.SpectralNormalization(conv()), kl.ReLU())
    ),
    "einsum": lambda: functional(
        chain(conv(), kl.EinsumDense("abcd,de->abce", (30, 30, 6)))
    ),
    "recurrent": lambda: functional(
        chain(kl.Reshape((SIZE, 3 * SIZE)), kl.LSTM(8))
    ),
}
# What LiteRT has no 8-bit form of, or tf2onnx none at all.
LEFT_OUT = {
    "recurrent": {"int8.tflite", "model.onnx"},
}
# What LiteRT has no 8-bit form of; the file computes that in floats.
PARTLY_FLOAT = (
    "layer normalization",
    "group normalization",
    "unit normalization",
    "elu",
    "vision transformer",
)
CASES = [
    *MODELS,
    *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
]


@pytest.fixture(scope="module")
def converter():
    with Converter() as made:
        yield made


def exported(model, folder, converter, given_images=None, formats=None):
    """The manifest, and why files were left out."""
    config = ExportConfig(formats=formats or FORMATS, min_agreement=0)
    found = images() if given_images is None else given_images
    source = source_of_model(model, "m", config, found)
    manifest = write_export(source, folder, config, converter)
    return manifest, manifest["left_out"]


@pytest.mark.parametrize("name", CASES)
def test_every_format_answers_as_keras(name, converter, tmp_path):
    keras.utils.set_random_seed(1)
    model = shaken((MODELS | SLOW)[name]())
    manifest, left_out = exported(model, tmp_path / "out", converter)
    assert set(left_out) == LEFT_OUT.get(name, set()), left_out
    for reason in left_out.values():
        assert reason.count("\n") <= 2, reason
    for file, facts in manifest["files"].items():
        limit = 1e-4 if file in EXACT else 0.03 if file not in EIGHT else 0.35
        assert facts["part_of_range"] <= limit, (file, facts)
        if file in EIGHT and facts["agreement"] is not None:
            assert facts["agreement"] >= 0.9
            assert facts["mean_difference"] < 0.03
        if file in EIGHT:
            assert (facts["float_tensors"] > 0) == (name in PARTLY_FLOAT)


def test_onnx_int8_quantizes_every_layer_and_has_no_cosine(tmp_path):
    import onnx
    import onnxruntime

    keras.utils.set_random_seed(1)
    body = chain(conv(), WaveletChannelAttention(2), conv(4), kl.ReLU())
    model = shaken(functional(body))
    found = images(60)
    kerafer.export_model(model, tmp_path / "out", "onnx-int8", images=found)
    content = (tmp_path / "out" / "model_int8.onnx").read_bytes()
    graph = onnx.load_from_string(content).graph
    nodes = {name: node for node in graph.node for name in node.output}
    layers = [x for x in graph.node if x.op_type in ("Conv", "Gemm", "MatMul")]
    assert len(layers) >= 5
    for layer in layers:
        for name in layer.input[:2]:
            assert nodes[name].op_type == "DequantizeLinear"
    assert not {"Cos", "Exp"} & {node.op_type for node in graph.node}
    # TensorRT takes zero points of 0 only.
    zeros = {x.input[2] for x in graph.node if x.op_type == "QuantizeLinear"}
    for tensor in graph.initializer:
        if tensor.name in zeros:
            assert not onnx.numpy_helper.to_array(tensor).any()
    session = onnxruntime.InferenceSession(content)
    (answers,) = session.run(None, {"image": found.astype(np.float32)})
    expected = model.predict(found, verbose=0)
    assert np.abs(answers - expected).mean() < 0.03


# === Layers with arguments drawn at random ===


def random_layer(generator, x):
    kind = generator.integers(7)
    height = x.shape[1]
    paddings = ["same", "valid"] if height > 12 else ["same"]
    padding = str(generator.choice(paddings))
    if kind == 0:
        x = kl.Conv2D(
            int(generator.integers(2, 9)),
            int(generator.choice([1, 2, 3, 5])),
            strides=int(generator.choice([1, 2])),
            padding=padding,
            use_bias=bool(generator.integers(2)),
            activation=generator.choice([None, "relu", "relu6", "sigmoid"]),
        )(x)
    elif kind == 1:
        x = kl.DepthwiseConv2D(3, padding=padding)(x)
    elif kind == 2:
        x = kl.BatchNormalization()(x)
    elif kind == 3:
        x = MultiScaleConv2D(
            int(generator.integers(2, 5)),
            tuple(generator.choice([1, 3, 5, 7], 2, replace=False).tolist()),
            strides=int(generator.choice([1, 2])),
            activation=generator.choice([None, "relu"]),
        )(x)
    elif kind == 4:
        x = Morlet(
            wavelet=str(generator.choice(["morlet", "mexh", "gaus1"])),
            per_channel=bool(generator.integers(2)),
        )(x)
    elif kind == 5:
        x = WaveletChannelAttention(
            ratio=1, shared=bool(generator.integers(2))
        )(x)
    else:
        pool = kl.MaxPooling2D if generator.integers(2) else kl.AveragePooling2D
        x = pool(2, padding="same")(x)
    return x


@pytest.mark.parametrize(
    "seed",
    [
        *range(3),
        *(pytest.param(s, marks=pytest.mark.slow) for s in range(3, 20)),
    ],
)
def test_layers_with_any_arguments(seed, converter, tmp_path):
    generator = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)

    def body(x):
        for _ in range(4):
            x = random_layer(generator, x)
        return x

    model = shaken(functional(body), seed)
    formats = "savedmodel,float32,onnx,int8"
    manifest, left_out = exported(
        model, tmp_path / "out", converter, formats=formats
    )
    assert set(left_out) <= {"int8.tflite"}, left_out
    for file in EXACT:
        facts = manifest["files"][file]
        assert facts["part_of_range"] <= 2e-4, (file, facts)
    if "int8.tflite" in manifest["files"]:
        assert manifest["files"]["int8.tflite"]["mean_difference"] < 0.05


# === The function ===


def test_a_gray_model_takes_rgb_and_makes_it_gray(converter, tmp_path):
    keras.utils.set_random_seed(1)
    model = shaken(functional(chain(conv(), kl.ReLU()), channels=1))
    rgb = images(6)
    manifest, _ = exported(model, tmp_path / "out", converter, images(20))
    assert manifest["input"]["shape"] == [1, SIZE, SIZE, 3]
    # OpenCV's gray, from its documentation.
    gray = np.floor(rgb @ [0.299, 0.587, 0.114] + 0.5)[..., None]
    expected = model.predict(gray, verbose=0)
    for name, atol in (("float32.tflite", 1e-5), ("int8.tflite", 0.05)):
        interpreter = Interpreter(str(tmp_path / "out" / name))
        interpreter.allocate_tensors()
        (target,) = interpreter.get_output_details()
        for image, answer in zip(rgb, expected, strict=True):
            interpreter.set_tensor(0, image[None])
            interpreter.invoke()
            (found,) = interpreter.get_tensor(target["index"])
            scale, zero = target["quantization"]
            found = (found - float(zero)) * scale if scale else found
            np.testing.assert_allclose(found, answer, atol=atol)


def test_keep_gray_leaves_the_input_as_it_is(tmp_path):
    model = functional(chain(conv(), kl.ReLU()), channels=1)
    manifest = kerafer.export_model(
        model, tmp_path / "out", "float32", keep_gray=True
    )
    assert manifest["input"]["shape"] == [1, SIZE, SIZE, 1]


def test_a_model_of_floats_is_told_and_takes_floats(tmp_path):
    keras.utils.set_random_seed(1)
    model = shaken(functional(chain(conv(), kl.ReLU()), scaled=False))
    floats = images().astype(np.float32) / 127.5 - 1
    out = tmp_path / "out"
    manifest = kerafer.export_model(
        model, out, FORMATS, images=floats, input="float32"
    )
    assert not manifest["left_out"]
    assert manifest["input"]["kind"] == "float32"
    for name, facts in manifest["files"].items():
        limit = 0.2 if name in EIGHT else 0.01
        assert facts["part_of_range"] < limit, name
    assert "float32" in (out / "MODEL_CARD.md").read_text("utf-8")
    for name in ("float16", "int8"):
        interpreter = Interpreter(str(out / f"{name}.tflite"))
        assert interpreter.get_input_details()[0]["dtype"] == np.float32
    # Bytes would be other numbers: nothing predicts with it by mistake.
    with pytest.raises(UserError, match="takes floats"):
        kerafer.predict(images(1)[0], out / "float16.tflite")
    with pytest.raises(UserError, match=r"input is .float32"):
        kerafer.export_model(
            model, out, images=images(), input="float32", force=True
        )
    with pytest.raises(UserError, match=r"input is .uint8"):
        kerafer.export_model(model, out, images=floats, force=True)


def test_labels_bring_the_gates_and_scores(tmp_path):
    keras.utils.set_random_seed(1)
    model = shaken(sequential())
    pictures = images(60)
    labels = model.predict(pictures, verbose=0).argmax(1)
    names = ["a", "b", "c", "d"]
    manifest = kerafer.export_model(
        model,
        tmp_path / "out",
        ["float16", "int8"],
        images=pictures,
        labels=labels,
        class_names=names,
        max_drop_int8=100,
    )
    assert manifest["test"] == {
        "n_images": 30,
        "labelled": True,
        "keras_accuracy": 1.0,
        "keras_macro_f1": pytest.approx(manifest["test"]["keras_macro_f1"]),
    }
    assert manifest["files"]["float16.tflite"]["accuracy"] == 1
    assert manifest["labels"] == names
    assert manifest["scores"]["test"]["accuracy"] >= 0.8
    answers = kerafer.predict(pictures[0], tmp_path / "out" / "float16.tflite")
    assert all(face.label in names for face in answers)


def test_a_model_that_does_not_run_is_told(tmp_path):
    class Odd(keras.Model):
        def call(self, given):
            raise TypeError("only on Sundays")

    model = Odd()
    model.built = True
    with pytest.raises(UserError, match="It does not: TypeError"):
        kerafer.export_model(model, tmp_path / "out", images=images(4))


def test_without_images_8_bits_are_refused_with_the_way_out(tmp_path):
    manifest = kerafer.export_model(sequential(), tmp_path / "out")
    assert set(manifest["files"]) == {"saved_model", "float16.tflite"}
    with pytest.raises(UserError, match="`images`"):
        kerafer.export_model(sequential(), tmp_path / "no", "int8")
    assert not (tmp_path / "no").exists()


def test_a_size_that_is_open_is_asked_for(tmp_path):
    image = keras.Input((None, None, 3))
    x = kl.GlobalAveragePooling2D()(conv()(kl.Rescaling(1 / 255)(image)))
    model = keras.Model(image, kl.Dense(4, activation="softmax")(x))
    with pytest.raises(UserError, match="Give `image_size`"):
        kerafer.export_model(model, tmp_path / "out", "float32")
    manifest = kerafer.export_model(
        model, tmp_path / "out", "float32", image_size=(24, 20)
    )
    assert manifest["input"]["shape"] == [1, 24, 20, 3]
    with pytest.raises(UserError, match="Received: 20 for `image_size`"):
        kerafer.export_model(sequential(), tmp_path / "no", image_size=20)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_half_precision_is_exported_in_single(policy, tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    model = shaken(sequential())
    keras.config.set_dtype_policy(before)
    manifest = kerafer.export_model(model, tmp_path / "out", "keras,float32")
    assert not manifest["left_out"]
    kept = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert {layer.compute_dtype for layer in kept.layers} == {"float32"}


def test_a_converter_that_crashes_converts_the_next_graph():
    def traced(model, kind):
        return freeze_graph(model, image_input(model, "uint8"), 1, kind)

    with Converter() as converter:
        loop = traced(functional(rows(kl.GRU(4))), "float32")
        with pytest.raises(UserError, match="unroll"):
            converter.convert(loop, "int8", images())
        content = converter.convert(traced(sequential(), "uint8"), "float32")
    assert content[4:8] == b"TFL3"


def test_one_sigmoid_unit_is_exported_as_two_classes(tmp_path):
    model = functional(chain(conv(), kl.GlobalAveragePooling2D()), head=False)
    unit = kl.Dense(1, activation="sigmoid")(model.output)
    model = shaken(keras.Model(model.input, unit))
    found = images()
    labels = np.arange(len(found)) % 2
    manifest = kerafer.export_model(
        model,
        tmp_path / "out",
        "keras,float32",
        images=found,
        labels=labels,
        class_names=["calm", "angry"],
    )
    assert not manifest["left_out"]
    interpreter = Interpreter(str(tmp_path / "out" / "float32.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], found[:1]
    )
    interpreter.invoke()
    answer = interpreter.get_tensor(
        interpreter.get_output_details()[0]["index"]
    )
    angry = float(model.predict(found[:1].astype("f"), verbose=0)[0, 0])
    np.testing.assert_allclose(answer[0], [1 - angry, angry], atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "formats", "call"),
    [
        (rows(kl.GRU(4)), "int8", "unroll=True"),
        (kl.Resizing(16, 16, antialias=True), "float32,onnx", "antialias"),
        (
            lambda x: ops.image.affine_transform(
                x, np.float32([1, 0, 2, 0, 1, 2, 0, 0])
            ),
            "float32",
            "affine_transform",
        ),
        (
            lambda x: ops.cast(
                ops.bitwise_and(
                    ops.cast(x, "int32"), ops.cast(ops.ones_like(x), "int32")
                ),
                "float32",
            ),
            "float32",
            "bitwise",
        ),
    ],
    ids=["gru", "antialias", "affine", "bitwise"],
)
def test_an_operator_that_a_format_lacks_is_named_as_in_keras(
    layer, formats, call, tmp_path
):
    with pytest.raises(NothingExportedError) as caught:
        kerafer.export_model(
            functional(layer), tmp_path / "out", formats, images=images()
        )
    assert set(caught.value.left_out) == {
        FILES[name] for name in formats.split(",")
    }
    for reason in caught.value.left_out.values():
        assert call in reason and "::" not in reason


@pytest.mark.parametrize(
    "shape",
    [(SIZE, SIZE, 4), (3, SIZE, SIZE, 3), (3, SIZE, SIZE)],
    ids=["RGBA", "frames", "channels first"],
)
def test_inputs_that_are_no_image_are_refused_without_building(shape, tmp_path):
    image = keras.Input(shape)
    model = keras.Model(image, kl.Dense(3)(kl.Flatten()(image)))
    with pytest.raises(UserError) as caught:
        kerafer.export_model(
            model, tmp_path / "out", images=np.zeros((9, *shape), np.uint8)
        )
    assert str(shape[0]) in str(caught.value)
    assert "Build it" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_a_quantized_model_and_a_multi_label_model_are_refused(tmp_path):
    quantized = sequential()
    quantized.quantize("int8")
    with pytest.raises(UserError, match="quantize"):
        kerafer.export_model(quantized, tmp_path / "out", images=images())
    image = keras.Input((SIZE, SIZE, 3))
    units = kl.Dense(3, activation="sigmoid")(kl.Flatten()(image))
    with pytest.raises(UserError, match="multi-label"):
        kerafer.export_model(
            keras.Model(image, units),
            tmp_path / "out",
            images=images(),
            class_names=["a", "b", "c"],
        )


class Unbuilt(keras.Model):
    pass


@pytest.mark.parametrize(
    ("model", "words", "told"),
    [
        (3, {}, "int"),
        ("none.keras", {}, "File not found: none.keras"),
        (Unbuilt(), {}, "Build it first"),
        (sequential, {"formats": "flt32"}, "`formats` takes"),
        (sequential, {"input": "int8"}, "uint8 or float32"),
        (sequential, {"images": []}, "`images`"),
        (sequential, {"labels": [1]}, "`labels`"),
        (sequential, {"images": images(4), "labels": [1]}, "(1,)"),
        (sequential, {"images": images(4), "labels": [9] * 4}, "0 to 3"),
        (sequential, {"class_names": ["a", "b"]}, "a, b"),
        (sequential, {"threads": 0}, "`threads` must be 1 to 1024"),
        (sequential, {"speed": 1}, "speed"),
        (
            lambda: two_inputs(),
            {},
            "2 inputs",
        ),
        (
            lambda: functional(chain(conv()), head=False),
            {"class_names": ["a"]},
            "(30, 30, 8)",
        ),
    ],
)
def test_what_does_not_fit_is_told(model, words, told, tmp_path):
    model = (
        model()
        if callable(model) and not isinstance(model, keras.Model)
        else model
    )
    with pytest.raises(UserError) as caught:
        kerafer.export_model(model, tmp_path / "out", **words)
    assert told in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def two_inputs():
    one, other = keras.Input((8, 8, 3)), keras.Input((2,))
    x = kl.Concatenate()([kl.Flatten()(one), other])
    return keras.Model([one, other], kl.Dense(2)(x))


# === The command ===


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(1)
    shaken(sequential()).save("my.keras")
    return tmp_path


def write(folder, names=("",)):
    from PIL import Image

    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images(12)):
            Image.fromarray(image).save(folder / name / f"{number}.png")
    return str(folder)


def test_any_file_is_exported_under_its_name(here, capfd):
    words = ("--model", "my.keras", "--formats", "float32,int8")
    assert main(["export", *words]) == 2
    assert "--images" in capfd.readouterr().err
    assert main(["export", *words[:2], "--formats", "float32"]) == 0
    assert {p.name for p in (here / "exported" / "my").iterdir()} == {
        *("float32.tflite", "manifest.json", "MODEL_CARD.md", "golden.npz"),
    }
    folder = write(here / "photos")
    assert main(["export", *words, "--images", folder]) == 2
    assert main(["export", *words, "--images", folder, "--force"]) == 0
    manifest = json.loads((here / "exported/my/manifest.json").read_text())
    assert manifest["test"]["labelled"] is False
    assert set(manifest["files"]) == {"float32.tflite", "int8.tflite"}
    # An export is exported again, from its Keras model.
    again = ("--model", "exported/my", "--out", "again")
    assert main(["export", *again, "--formats", "onnx"]) == 2
    assert "model.keras" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--images", "nowhere"), "--images"),
        (("--images", "my.keras"), "--images"),
        (("--formats", "onnx-int8"), "--images"),
        (("--out", "my.keras"), "--out"),
        (("--model", "saved"), "SavedModel"),
    ],
)
def test_mistakes_are_told_before_tensorflow_loads(
    here, capfd, monkeypatch, words, told
):
    def load(reason):
        raise AssertionError("TensorFlow was loaded.")

    monkeypatch.setattr("kerafer.export.export.load_tensorflow_backend", load)
    (here / "saved").mkdir()
    (here / "saved" / "saved_model.pb").touch()
    assert main(["export", "--model", "my.keras", *words]) == 2
    said = capfd.readouterr().err
    assert told in said
    assert len(said.splitlines()) <= 3


def test_images_of_classes_are_labelled(here, capfd):
    folder = write(here / "set", ("a", "b", "c", "d"))
    words = ("--model", "my.keras", "--images", folder, "--formats", "float16")
    words = (*words, "--force")
    assert main(["export", *words]) == 2
    assert "--labels a,b,c" in capfd.readouterr().err
    assert main(["export", *words, "--labels", "d,c,b,a"]) == 0
    manifest = json.loads((here / "exported/my/manifest.json").read_text())
    assert manifest["labels"] == ["d", "c", "b", "a"]
    assert manifest["test"]["labelled"] is True
    assert main(["export", *words, "--labels", "a,b,c,e"]) == 2
    assert main(["export", "--model", "my.keras", "--data-dir", folder]) == 2
    assert main(["export", *words, "--input", "float32"]) == 2
    words = ("--model", "my.keras", "--images", "nowhere", "--force")
    assert main(["export", *words]) == 2
    assert "nowhere" in capfd.readouterr().err
