"""Weights of one model in another, and layers that keep them."""

import keras
import numpy as np
import pytest

import kerafer
from kerafer.errors import UserError
from kerafer.layers import MultiScaleConv2D
from kerafer.models.transfer import copy_weights, expand_input, freeze_until

GENERATOR = np.random.default_rng(6)


def small_model(
    seed=0, channels=3, size=12, classes=3, stem="conv", flat=False
):
    """A stem, BatchNorm, a nested body and a classifier."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, channels), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1, name="scaling")(inputs)
    if stem == "conv":
        x = keras.layers.Conv2D(6, 3, padding="same", name="stem")(x)
    else:
        x = MultiScaleConv2D(2, (3, 5), name="stem")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    body = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(4, 3, activation="relu", name="inner"),
            keras.layers.BatchNormalization(name="inner_norm"),
        ],
        name="body",
    )
    x = body(x)
    pool = keras.layers.Flatten if flat else keras.layers.GlobalMaxPooling2D
    x = keras.layers.Dense(5, name="dense")(pool(name="pool")(x))
    x = keras.layers.Dense(classes, name="logits")(x)
    model = keras.Model(
        inputs, keras.layers.Softmax(name="predictions")(x), name="small"
    )
    # As if it were trained: no weight at its start.
    for weight in model.weights:
        weight.assign(weight + GENERATOR.uniform(0.1, 0.5, weight.shape))
    return model


def pictures(count=8, size=12, channels=3):
    return GENERATOR.integers(0, 256, (count, size, size, channels)).astype(
        "float32"
    )


def output(model, layer, images):
    part = keras.Model(model.input, model.get_layer(layer).output)
    return part.predict(images, verbose=0)


def test_a_copy_answers_as_its_source():
    source, model = small_model(0), small_model(1)
    images = pictures()
    answers = source.predict(images, verbose=0)
    assert np.abs(model.predict(images, verbose=0) - answers).max() > 1e-3
    done = copy_weights(model, source)
    assert done.copied == (
        *("stem", "norm", "body/inner", "body/inner_norm"),
        *("dense", "logits"),
    )
    assert done.fresh == ()
    np.testing.assert_allclose(
        model.predict(images, verbose=0), answers, atol=1e-6
    )


def test_a_classifier_of_other_classes_stays_fresh():
    source, model = small_model(0), small_model(1, classes=4)
    before = model.get_layer("logits").get_weights()
    done = copy_weights(model, source)
    assert done.fresh == ("logits",)
    for value, now in zip(
        before, model.get_layer("logits").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(value, now)
    images = pictures()
    np.testing.assert_allclose(
        output(model, "dense", images),
        output(source, "dense", images),
        rtol=1e-5,
        atol=1e-5,
    )


def test_another_architecture_is_refused_and_nothing_copied():
    source = kerafer.create_model("resnet18", 3, (48, 48, 3))
    model = kerafer.create_model("cnn", 3, (64, 64, 3))
    before = model.get_weights()
    with pytest.raises(UserError) as raised:
        copy_weights(model, source)
    assert "0 of 10 layers" in str(raised.value)
    for value, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_attention_is_fresh_in_a_model_that_was_trained_without():
    source = kerafer.create_model("resnet18", 7, (32, 32, 3))
    model = kerafer.create_model("wca_resnet18", 5, (40, 40, 3))
    done = copy_weights(model, source)
    assert done.fresh == ("attention", "logits")
    assert len(done.copied) == 40
    images = pictures(2, 40)
    fixed = kerafer.create_model("resnet18", 7, (40, 40, 3))
    assert copy_weights(fixed, source).fresh == ()
    np.testing.assert_allclose(
        output(model, "pool_1", images), output(fixed, "pool_1", images)
    )


@pytest.mark.parametrize("stem", ["conv", "multi"])
@pytest.mark.parametrize(("given", "wanted"), [(3, 1), (1, 3)])
def test_gray_pictures_give_the_same_with_one_channel_and_three(
    stem, given, wanted
):
    source = small_model(0, given, stem=stem)
    model = small_model(1, wanted, stem=stem)
    assert copy_weights(model, source).fresh == ()
    gray = pictures(channels=1)
    colour = np.repeat(gray, 3, axis=-1)
    seen = {1: gray, 3: colour}
    assert np.ptp(output(source, "stem", seen[given])) > 1
    for layer in ("stem", "predictions"):
        np.testing.assert_allclose(
            output(model, layer, seen[wanted]),
            output(source, layer, seen[given]),
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.parametrize("kind", ["conv", "multi"])
@pytest.mark.parametrize(
    # In the first pair the kernels differ in their channels alone, in the
    # second in nothing.
    ("channels", "groups"),
    [(9, 3), (3, 3)],
)
def test_a_grouped_stem_sums_other_channels_and_stays_fresh(
    kind, channels, groups
):
    models = []
    for depth, parts in ((channels, groups), (1, 1)):
        inputs = keras.Input((8, 8, depth))
        if kind == "conv":
            stem = keras.layers.Conv2D(6, 3, groups=parts, name="stem")
        else:
            stem = MultiScaleConv2D(6, (3, 5), groups=parts, name="stem")
        x = keras.layers.Conv2D(3, 3, name="next")(stem(inputs))
        models.append(keras.Model(inputs, x))
    colour, gray = models
    assert copy_weights(colour, gray).fresh == ("stem",)


def test_kernels_are_summed_or_divided():
    kernel = np.arange(12, dtype="float32").reshape(1, 2, 3, 2)
    by_hand = [[[[0 + 2 + 4, 1 + 3 + 5]], [[6 + 8 + 10, 7 + 9 + 11]]]]
    np.testing.assert_array_equal(expand_input(kernel, 1), by_hand)
    gray = np.array([[[[3.0, 6.0]]]])
    np.testing.assert_array_equal(
        expand_input(gray, 3), [[[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]]]
    )
    assert expand_input(kernel, 3) is kernel


def after_training(model):
    """Names of the weights that a few steps change."""
    images = pictures(16)
    labels = np.eye(3, dtype="float32")[np.arange(16) % 3]
    before = {w.path: w.numpy() for w in model.weights}
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
    model.fit(images, labels, epochs=2, verbose=0)
    return {
        weight.path
        for weight in model.weights
        if not np.array_equal(before[weight.path], weight.numpy())
    }


def test_frozen_layers_keep_weights_and_averages():
    model = small_model()
    freeze_until(model, "body")
    changed = after_training(model)
    assert changed == {
        *("dense/kernel", "dense/bias", "logits/kernel", "logits/bias")
    }


@pytest.mark.parametrize(
    ("name", "fresh", "named"),
    [
        ("stm", (), "stem"),
        ("conv_5", (), "stem, norm, body, dense, logits"),
        ("logits", (), "logits"),
        ("predictions", (), "predictions"),
        ("pool", ("stem", "logits"), ": stem."),
        ("pool", ("body/inner",), ": body/inner."),
    ],
)
def test_layers_that_can_not_be_frozen(name, fresh, named):
    model = small_model()
    with pytest.raises(UserError, match=named):
        freeze_until(model, name, fresh)
    assert all(layer.trainable for layer in model.layers)
