"""Random changes of training images."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from kerafer.training import augmentation
from kerafer.training.augmentation import POLICIES, Augmentation


def changed(images, change, seed=3):
    random = keras.random.SeedGenerator(seed)
    return keras.ops.convert_to_numpy(change(images, random))


def test_every_policy_changes_pictures_within_bounds():
    images = np.zeros((32, 24, 24, 3), "uint8")
    images[:, 4:20, 6:10] = (255, 120, 0)
    for policy in ("light", "strong", "robust"):
        change = POLICIES[policy]
        done = changed(images, change)
        assert done.shape == images.shape and done.dtype == np.float32
        assert done.min() >= 0 and done.max() <= 255
        assert all(
            not np.array_equal(one, two)
            for one, two in zip(done, images, strict=True)
        )
        # No two images of a batch are changed in the same way.
        assert len(np.unique(done.reshape(32, -1), axis=0)) == 32
        # Half of them are mirrored: the bar stands left of the middle.
        left = done[..., 0][:, :, :12].sum((1, 2))
        right = done[..., 0][:, :, 12:].sum((1, 2))
        assert 6 <= (right > left).sum() <= 26
        np.testing.assert_array_equal(done, changed(images, change))
        assert not np.array_equal(done, changed(images, change, 4))


@pytest.mark.trains
@pytest.mark.parametrize("gathered", [False, True])
def test_moves_are_one_resampling_by_the_product_of_their_matrices(
    gathered, monkeypatch
):
    if gathered:
        # As on JAX.
        monkeypatch.setitem(
            augmentation._RESAMPLERS,
            keras.backend.backend(),
            augmentation._by_gathering,
        )
    images = np.random.default_rng(0).random((16, 9, 12, 2)) * 255
    change = Augmentation(flip=True, shift=0.2, rotation=30, zoom=(0.7, 1.5))
    done = changed(images.astype("float32"), change)

    random = keras.random.SeedGenerator(3)

    def drawn(most):
        shape = (16, 1, 1, 1)
        numbers = keras.random.uniform(shape, -most, most, "float32", random)
        return keras.ops.convert_to_numpy(numbers).ravel()

    sides = np.sign(drawn(1.0))
    zooms = np.sqrt(0.7 * 1.5) * (1.5 / 0.7) ** (drawn(1.0) / 2)
    angles, right, down = drawn(np.pi / 6), 12 * drawn(0.2), 9 * drawn(0.2)
    assert len(set(sides)) == 2
    centre = np.array([[1, 0, 5.5], [0, 1, 4], [0, 0, 1]])
    for index, image in enumerate(images):
        c, s = np.cos(angles[index]), np.sin(angles[index])
        place = (
            centre
            @ np.diag([sides[index], 1, 1])
            @ [[1, 0, -right[index]], [0, 1, -down[index]], [0, 0, 1]]
            @ [[c, -s, 0], [s, c, 0], [0, 0, 1]]
            @ np.diag([zooms[index], zooms[index], 1])
            @ np.linalg.inv(centre)
        )
        rows = place[:2][::-1]
        for channel in range(2):
            wanted = ndimage.affine_transform(
                image[..., channel],
                rows[:, [1, 0]],
                rows[:, 2],
                order=1,
                mode="nearest",
            )
            np.testing.assert_allclose(
                done[index, ..., channel], wanted, atol=0.02
            )


def test_light_changes_are_those_of_their_formulas():
    images = np.random.default_rng(0).random((40, 5, 5, 1)) * 100 + 60
    images = images.astype("float32")
    added = changed(images, Augmentation(brightness=0.1)) - images
    assert np.ptp(added, axis=(1, 2)).max() < 1e-3
    assert np.abs(added).max() <= 25.5 and np.ptp(added) > 30
    mean = images.mean((1, 2), keepdims=True)
    ratio = (changed(images, Augmentation(contrast=0.2)) - mean) / (
        images - mean
    )
    assert np.ptp(ratio, axis=(1, 2)).max() < 1e-2
    assert 0.8 - 1e-3 <= ratio.min() < 0.9 and 1.1 < ratio.max() <= 1.2 + 1e-3
    done = changed(images, Augmentation(gamma=0.3))
    exponent = np.log(done / 255) / np.log(images / 255)
    assert np.ptp(exponent, axis=(1, 2)).max() < 1e-3
    assert np.exp(-0.3) - 1e-3 <= exponent.min() < 0.85
    assert 1.15 < exponent.max() <= np.exp(0.3) + 1e-3


def test_blur_is_a_share_of_a_binomial_filter_on_one_image_in_two():
    images = np.random.default_rng(0).random((60, 7, 9, 2)) * 255
    images = images.astype("float32")
    done = changed(images, Augmentation(blur=0.8))
    blurred = images
    for axis in (1, 2):
        weights = np.array([1, 4, 6, 4, 1]) / 16
        blurred = ndimage.correlate1d(blurred, weights, axis, mode="reflect")
    share = (done - images) / (blurred - images)
    share = np.median(share.reshape(60, -1), axis=1)
    np.testing.assert_allclose(
        done,
        images + share[:, None, None, None] * (blurred - images),
        atol=1e-2,
    )
    assert share.min() == 0 and 0.7 < share.max() <= 0.8
    assert 15 <= (share == 0).sum() <= 45


def test_erasing_fills_rectangles_with_noise():
    images = np.full((200, 20, 20, 1), 77.0, "float32")
    erased = changed(images, Augmentation(erasing=0.2))[..., 0] != 77
    shares = erased.mean((1, 2))
    assert 70 <= (shares > 0).sum() <= 130
    assert shares.max() <= 0.2 + 0.06
    for mask in erased[shares > 0]:
        rows, columns = np.nonzero(mask)
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        # Noise may have the colour of what it replaces, rarely.
        assert len(rows) >= area - 2
