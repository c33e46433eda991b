"""The models against the article's numbers, and in a fresh process."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from harness import check_gradients, pictures, predict_in_fresh_process

import kerafer
from kerafer.evaluation import complexity
from kerafer.models.cnn_body import build_cnn

# Trainable parameters and multiply-adds at 7 classes and 224 x 224, worked out
# by hand from the article; a and b are one pair for each reduced channel.
TABLE = {
    "cnn": (57_033_415, 710_854_080),
    "mcnn": (57_640_647, 1_138_450_176),
    "wca_cnn": (57_035_463 + 2 * 16, 710_904_896),
    "wca_mcnn": (57_659_079 + 2 * 48, 1_138_627_200),
    "wse_mcnn": (57_659_079 + 2 * 48, 1_138_627_200 - 2 * 192 * 48),
    "resnet18": (11_180_103, 1_823_525_376),
    "msc_resnet18": (11_273_031, 8_729_524_224),
    "wca_resnet18": (11_182_151 + 2 * 16, 1_823_730_240),
    "msc_wca_resnet18": (11_291_463 + 2 * 48, 8_731_969_728),
}
ARTICLE = {
    "mcnn": (57.6406, 1.1385),
    "resnet18": (None, 1.8235),
    "msc_wca_resnet18": (11.29, 8.7320),
}


def test_all_models_of_the_article_are_listed():
    assert kerafer.list_models() == sorted(TABLE)
    assert kerafer.list_models("*wca*resnet*") == [
        "msc_wca_resnet18",
        "wca_resnet18",
    ]
    assert kerafer.list_models("vgg*") == []


@pytest.mark.parametrize("name", TABLE)
def test_parameters_and_multiply_adds(name):
    model = kerafer.create_model(name)
    assert model.name == name
    assert complexity(model) == TABLE[name]
    if name in ARTICLE:
        parameters, macs = ARTICLE[name]
        assert round(complexity(model).macs / 1e9, 4) == macs
        if parameters:
            got = complexity(model).parameters / 1e6
            assert math.isclose(got, parameters, abs_tol=0.005)


def test_options_of_table_8s_footnote():
    shared = kerafer.create_model("wca_mcnn", ratio=8)
    assert complexity(shared).parameters == 57_649_863 + 2 * 24
    separate = kerafer.create_model("wca_mcnn", shared=False)
    assert complexity(separate).parameters == 57_677_511 + 4 * 48


def test_flops_agree_with_tensorflows_own_count():
    """Its profiler counts no BatchNorm and no pooling, so a tenth is open."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )
    from tensorflow.python.profiler.model_analyzer import profile
    from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

    model = kerafer.create_model("resnet18", input_shape=(96, 96, 3))
    function = tf.function(model).get_concrete_function(
        tf.TensorSpec((1, 96, 96, 3))
    )
    graph = convert_variables_to_constants_v2(function).graph
    options = ProfileOptionBuilder(ProfileOptionBuilder.float_operation())
    theirs = profile(
        graph, options=options.with_empty_output().build()
    ).total_float_ops
    macs = complexity(model, "macs").macs
    flops = complexity(model, "flops").macs
    assert 2 * macs <= theirs <= 1.1 * 2 * macs
    assert math.isclose(flops, theirs, rel_tol=0.02)


def test_complexity_refuses_what_it_does_not_know():
    model = kerafer.create_model("cnn")
    with pytest.raises(kerafer.UserError, match="paper, macs, flops"):
        complexity(model, "gflops")
    inputs = keras.Input((8, 8, 3))
    for strange in (
        keras.layers.Conv2DTranspose(2, 3),
        keras.layers.SeparableConv2D(2, 3),
    ):
        model = keras.Model(inputs, strange(inputs))
        with pytest.raises(kerafer.UserError, match=type(strange).__name__):
            complexity(model)
    loose = keras.Input((None, None, 3))
    dynamic = keras.Model(loose, keras.layers.Conv2D(2, 3)(loose))
    with pytest.raises(kerafer.UserError, match="defined input size"):
        complexity(dynamic)


@pytest.mark.parametrize("name", TABLE)
def test_every_parameter_gets_a_gradient(name):
    keras.utils.set_random_seed(1)
    model = kerafer.create_model(name, input_shape=(64, 64, 3))
    check_gradients(model, pictures((8, 64, 64, 3)))


def test_saved_models_answer_the_same_in_a_fresh_process(tmp_path):
    images = pictures((2, 64, 64, 1))
    files, expected = [], []
    for name in ("wca_mcnn", "msc_wca_resnet18", "wse_mcnn"):
        model = kerafer.create_model(name, 5, (64, 64, 1))
        model.save(tmp_path / f"{name}.keras")
        files.append(tmp_path / f"{name}.keras")
        expected.append(model.predict(images, verbose=0))
    got = predict_in_fresh_process(files, images, tmp_path)
    for ours, theirs in zip(expected, got, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_gives_float32_probabilities(policy):
    images = pictures((4, 48, 48, 3))
    reference = kerafer.create_model("wca_resnet18", input_shape=(48, 48, 3))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = kerafer.create_model("wca_resnet18", input_shape=(48, 48, 3))
    finally:
        keras.config.set_dtype_policy(before)
    model.set_weights(reference.get_weights())
    outputs = model(images)
    assert outputs.dtype == "float32"
    assert all(w.dtype == "float32" for w in model.weights[:-1])
    np.testing.assert_allclose(np.sum(outputs, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(outputs, reference(images), atol=0.1)


@pytest.mark.parametrize("size", [48, 63, 97])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_from_48_up_builds(size, channels):
    for name in ("cnn", "wca_mcnn", "resnet18", "msc_wca_resnet18"):
        shape = (size, size + 5, channels)
        assert kerafer.create_model(name, 3, shape).output_shape == (None, 3)


def test_least_size_is_the_least():
    for multi_scale, least in ((False, 63), (True, 57)):
        arguments = {
            "name": "x",
            "num_classes": 2,
            "multi_scale": multi_scale,
            "attention": None,
            "stem_strides": 4,
        }
        build_cnn(input_shape=(least, least, 3), **arguments)
        with pytest.raises(kerafer.UserError, match=f"at least {least} x"):
            build_cnn(input_shape=(least - 1, 99, 3), **arguments)
    with pytest.raises(
        kerafer.UserError, match=r"at least .* Received: 20 x 20"
    ):
        kerafer.create_model("wca_mcnn", input_shape=(20, 20, 3))


def test_bytes_and_floats_are_the_same_picture():
    model = kerafer.create_model("cnn", input_shape=(64, 64, 3))
    images = pictures((2, 64, 64, 3)).astype("uint8")
    np.testing.assert_array_equal(
        model.predict(images, verbose=0),
        model.predict(images.astype("float32"), verbose=0),
    )
    first = keras.Model(model.input, model.get_layer("scaling").output)
    ends = np.array(
        first(
            np.array([0.0, 255.0]).reshape(2, 1, 1, 1) * np.ones((2, 64, 64, 3))
        )
    )
    assert ends.min() == -1 and ends.max() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("wca_mcn",), "Received: wca_mcn. Did you mean wca_mcnn?"),
        (("cnn", 1), "two or more classes.* num_classes=1"),
        (("cnn", 7, (224, 224)), "`input_shape` is"),
        (("cnn", 7, (224, 224, 4)), "1 or 3 channels"),
        (("cnn", 7, (224, None, 3)), "`input_shape` is"),
    ],
)
def test_create_model_states_the_rule(arguments, message):
    with pytest.raises(kerafer.UserError, match=message):
        kerafer.create_model(*arguments)


def test_unknown_options_are_named():
    with pytest.raises(kerafer.UserError, match="Received: rato"):
        kerafer.create_model("wca_mcnn", rato=8)
    with pytest.raises(ValueError, match=r"must divide.*ratio=5, channels=192"):
        kerafer.create_model("wca_mcnn", ratio=5)


def test_load_model_refuses_what_is_no_model(tmp_path):
    with pytest.raises(kerafer.UserError, match="There is no file"):
        kerafer.load_model(tmp_path / "none.keras")
    with pytest.raises(kerafer.UserError, match=r"best\.keras"):
        kerafer.load_model(tmp_path)
    torn = tmp_path / "torn.keras"
    model = kerafer.create_model("resnet18", 2, (48, 48, 1))
    model.save(torn)
    torn.write_bytes(torn.read_bytes()[:1000])
    with pytest.raises(kerafer.UserError, match="damaged"):
        kerafer.load_model(torn)


def test_load_model_runs_no_code_from_the_file(tmp_path):
    inputs = keras.Input((3,))
    evil = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs))
    evil.save(tmp_path / "evil.keras")
    with pytest.raises(kerafer.UserError, match="can't be loaded"):
        kerafer.load_model(tmp_path / "evil.keras")
