"""Batches of decoded images."""

from __future__ import annotations

import math

import keras
import numpy as np

from kerafer.datasets.device import device_memory

# Images enough to estimate the statistics of all.
_FEW = 4096


class Batches(keras.utils.PyDataset):
    """Batches in order, `(images, targets)` or `(images, targets, weights)`.

    Args:
        images: uint8, `(images, height, width, channels)`.
        targets: Probability of each class in every image's label, float32,
            `(images, classes)`.
        batch_size: Images per batch; the last batch may be smaller.
        indices: Which of the images to use. Default: all.
        yield_indices: Whether batches have the indices of their images (int32)
            instead of the images.
        num_devices: Number of devices that share each batch. With more than
            one, the last batch is filled up with images of weight 0, and the
            weights of the others keep the mean over all batches that over the
            images. Default: 1.
    """

    def __init__(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        indices: np.ndarray | None = None,
        *,
        yield_indices: bool = False,
        num_devices: int = 1,
    ) -> None:
        # Keras' TensorFlow reads ahead itself; on a processor, threads take
        # more from the step than they hide.
        ahead = (
            keras.backend.backend() != "tensorflow"
            and not yield_indices
            and device_memory() > 0
        )
        super().__init__(workers=2 if ahead else 1, max_queue_size=4)
        self.images = images
        self.targets = targets
        self.batch_size = max(
            num_devices, batch_size - batch_size % num_devices
        )
        self.indices = np.arange(len(images)) if indices is None else indices
        self.yield_indices = yield_indices
        self.num_devices = num_devices

    def __len__(self) -> int:
        return math.ceil(len(self.indices) / self.batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, ...]:
        start = number * self.batch_size
        indices = self.indices[start : start + self.batch_size]
        if self.num_devices == 1:
            return self._batch(indices)
        count = len(self.indices)
        filled = count + -count % self.num_devices
        weights = np.full(len(indices), filled / count, np.float32)
        missing = -len(indices) % self.num_devices
        indices = np.pad(indices, (0, missing), mode="wrap")
        return *self._batch(indices), np.pad(weights, (0, missing))

    def _batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        targets = self.targets[indices]
        if self.yield_indices:
            return indices.astype(np.int32), targets
        return self.images[indices], targets


class TrainingBatches(Batches):
    """Shuffled batches that depend on the seed and the epoch alone.

    All have the same size, so that a step is compiled once: the last batch of
    an epoch is filled up with images of its first one, as by PyTorch's
    `DistributedSampler`.

    Args:
        images, targets, indices, yield_indices: As for `Batches`.
        batch_size: Images per step, of all processes together.
        seed: For shuffling.
        share: `(index, count)` of this process, if several processes take
            equal shares of the same batches. Default: one process.
        num_devices: Number of devices that share each batch. Default: 1.
        steps_per_call: Steps per batch. With more than one, batches have shape
            `(images, steps)`; missing steps of an epoch's last batch are -1.
            Needs `yield_indices`. Default: 1.

    Attributes:
        steps: Steps per epoch.
    """

    def __init__(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        seed: int,
        indices: np.ndarray | None = None,
        *,
        share: tuple[int, int] = (0, 1),
        num_devices: int = 1,
        yield_indices: bool = False,
        steps_per_call: int = 1,
    ) -> None:
        super().__init__(
            images, targets, batch_size, indices, yield_indices=yield_indices
        )
        self.seed = seed
        self.share = share
        # A batch larger than the data would repeat images.
        parts = share[1] * num_devices
        most = max(parts, len(self.indices) - len(self.indices) % parts)
        self.batch_size = min(batch_size, most)
        self.steps_per_call = steps_per_call
        self.steps = math.ceil(len(self.indices) / self.batch_size)
        self.set_epoch(0)

    def __len__(self) -> int:
        return math.ceil(self.steps / self.steps_per_call)

    def set_epoch(self, epoch: int) -> None:
        """Shuffle for an epoch."""
        generator = np.random.default_rng((self.seed, epoch))
        order = generator.permutation(self.indices)
        # With few images, a batch may need some more than once.
        order = np.resize(order, (self.steps, self.batch_size))
        index, count = self.share
        width = self.batch_size // count
        self.order = order[:, index * width : (index + 1) * width]

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if self.steps_per_call == 1:
            return self._batch(self.order[number])
        start = number * self.steps_per_call
        indices = self.order[start : start + self.steps_per_call].T
        indices, targets = self._batch(indices)
        missing = self.steps_per_call - indices.shape[1]
        indices = np.pad(indices, [(0, 0), (0, missing)], constant_values=-1)
        return indices, np.pad(targets, [(0, 0), (0, missing), (0, 0)])

    @property
    def unchanged(self) -> Batches:
        """Full batches of at most 4,096 images, the same every time."""
        few = min(len(self.indices), _FEW)
        size = min(self.batch_size, few)
        chosen = np.random.default_rng(self.seed).permutation(self.indices)
        return Batches(
            self.images, self.targets, size, chosen[: few - few % size]
        )
