"""Knowledge distillation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.console import track
from kerafer.datasets.pipeline import Batches

# Keeps logarithms of probabilities finite.
_SMALLEST = 1e-7


class Distillation:
    """Teachers, and the loss of a student.

    Args:
        teachers: Models that map images 0..255 to probabilities of the same
            classes. Images are resized and converted to what each takes.
        orders: For each teacher, the index of its output for every class of
            the student. Default: the same order.
        alpha: Weight of the teachers in the loss, 0 to 1.
        temperature: Divisor of the logits of teachers and student.

    Reference:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network"
        (2015).
    """

    def __init__(
        self,
        teachers: Sequence[keras.Model],
        orders: Sequence[np.ndarray] | None = None,
        alpha: float = 0.7,
        temperature: float = 4.0,
    ) -> None:
        self.teachers = list(teachers)
        self.orders = orders
        self.alpha = alpha
        self.temperature = temperature

    def teacher_probs(self, images: Any) -> Any:
        """Return the teachers' mean probabilities, `(batch, classes)`."""
        found = []
        for index, teacher in enumerate(self.teachers):
            images_of_size = _convert(images, teacher.input_shape[1:])
            probabilities = teacher(images_of_size, training=False)
            if self.orders is not None:
                probabilities = ops.take(
                    probabilities, self.orders[index], axis=-1
                )
            found.append(probabilities)
        return ops.stop_gradient(sum(found) / len(found))

    def mix(self, loss: Any, soft_targets: Any, probabilities: Any) -> Any:
        """Combine the student's loss with the teachers'.

        Args:
            loss: Of the labels, a number.
            soft_targets: Probabilities of the teachers, `(batch, classes)`.
            probabilities: Of the student.
        """
        wanted = self._softened(soft_targets)
        given = self._softened(probabilities)
        divergence = ops.mean(
            ops.sum(ops.exp(wanted) * (wanted - given), axis=-1)
        )
        softened = self.temperature**2 * divergence
        return (1.0 - self.alpha) * loss + self.alpha * softened

    def make_soft_labels(
        self, labels: np.ndarray, batches: Batches
    ) -> np.ndarray:
        """Mix the teachers' probabilities into the labels.

        The teachers see each image as it is and mirrored. Their mean, softened
        by the temperature, gets the weight `alpha`. A student that is trained
        on these labels needs no teachers in its steps.

        Args:
            labels: Probability of each class, `(all images, classes)`.
            batches: The images; the labels of others stay as they are.

        Returns:
            float32, of the shape of `labels`.
        """
        found = []
        compiled = _compiled(self._softened_probs)
        steps = range(len(batches))
        for number in track(steps, "Asking the teachers", len(batches)):
            images, _ = batches[number]
            # All of one size, so that it is compiled once.
            missing = batches.batch_size - len(images)
            padded = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)])
            soft = ops.convert_to_numpy(compiled(ops.convert_to_tensor(padded)))
            found.append(soft[: len(images)])
        mixed = labels.astype(np.float32)
        own = (1.0 - self.alpha) * mixed[batches.indices]
        mixed[batches.indices] = own + self.alpha * np.concatenate(found)
        return mixed

    def _softened_probs(self, images: Any) -> Any:
        mirrored = ops.flip(images, axis=2)
        mean = (self.teacher_probs(images) + self.teacher_probs(mirrored)) / 2.0
        return ops.exp(self._softened(ops.cast(mean, "float32")))

    def _softened(self, probabilities: Any) -> Any:
        """Return log softmax(logits / temperature)."""
        logits = ops.log(ops.maximum(probabilities, _SMALLEST))
        return ops.log_softmax(logits / self.temperature, axis=-1)


def _compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function


def _convert(images: Any, shape: tuple[int, int, int]) -> Any:
    """Resize images, and convert between gray and colour."""
    images = ops.cast(images, "float32")
    height, width, channels = shape
    if images.shape[-1] != channels:
        images = (
            ops.repeat(images, 3, axis=-1)
            if channels == 3
            else ops.image.rgb_to_grayscale(images, data_format="channels_last")
        )
    if tuple(images.shape[1:3]) != (height, width):
        images = ops.image.resize(
            images, (height, width), data_format="channels_last"
        )
    return images
