"""Checkpoints, early stopping, averages and seeds around a `fit`."""

import math

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from tiny_training import IMAGES, configuration, small_model, trained

from kerafer.datasets.pipeline import TrainingBatches
from kerafer.errors import UserError
from kerafer.training.augmentation import POLICIES
from kerafer.training.callbacks import BestModel, EpochSeeds
from kerafer.training.checkpoint import epochs_done
from kerafer.training.distillation import Distillation
from kerafer.training.progress import EpochProgress

TIMING = ["seconds", "images_per_second"]


def interrupted(folder, config, epoch, monkeypatch):
    """Train until Ctrl-C in an epoch."""
    original = EpochProgress.on_epoch_end

    def stop(self, number, logs):
        original(self, number, logs)
        if number == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EpochProgress, "on_epoch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(folder, config)


@pytest.mark.parametrize("settings", [{}, {"ema": 0.8, "augment": "light"}])
def test_a_resumed_training_is_the_uninterrupted_one(
    settings, tmp_path, monkeypatch
):
    config = configuration(
        **{"optimizer": "adamw", "weight_decay": 0.01, "epochs": 4},
        **{"schedule": "cosine", "mix": "mixup"} | settings,
    )
    model, whole = trained(tmp_path / "whole", config)
    interrupted(tmp_path / "broken", config, 2, monkeypatch)
    done = epochs_done(tmp_path / "broken" / "backup")
    assert done in (1, 2)
    resumed, history = trained(tmp_path / "broken", config)
    pd.testing.assert_frame_equal(
        whole.drop(columns=TIMING), history.drop(columns=TIMING), rtol=1e-6
    )
    for ours, theirs in zip(
        model.get_weights(), resumed.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    # A finished training is not continued.
    _, again = trained(tmp_path / "broken", config)
    pd.testing.assert_frame_equal(again, history)


def test_an_incomplete_state_is_ignored_and_a_damaged_one_refused(tmp_path):
    config = configuration(epochs=2)
    trained(tmp_path, config)
    (state,) = (tmp_path / "backup").iterdir()
    (tmp_path / "backup" / ".part").mkdir()
    (tmp_path / "backup" / ".part" / "state.weights.h5").write_bytes(b"torn")
    assert epochs_done(tmp_path / "backup") == int(state.name) == 2
    (state / "state.weights.h5").write_bytes(b"torn")
    with pytest.raises(UserError, match="damaged"):
        trained(tmp_path, config)


def test_the_best_weights_are_written_when_asked(tmp_path):
    model = small_model()
    best = BestModel(model, tmp_path / "best.keras", math.nan)
    best.set_model(model)
    best.on_test_end({"loss": 1.0})
    wanted = model.get_weights()
    model.set_weights([0.0 * w + 7.0 for w in wanted])
    best.on_test_end({"loss": 2.0})
    best.on_test_end({"loss": math.nan})
    assert not best.file.exists()
    best.save()
    found = keras.models.load_model(best.file).get_weights()
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert model.get_weights()[0].min() == 7.0


def test_an_epoch_seeds_every_generator():
    inputs = keras.Input((4,))
    x = keras.layers.Dropout(0.5)(keras.layers.Dropout(0.5)(inputs))
    model = keras.Model(inputs, x)
    batches = TrainingBatches(
        np.zeros((4, 1, 1, 1), np.uint8), np.ones((4, 1), np.float32), 2, 5
    )
    seeds = EpochSeeds(batches)
    seeds.set_model(model)

    def states(epoch):
        seeds.on_epoch_begin(epoch)
        return [tuple(v.numpy()) for v in model.non_trainable_variables]

    first = states(0)
    assert len(set(first)) == 2
    model(np.ones((2, 4)), training=True)
    assert states(1) != first
    assert states(0) == first


def test_the_average_of_the_weights_is_validated_and_kept(tmp_path):
    # One step per epoch; Keras' average begins with the first step's weights.
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
    trained(tmp_path, configuration(ema=0.9, augment="light"))
    best = keras.saving.load_model(tmp_path / "best.keras")
    kernel = best.get_layer("stem").get_weights()[0]
    batches = np.random.default_rng(0).permutation(24).reshape(3, 8)
    # Images are changed as in training, with the same numbers every time.
    change, random = POLICIES["light"], keras.random.SeedGenerator(0)
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


@pytest.mark.slow
def test_teachers_teach_and_stay_as_they_are(tmp_path):
    teacher = small_model(7)
    distillation = Distillation([teacher], alpha=0.5)
    within = trained(tmp_path / "b", configuration(), distillation)
    alone = trained(tmp_path / "c", configuration())
    assert abs(within[1]["loss"] - alone[1]["loss"]).min() > 1e-3
    untouched = small_model(7)
    for one, other in zip(
        teacher.get_weights(), untouched.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
