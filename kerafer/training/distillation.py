"""What teachers know, for a student to learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.console import track
from kerafer.datasets.pipeline import Batches

# Probabilities below it are taken for it; their logarithm must be finite.
_LEAST = 1e-7


class Distillation:
    """Teachers, and the loss of a student who listens to them.

    Args:
        teachers: Models that map images 0..255 to probabilities of the same
            classes. Images are resized to what each takes, and made gray or
            repeated for three channels.
        orders: For each teacher, the index of its output for every class of
            the student. Defaults to the same order.
        alpha: Share of the teachers in the loss, 0 to 1. Defaults to 0.7.
        temperature: What the logits of both are divided by. Defaults to 4.

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

    def teach(self, images: Any) -> Any:
        """The mean of the teachers' probabilities, `(batch, classes)`."""
        answers = []
        for index, teacher in enumerate(self.teachers):
            # Else it would be the student's step that says so.
            shown = _fit(images, teacher.input_shape[1:])
            answer = teacher(shown, training=False)
            if self.orders is not None:
                answer = ops.take(answer, self.orders[index], axis=-1)
            answers.append(answer)
        return ops.stop_gradient(sum(answers) / len(answers))

    def mix(self, loss: Any, soft_targets: Any, probabilities: Any) -> Any:
        """The student's loss with the teachers' share.

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

    def blend(self, labels: np.ndarray, batches: Batches) -> np.ndarray:
        """Labels with the teachers' share, who are asked once.

        They answer for the images as they are and mirrored; the mean of that,
        softened by the temperature, has the share `alpha` of the new labels.
        A student that is trained on these needs no teacher in its steps.

        Args:
            labels: Share of each class, of shape `(all images, classes)`.
            batches: Of the images to ask about, in the order of their rows;
                the labels of others stay as they are.

        Returns:
            float32 of the shape of `labels`.
        """
        answers = []
        ask = _compiled(self._asked)
        steps = range(len(batches))
        for index in track(steps, "Asking the teachers", len(batches)):
            images, _ = batches[index]
            # All of one size, so that one graph answers.
            missing = batches.batch_size - len(images)
            padded = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)])
            answer = ops.convert_to_numpy(ask(ops.convert_to_tensor(padded)))
            answers.append(answer[: len(images)])
        soft_targets = np.concatenate(answers)
        blended = labels.astype(np.float32)
        own = (1.0 - self.alpha) * blended[batches.rows]
        blended[batches.rows] = own + self.alpha * soft_targets
        return blended

    def _asked(self, images: Any) -> Any:
        mirrored = ops.flip(images, axis=2)
        both = (self.teach(images) + self.teach(mirrored)) / 2.0
        return ops.exp(self._softened(ops.cast(both, "float32")))

    def _softened(self, probabilities: Any) -> Any:
        """Logarithms of what softmax would give of logits / temperature."""
        logits = ops.log(ops.maximum(probabilities, _LEAST))
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


def _fit(images: Any, shape: tuple[int, int, int]) -> Any:
    """Images of the size and with the channels that a model takes."""
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
