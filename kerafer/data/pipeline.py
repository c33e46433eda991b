"""Decoded pictures to the batches that a model takes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kerafer.data.augmentation import make_augmentation


class TrainingBatches:
    """Shuffled, augmented batches that depend on the seed and epoch alone.

    Args:
        images: uint8 of shape `(pictures, height, width, channels)`.
        labels: Class index of every picture, of shape `(pictures,)`.
        num_classes: Length of the one-hot labels.
        batch_size: Pictures a step; the last step of an epoch may have less.
        seed: Of shuffling and augmentation.
        augment: Policy of `make_augmentation`. Defaults to `"none"`.
        rows: Which of the pictures to take. Defaults to all.

    Attributes:
        batches: `tf.data.Dataset` of `(pictures, one-hot labels)`, one epoch
            long. Every iteration over it shuffles as the epoch set last says.
        steps: Batches in an epoch.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        batch_size: int,
        seed: int,
        augment: str = "none",
        rows: np.ndarray | None = None,
    ) -> None:
        rows = np.arange(len(images)) if rows is None else rows
        self.steps = math.ceil(len(rows) / batch_size)
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        change = make_augmentation(augment)

        def order(epoch: np.ndarray) -> np.ndarray:
            generator = np.random.default_rng((seed, int(epoch)))
            return generator.permutation(rows)

        def shuffled(_: tf.Tensor) -> tf.data.Dataset:
            epoch = self._epoch.read_value()
            order_now = tf.numpy_function(order, [epoch], tf.int64)
            return tf.data.Dataset.from_tensor_slices(
                tf.ensure_shape(order_now, (len(rows),))
            )

        def finish(
            step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            pictures, targets = batch
            if change is not None:
                epoch = self._epoch.read_value() + (seed << 32)
                step_seed = tf.stack([epoch, step])
                pictures = change(pictures, step_seed)
            return pictures, targets

        self.batches = (
            tf.data.Dataset.range(1)
            .flat_map(shuffled)
            .batch(batch_size)
            .map(_gather(images, labels, num_classes), tf.data.AUTOTUNE)
            .enumerate()
            .map(finish, tf.data.AUTOTUNE)
            .apply(tf.data.experimental.assert_cardinality(self.steps))
            .prefetch(tf.data.AUTOTUNE)
        )

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is."""
        self._epoch.assign(epoch)


def evaluation_batches(
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    batch_size: int,
    rows: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Batches in order, unchanged: `(pictures, one-hot labels)`.

    The arguments are those of `TrainingBatches`.
    """
    rows = np.arange(len(images)) if rows is None else rows
    return (
        tf.data.Dataset.from_tensor_slices(rows)
        .batch(batch_size)
        .map(_gather(images, labels, num_classes), tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _gather(
    images: np.ndarray, labels: np.ndarray, num_classes: int
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    shape = images.shape[1:]
    targets = tf.one_hot(labels, num_classes)

    def gather(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pictures = tf.numpy_function(lambda r: images[r], [rows], tf.uint8)
        pictures = tf.ensure_shape(pictures, (None, *shape))
        return pictures, tf.gather(targets, rows)

    return gather
