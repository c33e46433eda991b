"""Decoded images to the batches that a model takes."""

from __future__ import annotations

import math

import keras
import numpy as np

from kerafer.datasets.device import device_memory

# Images enough for the mean of what a network computes of all.
_FEW = 4096


class Batches(keras.utils.PyDataset):
    """Batches in order: `(images, targets)`, or with weights.

    Args:
        images: uint8 of shape `(images, height, width, channels)`.
        targets: Share of each class in every image's label, float32 of shape
            `(images, classes)`.
        batch_size: Images a batch; the last may have less.
        rows: Which of the images to take. Defaults to all.
        by_row: Whether a batch has the rows of its images (int32) in place of
            the images, for one who holds them. Defaults to no.
        multiple: Number of devices that each batch is divided among. With
            more than 1 the last batch is filled with images of weight 0, and
            all others weigh so much that the mean of all batches' means is
            that of the images: batches are `(images, targets, weights)`.
            Defaults to 1.
    """

    def __init__(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        rows: np.ndarray | None = None,
        *,
        by_row: bool = False,
        multiple: int = 1,
    ) -> None:
        # Keras' TensorFlow reads ahead by itself; on a processor alone other
        # threads take more from the step than they hide.
        ahead = (
            keras.backend.backend() != "tensorflow"
            and not by_row
            and device_memory() > 0
        )
        super().__init__(workers=2 if ahead else 1, max_queue_size=4)
        self.images = images
        self.targets = targets
        self.batch_size = max(multiple, batch_size - batch_size % multiple)
        self.rows = np.arange(len(images)) if rows is None else rows
        self.by_row = by_row
        self.multiple = multiple

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        start = index * self.batch_size
        rows = self.rows[start : start + self.batch_size]
        if self.multiple == 1:
            return self._batch(rows)
        count = len(self.rows)
        whole = count + -count % self.multiple
        weights = np.full(len(rows), whole / count, np.float32)
        missing = -len(rows) % self.multiple
        rows = np.pad(rows, (0, missing), mode="wrap")
        return *self._batch(rows), np.pad(weights, (0, missing))

    def _batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        targets = self.targets[rows]
        if self.by_row:
            return rows.astype(np.int32), targets
        return self.images[rows], targets


class TrainingBatches(Batches):
    """Shuffled batches that depend on the seed and the epoch alone.

    All have the same number of images, so that a step is compiled once: what
    is missing in the last one of an epoch is taken from its first ones, as
    PyTorch's `DistributedSampler` does.

    Args:
        images: uint8 of shape `(images, height, width, channels)`.
        targets: Share of each class in every image's label, float32 of shape
            `(images, classes)`.
        batch_size: Images a step, of all processes together.
        seed: Of shuffling.
        rows: Which of the images to take. Defaults to all.
        share: `(index, count)` of the process that takes these batches, of
            several that take an equal share each of the same ones. Defaults to
            one process.
        multiple: Number of devices that each of these batches is divided
            among. Defaults to 1.
        by_row: As for `Batches`. Defaults to no.
        together: Steps a batch: more than 1 puts as many beside each other,
            `(images, steps)`, for one who takes them in one call; what is
            missing in an epoch's last is -1. Needs `by_row`. Defaults to 1.

    Attributes:
        steps: Steps in an epoch.
    """

    def __init__(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        seed: int,
        rows: np.ndarray | None = None,
        *,
        share: tuple[int, int] = (0, 1),
        multiple: int = 1,
        by_row: bool = False,
        together: int = 1,
    ) -> None:
        super().__init__(images, targets, batch_size, rows, by_row=by_row)
        self.seed = seed
        self.share = share
        # One of more images than there are would repeat some.
        parts = share[1] * multiple
        most = max(parts, len(self.rows) - len(self.rows) % parts)
        self.batch_size = min(batch_size, most)
        self.together = together
        self.steps = math.ceil(len(self.rows) / self.batch_size)
        self.set_epoch(0)

    def __len__(self) -> int:
        return math.ceil(self.steps / self.together)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is."""
        generator = np.random.default_rng((self.seed, epoch))
        order = generator.permutation(self.rows)
        # Of a few images a batch may need each more than once.
        order = np.resize(order, (self.steps, self.batch_size))
        index, count = self.share
        width = self.batch_size // count
        self.order = order[:, index * width : (index + 1) * width]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.together == 1:
            return self._batch(self.order[index])
        start = index * self.together
        rows = self.order[start : start + self.together].T
        rows, targets = self._batch(rows)
        missing = self.together - rows.shape[1]
        rows = np.pad(rows, [(0, 0), (0, missing)], constant_values=-1)
        return rows, np.pad(targets, [(0, 0), (0, missing), (0, 0)])

    @property
    def unchanged(self) -> Batches:
        """Full batches of at most 4,096 of the images, always the same."""
        few = min(len(self.rows), _FEW)
        size = min(self.batch_size, few)
        chosen = np.random.default_rng(self.seed).permutation(self.rows)
        return Batches(
            self.images,
            self.targets,
            size,
            chosen[: few - few % size],
        )
