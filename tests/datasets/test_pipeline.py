"""From decoded images to batches: shuffling, order, weights."""

import numpy as np

from kerafer.datasets.pipeline import Batches, TrainingBatches


def batches(seed=0, indices=None, **options):
    images = np.arange(50, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, (50, 8, 8, 3)).copy()
    targets = np.eye(5, dtype=np.float32)[np.arange(50) % 5]
    return TrainingBatches(images, targets, 16, seed, indices, **options)


def epoch(training, number):
    training.set_epoch(number)
    return [training[index] for index in range(len(training))]


def test_an_epoch_is_every_picture_with_its_label_in_equal_batches():
    seen = epoch(batches(), 0)
    assert [len(x) for x, _ in seen] == [16, 16, 16, 16]
    pictures = np.concatenate([x[:, 0, 0, 0] for x, _ in seen])
    labels = np.concatenate([y for _, y in seen])
    assert sorted(pictures[:50]) == list(range(50))
    assert list(pictures[:50]) != sorted(pictures[:50])
    # The last batch is filled with the first images of the epoch.
    assert list(pictures[50:]) == list(pictures[:14])
    np.testing.assert_array_equal(labels.argmax(1), pictures % 5)
    np.testing.assert_array_equal(labels.sum(1), 1)


def test_rows_are_the_only_ones_taken():
    rows = np.array([3, 9, 27])
    ((pictures, _),) = epoch(batches(indices=rows), 0)
    assert sorted(pictures[:, 0, 0, 0]) == [3, 9, 27]


def test_the_order_follows_from_seed_and_epoch():
    def flat(training, number):
        return np.concatenate([x.ravel() for x, _ in epoch(training, number)])

    first = flat(batches(), 3)
    again = batches()
    flat(again, 0)
    np.testing.assert_array_equal(flat(again, 3), first)
    assert not np.array_equal(flat(again, 4), first)
    assert not np.array_equal(flat(batches(1), 3), first)


def test_several_steps_per_call_are_the_same_steps():
    alone = epoch(batches(yield_indices=True), 2)
    together = epoch(batches(yield_indices=True, steps_per_call=3), 2)
    assert len(alone) == 4 and len(together) == 2
    assert [rows.shape for rows, _ in together] == [(16, 3), (16, 3)]
    assert (together[1][0][:, 1:] == -1).all()
    for number, (rows, targets) in enumerate(alone):
        several, of_several = together[number // 3]
        np.testing.assert_array_equal(several[:, number % 3], rows)
        np.testing.assert_array_equal(of_several[:, number % 3], targets)


def test_batches_of_a_test_are_in_order_and_unchanged():
    images = np.arange(20, dtype=np.uint8)[:, None, None, None]
    rows = np.array([7, 2, 19])
    parts = Batches(images, np.eye(20, dtype="float32"), 2, rows)
    pictures = np.concatenate([x.ravel() for x, _ in parts])
    np.testing.assert_array_equal(pictures, rows)
