"""Pictures mixed in pairs: what comes out, and that it comes out again."""

import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from harness import run_python
from scipy import stats

from kerafer.data.augmentation import make_augmentation
from kerafer.data.mixing import KINDS, make_mixing
from kerafer.data.pipeline import TrainingBatches
from kerafer.errors import UserError

MIXED = KINDS[1:]


def distinct(count, size=16):
    """Pictures of one value each, and a class of its own for each."""
    values = np.arange(count, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(values, (count, size, size, 3)).copy()
    return images, np.eye(count, dtype="float32")


def mixed(kind, alpha=1.0, count=32, seed=(3, 4), size=16):
    images, labels = distinct(count, size)
    pictures, shares = make_mixing(kind, alpha)(
        images, labels, np.array(seed, np.int64)
    )
    assert pictures.dtype == shares.dtype == tf.float32
    assert pictures.shape == images.shape and shares.shape == labels.shape
    return pictures.numpy(), shares.numpy()


def own_shares(labels):
    """What pictures mixed with another one keep of themselves."""
    own = np.diag(labels)
    return own[(labels > 0).sum(axis=1) == 2]


# === Mixup ===


def test_mixup_averages_pixels_in_the_shares_of_the_labels():
    pictures, labels = mixed("mixup")
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
    assert ((labels > 0).sum(1) <= 2).all()
    assert (np.diag(labels) > 0).all()
    value = labels @ np.arange(32)
    expected = np.broadcast_to(value[:, None, None, None], pictures.shape)
    np.testing.assert_allclose(pictures, expected, atol=1e-4)
    # Each gives to exactly one.
    given = (labels > 0).sum(0)
    assert (given[np.diag(labels) < 1] == 2).all()


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 3.0])
def test_shares_of_mixup_are_beta_distributed(alpha):
    _, labels = mixed("mixup", alpha, 1500, size=1)
    own = np.diag(labels)
    # Rounded to 1, a share of 0 is hidden; count both ends by hand.
    inner = own[(own > 1e-3) & (own < 1 - 1e-3)]
    reference = stats.beta(alpha, alpha)
    low, high = reference.cdf([1e-3, 1 - 1e-3])
    assert len(inner) / len(own) == pytest.approx(high - low, abs=0.05)
    found = stats.kstest(
        inner, lambda x: (reference.cdf(x) - low) / (high - low)
    )
    assert found.pvalue > 1e-3


# === CutMix ===


def test_cutmix_replaces_a_rectangle_that_the_labels_measure():
    pictures, labels = mixed("cutmix")
    changed = 0
    for index, (picture, label) in enumerate(
        zip(pictures, labels, strict=True)
    ):
        values, counts = np.unique(picture[..., 0], return_counts=True)
        by_hand = np.zeros(32)
        by_hand[values.astype(int)] = counts / 256
        np.testing.assert_allclose(label, by_hand, atol=1e-6)
        assert (picture == picture[..., :1]).all()
        rows, columns = np.nonzero(picture[..., 0] != index)
        if len(rows):
            changed += 1
            height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
            assert len(rows) == height * width
            assert len(values) <= 2
    assert changed > 20


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_of_cutmix_are_beta_distributed(alpha):
    own = own_shares(mixed("cutmix", alpha, 250, size=64)[1])
    reference = stats.beta(alpha, alpha)
    # A rectangle of less than a pixel is none.
    if alpha >= 1:
        assert own.mean() == pytest.approx(0.5, abs=0.07)
        assert own.std() == pytest.approx(reference.std(), abs=0.05)
    inside = (own > 0.25) & (own < 0.75)
    expected = np.subtract(*reference.cdf([0.75, 0.25]))
    assert inside.sum() / 250 == pytest.approx(expected, abs=0.09)


# === All kinds ===


def test_both_takes_one_of_the_two_for_a_whole_batch():
    images, labels = distinct(8)
    mix = tf.function(make_mixing("both", 1.0))
    cut = 0
    for seed in range(60):
        pictures, shares = mix(images, labels, np.array([seed, 1]))
        pictures, shares = pictures.numpy(), shares.numpy()
        whole = np.isin(pictures, np.arange(8)).reshape(8, -1).all(1)
        unmixed = (shares > 0).sum(1) == 1
        assert whole.all() or (whole == unmixed).all()
        cut += whole.all()
    # Either is as likely: 99.99 % of all runs are within.
    assert 15 <= cut <= 45


@pytest.mark.parametrize("kind", MIXED)
def test_the_seed_alone_says_how_pictures_are_mixed(kind):
    first, labels = mixed(kind)
    tf.random.set_seed(99)
    keras.utils.set_random_seed(98)
    mixed(kind, seed=(8, 9))
    again, labels_again = mixed(kind)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(labels, labels_again)
    for other in ((3, 5), (4, 4)):
        assert not np.array_equal(first, mixed(kind, seed=other)[0])


@pytest.mark.parametrize("kind", MIXED)
def test_a_single_picture_stays_as_it_is(kind):
    images = np.random.default_rng(0).integers(0, 256, (1, 9, 7, 1))
    images, labels = images.astype(np.uint8), np.eye(3, dtype="float32")[1:2]
    for seed in range(8):
        pictures, shares = make_mixing(kind)(
            images, labels, np.array([seed] * 2)
        )
        np.testing.assert_allclose(pictures, images, rtol=1e-6)
        np.testing.assert_allclose(shares, labels, rtol=1e-6)


def test_what_is_no_mixing():
    assert make_mixing("none") is None
    with pytest.raises(UserError, match=r"none, mixup, cutmix, both.*mosaic"):
        make_mixing("mosaic")
    for alpha in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match=f"more than 0. Received: {alpha}"):
            make_mixing("mixup", alpha)


# === Batches ===


def batches(kind, augment="none", seed=0, count=33, taught=None):
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)
    return TrainingBatches(
        *(images, np.arange(count) % 5, 5, 16, seed, augment),
        mix=kind,
        mix_alpha=1.0,
        taught=taught,
    )


def epoch(training, number):
    training.set_epoch(number)
    return [(x.numpy(), y.numpy()) for x, y in training.batches]


@pytest.mark.parametrize(
    ("kind", "augment"),
    [("mixup", "none"), ("cutmix", "none"), ("both", "strong")],
)
def test_batches_follow_from_seed_and_epoch(kind, augment):
    def flat(training, number):
        return np.concatenate(
            [part.ravel() for pair in epoch(training, number) for part in pair]
        )

    first = flat(batches(kind, augment), 3)
    again = batches(kind, augment)
    flat(again, 0)
    np.testing.assert_array_equal(flat(again, 3), first)
    assert not np.array_equal(flat(again, 4), first)
    assert not np.array_equal(flat(batches(kind, augment, 1), 3), first)


@pytest.mark.parametrize("kind", MIXED)
def test_pictures_are_mixed_after_they_were_augmented(kind):
    plain, changed = (epoch(batches(mix, "light"), 2) for mix in ("none", kind))
    assert [len(x) for x, _ in changed] == [16, 16, 1]
    # The last batch has one picture, which has none to be mixed with.
    for one, two in zip(plain[-1], changed[-1], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)
    for (images, _), (pictures, shares) in zip(
        plain[:2], changed[:2], strict=True
    ):
        assert not np.array_equal(pictures, images)
        np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
        assert pictures.min() >= images.min() - 1e-3
        assert pictures.max() <= images.max() + 1e-3


def test_who_is_mirrored_does_not_say_who_is_mixed_with_whom():
    left = np.zeros((64, 8, 8, 3), np.uint8)
    left[:, :, :4] = 200
    augment, mix = make_augmentation("light"), make_mixing("mixup", 1.0)
    found = []
    for number in range(12):
        seed = np.array([number, 5])
        pictures = augment(left, seed).numpy()
        mirrored = (
            pictures[:, :, 4:].sum((1, 2, 3)) > pictures.sum((1, 2, 3)) / 2
        )
        labels = mix(left, np.eye(64, dtype="float32"), seed)[1].numpy()
        others = (labels - np.diag(np.diag(labels))).argmax(1)
        found.append(np.corrcoef(np.arange(64), mirrored[others])[0, 1])
    # 0.86 where both are drawn from the same numbers, 0.1 by chance.
    assert np.abs(found).mean() < 0.3


def test_a_model_is_trained_on_mixed_batches():
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(5, "softmax")(x))
    model.compile("sgd", "categorical_crossentropy")
    history = model.fit(
        batches("both", "light").batches, shuffle=False, verbose=0
    )
    assert np.isfinite(history.history["loss"][0])


def test_teachers_answers_stand_beside_the_labels():
    taught = np.random.default_rng(2).random((33, 5)).astype("float32")
    plain = epoch(batches("none"), 1)
    training = batches("none", taught=taught)
    training.set_epoch(1)
    for (images, labels), (pictures, (own, said)) in zip(
        plain, training.batches, strict=True
    ):
        np.testing.assert_array_equal(pictures, images)
        np.testing.assert_array_equal(own, labels)
        # Every answer is of its own picture.
        said = said.numpy()
        rows = [np.flatnonzero((taught == row).all(1))[0] for row in said]
        np.testing.assert_array_equal(np.array(rows) % 5, labels.argmax(1))
    with pytest.raises(UserError, match="mix=mixup together with taught"):
        batches("mixup", taught=taught)


def sums_of_mixed_batches():
    images = np.random.default_rng(0).integers(0, 255, (24, 9, 9, 3))
    sums = []
    for kind in MIXED:
        training = TrainingBatches(
            images.astype("uint8"), np.arange(24) % 2, 2, 8, 0, mix=kind
        )
        for pictures, labels in training.batches:
            weights = np.arange(8) + 1
            sums.append(float(weights @ np.sum(pictures, (1, 2, 3))))
            sums.append(float(weights @ np.array(labels)[:, 0]))
    return sums


@pytest.mark.slow
def test_mixing_runs_in_tf_data_under_another_backend():
    pytest.importorskip("jax")
    program = f"""
        import json, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_mixing import sums_of_mixed_batches
        print(json.dumps(sums_of_mixed_batches()))
    """
    env = {**os.environ, "KERAS_BACKEND": "jax"}
    theirs = json.loads(run_python(program, env=env).splitlines()[-1])
    assert keras.backend.backend() == "tensorflow"
    assert sums_of_mixed_batches() == pytest.approx(theirs, rel=1e-5)
