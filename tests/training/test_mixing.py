"""Images mixed in pairs: what comes out, and that it comes out again."""

import keras
import numpy as np
import pytest
from scipy import stats

from kerafer.training.augmentation import POLICIES, Mixing
from kerafer.training.config import TrainingConfig
from kerafer.training.losses import make_objective
from kerafer.training.trainer import Trainer

MIXED = ("mixup", "cutmix", "both")


def distinct(count, size=16):
    """Images of one value each, and a class of its own for each."""
    values = np.arange(count, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(values, (count, size, size, 3)).copy()
    return images, np.eye(count, dtype="float32")


def mixed(kind, alpha=1.0, count=32, seed=3, size=16):
    images, labels = distinct(count, size)
    random = keras.random.SeedGenerator(seed)
    found = Mixing(kind, alpha)(images, random)
    pictures, partner, kept = map(keras.ops.convert_to_numpy, found)
    assert pictures.dtype == kept.dtype == np.float32
    assert pictures.shape == images.shape and kept.shape == (count, 1)
    return pictures, kept * labels + (1 - kept) * labels[partner]


def own_shares(labels):
    """What images mixed with another one keep of themselves."""
    own = np.diag(labels)
    return own[(labels > 0).sum(axis=1) == 2]


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


def test_both_takes_one_of_the_two_for_a_whole_batch():
    cut = 0
    for seed in range(60):
        pictures, shares = mixed("both", 1.0, 8, seed)
        whole = np.isin(pictures, np.arange(8)).reshape(8, -1).all(1)
        unmixed = (shares > 0).sum(1) == 1
        assert whole.all() or (whole == unmixed).all()
        cut += whole.all()
    # Either is as likely: 99.99 % of all runs are within.
    assert 15 <= cut <= 45


@pytest.mark.parametrize("kind", MIXED)
def test_the_seed_alone_says_how_pictures_are_mixed(kind):
    first, labels = mixed(kind)
    keras.utils.set_random_seed(98)
    mixed(kind, seed=8)
    again, labels_again = mixed(kind)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert not np.array_equal(first, mixed(kind, seed=4)[0])


def test_who_is_mirrored_does_not_say_who_is_mixed_with_whom():
    left = np.zeros((64, 8, 8, 3), np.uint8)
    left[:, :, :4] = 200
    augment, mix = POLICIES["light"], Mixing("mixup", 1.0)
    found = []
    for number in range(12):
        random = keras.random.SeedGenerator(number)
        pictures = keras.ops.convert_to_numpy(augment(left, random))
        mirrored = (
            pictures[:, :, 4:].sum((1, 2, 3)) > pictures.sum((1, 2, 3)) / 2
        )
        others = keras.ops.convert_to_numpy(mix(left, random)[1])
        found.append(np.corrcoef(np.arange(64), mirrored[others])[0, 1])
    assert np.abs(found).mean() < 0.3


def test_a_loss_is_of_the_labels_in_the_shares_of_the_pictures():
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(8, "softmax")(x))
    images, labels = distinct(8, 6)
    trainer = Trainer(
        model,
        make_objective(TrainingConfig(dataset="synthetic")),
        mixing=Mixing("mixup", 1.0),
    )
    outputs = trainer(images, training=True)
    partner = keras.ops.convert_to_numpy(outputs["partner"])
    kept = keras.ops.convert_to_numpy(outputs["kept"])[:, 0]
    values = kept * np.arange(8) + (1 - kept) * partner
    pictures = np.broadcast_to(values[:, None, None, None], images.shape)
    given = model.predict(pictures, verbose=0)
    shares = kept[:, None] * labels + (1 - kept)[:, None] * labels[partner]
    by_hand = -(shares * np.log(given)).sum(1).mean()
    loss = trainer.compute_loss(None, labels, outputs)
    assert float(loss) == pytest.approx(by_hand, rel=1e-4)
    # Validation sees images as they are.
    assert set(trainer(images, training=False)) == {"probabilities"}
