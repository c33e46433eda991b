"""Decoded pictures to the batches that a model takes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kerafer.data.augmentation import make_augmentation
from kerafer.data.mixing import make_mixing
from kerafer.errors import UserError

# One-hot labels, or a pair of them and of what teachers say.
Targets = tf.Tensor | tuple[tf.Tensor, tf.Tensor]
# Pictures enough for the mean of what a network computes of all.
_FEW = 4096


class TrainingBatches:
    """Shuffled, changed batches that depend on the seed and epoch alone.

    Args:
        images: uint8 of shape `(pictures, height, width, channels)`.
        labels: Class index of every picture, of shape `(pictures,)`.
        num_classes: Length of the one-hot labels.
        batch_size: Pictures a step; the last step of an epoch may have less.
        seed: Of shuffling, augmentation and mixing.
        augment: Policy of `make_augmentation`. Defaults to `"none"`.
        rows: Which of the pictures to take. Defaults to all.
        mix: Kind of `make_mixing`, which comes after the augmentation.
            Defaults to `"none"`.
        mix_alpha: Its alpha. Defaults to 0.2.
        taught: What teachers say of every picture, of shape `(pictures,
            num_classes)`. Defaults to none.
        share: `(index, count)` of the process that takes these batches, of
            several that take an equal share each of the same ones. A share is
            augmented and mixed with random numbers of its own. Defaults to one
            process.
        multiple: Number of devices that each of these batches is divided
            among. What does not divide evenly among all processes and devices
            is left out of an epoch's last batch. Defaults to 1.

    Attributes:
        batches: `tf.data.Dataset` of `(pictures, one-hot labels)`, or with
            `taught` `(pictures, (one-hot labels, taught))`, one epoch long.
            Every iteration over it shuffles as the epoch set last says.
        steps: Batches in an epoch.
        unchanged: Full batches of at most 4,096 of the pictures, neither
            augmented nor mixed: `(pictures, one-hot labels)`, always the same.

    Raises:
        UserError: For an unknown policy or kind, an alpha that is not above 0,
            or mixing together with `taught`.
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
        mix: str = "none",
        mix_alpha: float = 0.2,
        taught: np.ndarray | None = None,
        share: tuple[int, int] = (0, 1),
        multiple: int = 1,
    ) -> None:
        rows = np.arange(len(images)) if rows is None else rows
        index, count = share
        used = len(rows) - len(rows) % (count * multiple)
        self.steps = math.ceil(used / batch_size)
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        change = make_augmentation(augment)
        blend = make_mixing(mix, mix_alpha)
        if blend is not None and taught is not None:
            raise UserError(
                "What teachers said of single pictures does not hold for mixed "
                f"ones. Received: mix={mix} together with taught."
            )

        def order(epoch: np.ndarray) -> np.ndarray:
            generator = np.random.default_rng((seed, int(epoch)))
            mixed_up = generator.permutation(rows)[:used]
            batches = np.split(mixed_up, range(batch_size, used, batch_size))
            return np.concatenate(
                [np.split(batch, count)[index] for batch in batches]
            )

        def shuffled(_: tf.Tensor) -> tf.data.Dataset:
            epoch = self._epoch.read_value()
            order_now = tf.numpy_function(order, [epoch], tf.int64)
            return tf.data.Dataset.from_tensor_slices(
                tf.ensure_shape(order_now, (used // count,))
            )

        def finish(
            step: tf.Tensor, batch: tuple[tf.Tensor, Targets]
        ) -> tuple[tf.Tensor, Targets]:
            pictures, targets = batch
            epoch = self._epoch.read_value() + (seed << 32)
            step_seed = tf.stack([epoch, step + (index << 32)])
            if change is not None:
                pictures = change(pictures, step_seed)
            if blend is not None:
                pictures, targets = blend(pictures, targets, step_seed)
            return pictures, targets

        self.batches = (
            tf.data.Dataset.range(1)
            .flat_map(shuffled)
            .batch(batch_size // count)
            .map(_gather(images, labels, num_classes, taught), tf.data.AUTOTUNE)
            .enumerate()
            .map(finish, tf.data.AUTOTUNE)
            .apply(tf.data.experimental.assert_cardinality(self.steps))
            .prefetch(tf.data.AUTOTUNE)
        )
        few = min(len(rows), _FEW)
        self.unchanged = evaluation_batches(
            images,
            labels,
            num_classes,
            batch_size,
            np.random.default_rng(seed).permutation(rows)[
                : few - few % min(batch_size, few)
            ],
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
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    taught: np.ndarray | None = None,
) -> Callable[[tf.Tensor], tuple[tf.Tensor, Targets]]:
    shape = images.shape[1:]
    targets = tf.one_hot(labels, num_classes)
    others = None if taught is None else tf.constant(taught, tf.float32)

    def gather(rows: tf.Tensor) -> tuple[tf.Tensor, Targets]:
        pictures = tf.numpy_function(lambda r: images[r], [rows], tf.uint8)
        pictures = tf.ensure_shape(pictures, (None, *shape))
        if others is None:
            return pictures, tf.gather(targets, rows)
        return pictures, (tf.gather(targets, rows), tf.gather(others, rows))

    return gather
