"""A model so small that its answers can be worked out by hand."""

import io
import warnings
import zipfile

import numpy as np

LABELS = ("red", "green", "blue")
_WEIGHTS = np.eye(3, dtype=np.float32) * 6


def expected(image):
    """Softmax of six times the mean colour, the colours from 0 to 1."""
    logits = image.reshape(-1, 3).mean(axis=0) / 255 @ _WEIGHTS
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def to_keras(channels=3, size=8):
    """The Keras model; of a gray image it looks at the brightness."""
    import keras

    given = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 255)(given)
    x = keras.layers.GlobalAveragePooling2D()(x)
    dense = keras.layers.Dense(3, activation="softmax")
    model = keras.Model(given, dense(x))
    dense.set_weights([_WEIGHTS[:channels], np.zeros(3, np.float32)])
    return model


def to_tflite(channels=3, size=8, quantized=False):
    """The same as a .tflite file without metadata, uint8 at its input."""
    import tensorflow as tf

    shape = (1, size, size, channels)
    weights = tf.constant(_WEIGHTS[:channels])

    def serve(image):
        mean = tf.reduce_mean(tf.cast(image, tf.float32) / 255, axis=(1, 2))
        return tf.nn.softmax(mean @ weights)

    kind = tf.float32 if quantized else tf.uint8
    concrete = tf.function(serve).get_concrete_function(
        tf.TensorSpec(shape, kind)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if quantized:
        generator = np.random.default_rng(0)
        colours = generator.integers(0, 256, (30, channels)).tolist()
        corners = np.eye(channels) * 255
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [np.full(shape, colour, np.float32)]
            for colour in (*colours, *corners)
        )
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    with warnings.catch_warnings():
        # The converter warns of its own defaults.
        warnings.simplefilter("ignore")
        return converter.convert()


def to_onnx(batch=1):
    """The same, written by ONNX' own helpers; a word is any batch."""
    import onnx

    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = _WEIGHTS / 255
    graph = helper.make_graph(
        [
            helper.make_node(
                "ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0
            ),
            helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", kind, (batch, 8, 8, 3))],
        [helper.make_tensor_value_info("probabilities", kind, (batch, 3))],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def with_labels(model, labels=LABELS):
    """The bytes of a .tflite file with a label file appended as a zip."""
    stream = io.BytesIO(model)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("labels.txt", "\n".join(labels) + "\n")
    return stream.getvalue()
