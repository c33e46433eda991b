"""Losses, teachers and optimizers against NumPy, SciPy and Keras."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr, softmax
from tiny_training import IMAGES, LABELS, configuration, small_model

from kerafer.datasets.pipeline import Batches
from kerafer.errors import UserError
from kerafer.settings import read_yaml
from kerafer.training.config import TrainingConfig
from kerafer.training.distillation import Distillation
from kerafer.training.fit import class_weights
from kerafer.training.losses import make_objective
from kerafer.training.optimizer import make_optimizer
from kerafer.training.recipes import RECIPES, find_recipe
from kerafer.training.trainer import Trainer

GENERATOR = np.random.default_rng(4)


def probabilities(count=6):
    logits = GENERATOR.normal(size=(count, 3)).astype("float32")
    labels = np.eye(3, dtype="float32")[GENERATOR.integers(0, 3, count)]
    return logits, softmax(logits, axis=1), labels


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_with_smoothing_and_weights(smoothing):
    _, given, labels = probabilities()
    weights = np.array([1, 2, 0, 1, 0.5, 3], "float32")
    config = configuration(label_smoothing=smoothing)
    smoothed = labels * (1 - smoothing) + smoothing / 3
    by_hand = -(weights * (smoothed * np.log(given)).sum(1)).mean()
    loss = make_objective(config).loss(
        labels, {"probabilities": given}, weights
    )
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)


def test_ma_nets_two_branches_are_weighed_six_to_four():
    one, _, labels = probabilities()
    other = GENERATOR.normal(size=(6, 3)).astype("float32")
    objective = make_objective(configuration(arch="ma_net"))
    assert objective.layers == ("local_logits", "global_logits")
    outputs = {"local_logits": one, "global_logits": other}
    by_hand = sum(
        -share * (labels * log_softmax(logits, axis=1)).sum(1).mean()
        for share, logits in ((0.6, one), (0.4, other))
    )
    loss = objective.loss(labels, outputs, np.ones(6, "float32"))
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)


def test_ddamfns_heads_are_pushed_apart():
    _, given, labels = probabilities()
    maps = GENERATOR.normal(size=(2, 6, 4, 4, 5)).astype("float32")
    objective = make_objective(configuration(arch="ddamfn"))
    assert objective.layers == ("head_1", "head_2")
    outputs = dict(zip(objective.layers, maps, strict=True))
    outputs["probabilities"] = given
    by_hand = -(labels * np.log(given)).sum(1).mean()
    by_hand += 0.1 / ((maps[0] - maps[1]) ** 2).mean()
    loss = objective.loss(labels, outputs, np.ones(6, "float32"))
    assert float(loss) == pytest.approx(by_hand, rel=1e-4)


def test_cder_nets_pairs_are_pulled_together():
    _, given, _ = probabilities(4)
    labels = np.eye(3, dtype="float32")[[0, 1, 0, 2]]
    embeddings = GENERATOR.normal(size=(4, 5)).astype("float32")
    objective = make_objective(configuration(arch="cder_net"))
    shares = softmax(embeddings, axis=1)
    apart = [rel_entr(shares[i], shares[j]).sum() for i, j in ((0, 2), (2, 0))]
    by_hand = -0.3 * (labels * np.log(given)).sum(1).mean()
    by_hand += 0.7 * np.mean(apart)
    outputs = {"probabilities": given, "embedding": embeddings}
    loss = objective.loss(labels, outputs, np.ones(4, "float32"))
    assert float(loss) == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("arch", ["ddamfn", "ma_net", "cder_net"])
def test_crossentropy_is_the_common_protocol(arch):
    objective = make_objective(configuration(arch=arch, loss="crossentropy"))
    assert objective.layers == ()


def test_balanced_classes_weigh_as_in_keras_own_fit():
    labels = np.eye(3, dtype="float32")[LABELS]
    weights = {0: 0.5, 1: 2.0, 2: 1.0}
    reference = small_model()
    reference.compile("sgd", "categorical_crossentropy")
    expected = reference.train_on_batch(
        IMAGES, labels, class_weight=weights, return_dict=True
    )["loss"]
    trainer = Trainer(
        small_model(),
        make_objective(configuration()),
        np.array([*weights.values()], "float32"),
    )
    trainer.compile("sgd")
    got = trainer.train_on_batch(IMAGES, labels, return_dict=True)["loss"]
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


def test_a_class_weighs_inversely_to_its_count():
    labels = np.array([0] * 6 + [2] * 2)
    assert class_weights(labels, "none", 3) is None
    weights = class_weights(labels, "balanced", 3)
    np.testing.assert_allclose(weights, [8 / 12, 1, 8 / 4])


def test_distillation_is_hintons_loss():
    logits, given, _ = probabilities()
    theirs = GENERATOR.normal(size=(6, 3)).astype("float32") * 3
    softened = [softmax(values / 4, axis=1) for values in (theirs, logits)]
    divergence = rel_entr(*softened).sum(1).mean()
    mixed = Distillation([], alpha=0.7, temperature=4.0).mix(
        2.0, softmax(theirs, axis=1), given
    )
    by_hand = 0.3 * 2.0 + 0.7 * 16 * divergence
    assert float(mixed) == pytest.approx(by_hand, rel=1e-4)


def test_teachers_are_averaged_in_the_students_order_and_size():
    gray, colour = small_model(1), small_model(2, channels=3, size=24)
    orders = [np.array([2, 0, 1]), np.arange(3)]
    taught = Distillation([gray, colour], orders).teacher_probs(IMAGES)
    larger = np.stack(
        [
            keras.ops.image.resize(
                np.repeat(image, 3, -1).astype("float32"), (24, 24)
            )
            for image in IMAGES
        ]
    )
    one = gray.predict(IMAGES, verbose=0)[:, [2, 0, 1]]
    other = colour.predict(larger, verbose=0)
    np.testing.assert_allclose(taught, (one + other) / 2, atol=1e-5)


def test_a_colour_picture_is_gray_for_a_gray_teacher():
    teacher = small_model(1)
    gray = np.repeat(IMAGES, 3, axis=-1)
    np.testing.assert_allclose(
        Distillation([teacher]).teacher_probs(gray),
        teacher.predict(IMAGES, verbose=0),
        atol=1e-4,
    )


def test_precomputed_teachers_are_mixed_into_the_labels():
    teacher = small_model(1)
    labels = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]
    rows = np.array([4, 0, 3, 1, 5])
    distillation = Distillation([teacher], alpha=0.4, temperature=2.0)
    blended = distillation.make_soft_labels(
        labels, Batches(IMAGES, labels, 2, rows)
    )
    both = [IMAGES[rows], IMAGES[rows][:, :, ::-1]]
    taught = sum(teacher.predict(x, verbose=0) for x in both) / 2
    roots = np.sqrt(taught)
    taught = roots / roots.sum(1, keepdims=True)
    np.testing.assert_allclose(
        blended[rows], 0.6 * labels[rows] + 0.4 * taught, atol=1e-5
    )
    np.testing.assert_array_equal(blended[2], labels[2])
    assert labels.max() == 1


def rates(config, steps=10):
    optimizer = make_optimizer(config, steps)
    values = []
    for step in range(config.epochs * steps):
        optimizer.iterations.assign(step)
        values.append(float(optimizer.learning_rate))
    return np.array(values)


def test_a_cosine_falls_from_the_highest_rate_to_none():
    config = configuration(schedule="cosine", epochs=4)
    steps = np.arange(40)
    by_hand = 0.01 * (1 + np.cos(np.pi * steps / 40)) / 2
    np.testing.assert_allclose(rates(config), by_hand, atol=1e-7)


def test_a_warm_up_rises_from_none():
    config = configuration(schedule="cosine", epochs=4, warmup_epochs=1)
    values = rates(config)
    np.testing.assert_allclose(values[:10], np.arange(10) * 1e-3, atol=1e-7)
    by_hand = 0.01 * (1 + np.cos(np.pi * np.arange(30) / 30)) / 2
    np.testing.assert_allclose(values[10:], by_hand, atol=1e-7)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_kernels_alone_decay(kind):
    config = configuration(optimizer=kind, weight_decay=0.1)
    optimizer = make_optimizer(config, 1)
    model = small_model()
    before = [v.numpy() + 1.0 for v in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, before, strict=True):
        variable.assign(value)
    nothing = [np.zeros(v.shape, "float32") for v in before]
    optimizer.apply(nothing, model.trainable_variables)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        kept = 1 - 0.01 * 0.1 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(variable, value * kept, rtol=1e-5)


def test_defaults_are_the_articles_protocol():
    config = TrainingConfig()
    assert (config.patience, config.min_delta) == (30, 1e-5)
    assert (config.learning_rate, config.batch_size) == (1e-4, 32)
    assert (config.epochs, config.image_size) == (200, 224)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (None, {}),
        ("", {}),
        ("ratio=8", {"ratio": 8}),
        ("ratio=8,shared=false", {"ratio": 8, "shared": False}),
        (" ratio = 8 , wavelet=mexh,", {"ratio": 8, "wavelet": "mexh"}),
        ("kernel_sizes=[3,5],ratio=8", {"kernel_sizes": [3, 5], "ratio": 8}),
        ("kernel_sizes=[ 7 ]", {"kernel_sizes": [7]}),
        ("attention=se,ratio=4", {"attention": "se", "ratio": 4}),
        ("center_frequency=5.0", {"center_frequency": 5.0}),
    ],
)
def test_options_are_names_and_values(text, options):
    assert TrainingConfig(options=text).model_options == options


@pytest.mark.parametrize(
    "text",
    [
        *("ratio", "ratio=", "ratio=8,shared", "8", "[3,5]", "ratio=8}"),
        *("kernel_sizes=[3", "[3]=4", "ratio=!!python/name:os.getcwd"),
    ],
)
def test_options_that_are_none_are_refused(text):
    with pytest.raises(UserError) as caught:
        _ = TrainingConfig(options=text).model_options
    assert text in str(caught.value)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_settings(name):
    file = find_recipe(name)
    values = read_yaml(TrainingConfig, file)
    config = TrainingConfig(**values)
    assert config.batch_size > 1
    with open(file, encoding="utf-8") as text:
        assert f"kerafer train --config {name}" in text.read()


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"warmup_epochs": 2}, "schedule"),
        ({"warmup_epochs": 3, "schedule": "cosine"}, "warmup_epochs"),
        ({"optimizer": "adamw"}, "weight_decay"),
        ({"weight_decay": 0.1}, "weight_decay"),
        ({"freeze_until": "stem"}, "init_from"),
        ({"face_margin": 0.1}, "face_crop"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"ema": -0.1}, "ema"),
        ({"mix_alpha": float("nan")}, "mix_alpha"),
    ],
)
def test_settings_that_contradict_are_refused(settings, setting):
    with pytest.raises(UserError, match=setting):
        configuration(**settings)
