"""Models with the multi-scale stem fused into plain convolutions."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from harness import pictures, run_python

import kerafer
from kerafer.layers import MultiScaleConv2D
from kerafer.models import fuse


def draw_weights(model, seed=0):
    """Weights as training leaves them: no bias at 0, no norm as it began."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        for weight in layer.weights:
            if weight.name in ("moving_variance", "gamma"):
                values = generator.uniform(0.5, 2.0, weight.shape)
            elif weight.name in ("moving_mean", "beta", "bias"):
                values = generator.normal(0.0, 0.3, weight.shape)
            else:
                continue
            weight.assign(values)
    return model


def check_fused(model, images):
    """The fused model; it answers as the given one did."""
    draw_weights(model)
    before = [np.array(weight) for weight in model.weights]
    expected = model(images, training=False)
    fused = fuse(model)
    np.testing.assert_allclose(
        fused(images, training=False), expected, atol=1e-5, rtol=1e-5
    )
    assert not any(isinstance(x, MultiScaleConv2D) for x in fused.layers)
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    mine = {id(layer) for layer in model.layers}
    assert not any(id(layer) in mine for layer in fused.layers)
    return fused


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def test_the_stem_of_the_cnn_is_padding_and_one_convolution():
    model = kerafer.create_model("mcnn", 3, (48, 48, 1))
    fused = check_fused(model, pictures((2, 48, 48, 1)))
    assert fused.name == "mcnn"
    assert kinds(fused)[:6] == [
        "InputLayer",
        "Rescaling",
        "ZeroPadding2D",
        "Conv2D",
        "ReLU",
        "MaxPooling2D",
    ]
    # No norm follows the stem; those of the body are no part of it.
    assert kinds(fused).count("BatchNormalization") == 2
    stem = fused.get_layer("stem")
    assert stem.kernel.shape == (7, 7, 1, 192)
    assert fused.get_layer("stem_padding").padding == ((3, 3), (3, 3))
    # The 3x3 branch sees nothing outside of its window.
    kernel = np.array(stem.kernel)
    assert not kernel[:2, :, :, :64].any() and kernel[2:5, 2:5, :, :64].all()


def test_the_norm_behind_the_stem_is_part_of_its_kernel():
    model = kerafer.create_model("msc_wca_resnet18", 3, (48, 48, 3))
    images = pictures((2, 48, 48, 3))
    fused = check_fused(model, images)
    assert kinds(fused)[:4] == ["InputLayer", "Rescaling", "Conv2D", "ReLU"]
    norms = kinds(model).count("BatchNormalization")
    assert kinds(fused).count("BatchNormalization") == norms - 1
    assert fused.get_layer("stem").padding == "same"
    ends = [
        keras.Model(one.input, one.get_layer("stem_relu").output)(images)
        for one in (model, fused)
    ]
    np.testing.assert_allclose(*ends, atol=1e-5, rtol=1e-5)
    assert np.std(ends[0]) > 0.1


@pytest.mark.parametrize(
    ("name", "shape", "options", "kernel"),
    [
        (
            "mcnn",
            (40, 40, 3),
            {"kernel_sizes": (3, 3, 3), "dilation_rates": (1, 2, 3)},
            (7, 7, 3, 192),
        ),
        ("wca_mcnn", (40, 44, 3), {"groups": 3}, (7, 7, 3, 180)),
        ("wse_mcnn", (40, 40, 1), {"kernel_sizes": 5}, (5, 5, 1, 64)),
        (
            "msc_resnet18",
            (33, 32, 3),
            {"groups": 3, "kernel_sizes": (3, 5), "dilation_rates": (3, 1)},
            (7, 7, 3, 120),
        ),
    ],
)
def test_dilated_and_grouped_stems(name, shape, options, kernel):
    model = kerafer.create_model(name, 3, shape, **options)
    fused = check_fused(model, pictures((2, *shape)))
    assert fused.get_layer("stem").kernel.shape == kernel


def test_both_parts_of_the_stem_of_stride_2():
    model = kerafer.create_model(
        "msc_resnet18", 3, (35, 35, 3), stem="stride_2"
    )
    fused = check_fused(model, pictures((2, 35, 35, 3)))
    fine, wide = fused.get_layer("stem_fine"), fused.get_layer("stem")
    assert fine.kernel.shape == (3, 3, 3, 64) and fine.strides == (1, 1)
    assert wide.kernel.shape == (7, 7, 3, 128) and wide.strides == (2, 2)
    assert "stem_norm" not in [layer.name for layer in fused.layers]


def several_scales():
    """Norms that may be fused, and others that must not be."""
    inputs = keras.Input((17, 16, 6))
    norm = keras.layers.BatchNormalization
    x = MultiScaleConv2D(4, activation="relu", name="active")(inputs)
    x = norm(name="behind_relu")(x)
    x = MultiScaleConv2D(
        4, (3, 3), 2, dilation_rates=(1, 2), groups=2, name="plain"
    )(x)
    x = norm(scale=False, name="without_scale")(x)
    x = MultiScaleConv2D(3, padding="valid", use_bias=False, name="tapped")(x)
    y = norm(center=False, name="beside")(x)
    x = keras.layers.Concatenate()([x, y])
    x = MultiScaleConv2D(2, (1, 3), (2, 1), name="rows")(x)
    x = norm(axis=1, name="of_rows")(x)
    twice = MultiScaleConv2D(6, (3,), name="twice")
    x = norm(name="once")(twice(twice(MultiScaleConv2D(6, (3,))(x))))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


def test_a_norm_stays_where_others_see_what_goes_into_it():
    model = several_scales()
    images = np.random.default_rng(1).normal(size=(3, 17, 16, 6)).astype("f")
    fused = check_fused(model, images)
    norms = [
        layer.name
        for layer in fused.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert norms == ["behind_relu", "beside", "of_rows", "once"]
    assert fused.get_layer("active").activation is keras.activations.relu
    assert fused.get_layer("tapped").bias is None


def test_a_sequential_model_is_fused():
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            MultiScaleConv2D(2, strides=2),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
        ]
    )
    fused = check_fused(model, pictures((2, 12, 12, 3)) / 255)
    assert kinds(fused) == ["InputLayer", "ZeroPadding2D", "Conv2D", "Flatten"]


def test_training_the_fused_model_leaves_the_given_one():
    model = draw_weights(several_scales())
    images = np.random.default_rng(2).normal(size=(4, 17, 16, 6)).astype("f")
    model.compile("sgd", "mse")
    fused = fuse(model)
    assert not fused.compiled
    before = [np.array(weight) for weight in model.weights]
    start = [np.array(weight) for weight in fused.trainable_weights]
    fused.compile("sgd", "mse", run_eagerly=True)
    fused.train_on_batch(images, np.zeros((4, 6)))
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    changed = [
        not np.array_equal(weight, old)
        for weight, old in zip(fused.trainable_weights, start, strict=True)
    ]
    assert all(changed)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_half_precision_is_fused_in_full(policy):
    def build(dtype):
        inputs = keras.Input((15, 15, 3))
        x = MultiScaleConv2D(4, strides=2, dtype=dtype, name="stem")(inputs)
        x = keras.layers.BatchNormalization(dtype=dtype, name="norm")(x)
        return keras.Model(inputs, x)

    half, full = draw_weights(build(policy)), draw_weights(build("float32"))
    full.set_weights(half.get_weights())
    fused = fuse(half)
    stem = fused.get_layer("stem")
    assert stem.dtype_policy.name == policy
    for ours, theirs in zip(stem.weights, fuse(full).weights, strict=True):
        assert ours.dtype == "float32"
        np.testing.assert_array_equal(ours, theirs)
    images = pictures((2, 15, 15, 3)) / 255
    assert fused(images).dtype == half(images).dtype != "float32"
    np.testing.assert_allclose(
        tf.cast(fused(images), "float32"), full(images), atol=0.1
    )


def test_frozen_layers_stay_frozen():
    model = several_scales()
    for name in ("plain", "beside"):
        model.get_layer(name).trainable = False
    fused = fuse(model)
    for name in ("plain", "beside"):
        assert not fused.get_layer(name).trainable
    assert fused.get_layer("tapped").trainable


@pytest.mark.slow
def test_keras_alone_loads_a_fused_mcnn(tmp_path):
    images = pictures((2, 36, 36, 3))
    model = draw_weights(kerafer.create_model("mcnn", 3, (36, 36, 3)))
    fuse(model).save(tmp_path / "plain.keras")
    np.save(tmp_path / "images.npy", images)
    program = """
        import sys
        import keras
        import numpy as np
        folder = sys.argv[1]
        model = keras.saving.load_model(folder + "/plain.keras")
        images = np.load(folder + "/images.npy")
        np.save(folder + "/outputs.npy", model(images, training=False))
        assert "kerafer" not in sys.modules
    """
    run_python(program, tmp_path)
    np.testing.assert_allclose(
        np.load(tmp_path / "outputs.npy"), model(images), atol=1e-5
    )


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.stem = MultiScaleConv2D(2)

    def call(self, inputs):
        return self.stem(inputs)


def test_models_that_cannot_be_fused_are_named():
    with pytest.raises(kerafer.UserError, match="cnn"):
        fuse(kerafer.create_model("cnn", 3, (48, 48, 1)))
    with pytest.raises(kerafer.UserError, match="Subclassed"):
        fuse(Subclassed())
    with pytest.raises(kerafer.UserError, match="Sequential"):
        fuse(keras.Sequential([MultiScaleConv2D(2)]))
