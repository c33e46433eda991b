"""A model together with what it is trained for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.training.augmentation import Augmentation
from kerafer.training.distillation import Distillation
from kerafer.training.fused import with_fused_layers
from kerafer.training.mixing import Mixing
from kerafer.training.objective import Objective
from kerafer.training.replicas import replicas


class Trainer(keras.Model):
    """Trains a model for an objective, with or without teachers.

    A training step is all on the model's device: the images are taken from
    those that lie there, augmented and mixed, shown to the teachers and to
    the model. With teachers:

        loss = (1 - alpha) objective + alpha T^2 KL(teacher_T || student_T)

    Validation is of the images as they are, by the objective alone, so that
    its losses can be compared between trainings.

    Args:
        model: Maps images to probabilities; it is what gets trained.
        objective: Of labels and outputs.
        class_weights: What an image of each class weighs in the objective, of
            shape `(classes,)`. Defaults to 1 for all.
        distillation: The teachers. Defaults to none.
        augmentation: Changes the training images. Defaults to none.
        mixing: Mixes them, after that. Defaults to none.
        held: All images, uint8; `fit` then takes their rows in place of
            images. They are put on the model's device. Defaults to none.
    """

    # Keras makes them; each backend has its own.
    train_function: Any
    test_function: Any

    def __init__(
        self,
        model: keras.Model,
        objective: Objective,
        class_weights: np.ndarray | None = None,
        distillation: Distillation | None = None,
        augmentation: Augmentation | None = None,
        mixing: Mixing | None = None,
        held: np.ndarray | None = None,
    ) -> None:
        super().__init__(name=f"{model.name}_trainer")
        self.student = model
        outputs = {"probabilities": model.output}
        for name in objective.layers:
            outputs[name] = model.get_layer(name).output
        self.outputs_of_interest = with_fused_layers(
            keras.Model(model.inputs, outputs)
        )
        self.objective = objective
        self.class_weights = class_weights
        self.distillation = distillation
        self.augmentation = augmentation
        self.mixing = mixing
        self.random = keras.random.SeedGenerator()
        self.accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        self.f1 = _built_f1(model.output_shape[-1])
        self.held = None if held is None else ops.convert_to_tensor(held)
        # The weights are there; a backup asks.
        self.built = True
        # Resampling has no kernel of XLA's there.
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False

    def call(self, inputs: Any, training: bool | None = None) -> Mapping:
        """All outputs that the objective takes, by name.

        In training also `soft_targets`, what the teachers say of the same
        images, and `partner` and `kept` where they are mixed.
        """
        others: dict[str, Any] = {}
        if training:
            if self.augmentation is not None:
                inputs = self.augmentation(inputs, self.random)
            if self.mixing is not None:
                inputs, partner, kept = self.mixing(inputs, self.random)
                others |= {"partner": partner, "kept": kept}
            inputs = ops.stop_gradient(ops.cast(inputs, "float32"))
            if self.distillation is not None:
                others["soft_targets"] = self.distillation.teach(inputs)
        if training or replicas() == 1:
            outputs = self.outputs_of_interest(inputs, training=training)
            return outputs | others
        # Of the last images of a validation a device may get none, and not
        # every kernel computes nothing.
        padded = ops.pad(inputs, [(0, 1), (0, 0), (0, 0), (0, 0)])
        outputs = self.outputs_of_interest(padded, training=training)
        return {name: values[:-1] for name, values in outputs.items()}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """One number for a batch.

        Args:
            x: Not used.
            y: Labels, one-hot or shares.
            y_pred: What `call` returned.
            sample_weight: What each image of a validation weighs. Defaults to
                1 for all.
            training: Whether the teachers count.
        """
        labels = _mixed(y, y_pred)
        weights = ops.ones_like(labels[:, 0])
        if self.class_weights is not None:
            weights = ops.matmul(
                labels, ops.cast(self.class_weights, labels.dtype)[:, None]
            )[:, 0]
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, weights.dtype)
        loss = self.objective.loss(labels, y_pred, weights)
        if training and self.distillation is not None:
            loss = self.distillation.mix(
                loss, y_pred["soft_targets"], y_pred["probabilities"]
            )
        loss = sum(self.losses, loss)
        if replicas() == 1:
            return loss
        # The mean over no images is no number. The losses and gradients of
        # all devices are added up.
        some = ops.shape(labels)[0] > 0
        return ops.where(some, loss / replicas(), 0.0)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Metrics of the probabilities against the labels."""
        labels = _mixed(y, y_pred)
        for metric in (self.accuracy, self.f1):
            metric.update_state(labels, y_pred["probabilities"], sample_weight)
        return self.get_metrics_result()

    def train_step(self, *arguments: Any) -> Any:
        """Keras' step; arguments and result are the backend's."""
        *state, data = arguments
        return super().train_step(*state, self._with_images(data))

    def test_step(self, *arguments: Any) -> Any:
        """Keras' step; arguments and result are the backend's."""
        *state, data = arguments
        return super().test_step(*state, self._with_images(data))

    def _with_images(self, data: tuple) -> tuple:
        inputs, *others = data
        if len(inputs.shape) == 4:
            return data
        return ops.take(self.held, inputs, axis=0), *others

    def make_train_function(self, force: bool = False) -> None:
        """Keras' function; on JAX one that takes held images and many steps."""
        if self.held is None or keras.backend.backend() != "jax":
            super().make_train_function(force)
        elif self.train_function is None or force:
            self.train_function = _on_jax(self.train_step, self.held)

    def make_test_function(self, force: bool = False) -> None:
        """Keras' function; on JAX one that takes held images."""
        if self.held is None or keras.backend.backend() != "jax":
            super().make_test_function(force)
        elif self.test_function is None or force:
            self.test_function = _on_jax(self.test_step, self.held)


def _on_jax(step: Any, held: Any) -> Any:
    """A compiled function of a state and an iterator, as Keras calls it.

    Captured, the images would be a constant of the program.
    """
    import jax

    def one(state: Any, rows: Any, targets: Any, images: Any) -> Any:
        return step(state, (ops.take(images, rows, axis=0), targets))

    def steps(state: Any, rows: Any, targets: Any, images: Any) -> Any:
        if rows.ndim == 1:
            return one(state, rows, targets, images)

        def at(number: Any) -> tuple[Any, Any]:
            return (
                jax.lax.dynamic_index_in_dim(rows, number, 1, False),
                jax.lax.dynamic_index_in_dim(targets, number, 1, False),
            )

        told = jax.eval_shape(lambda s: one(s, *at(0), images)[0], state)
        logs = jax.tree.map(
            lambda log: jax.numpy.zeros(log.shape, log.dtype), told
        )

        def body(number: Any, carried: Any) -> Any:
            return one(carried[1], *at(number), images)

        count = jax.numpy.sum(rows[0] >= 0)
        return jax.lax.fori_loop(0, count, body, (logs, state))

    compiled = jax.jit(steps, donate_argnums=0)
    return lambda state, batches: compiled(state, *next(batches), held)


def _mixed(labels: Any, outputs: Mapping) -> Any:
    """The labels of images that were mixed as the outputs say."""
    if "kept" not in outputs:
        return labels
    kept = ops.cast(outputs["kept"], labels.dtype)
    others = ops.take(labels, outputs["partner"], axis=0)
    return kept * labels + (1.0 - kept) * others


class _MacroF1(keras.metrics.F1Score):
    """Of the likeliest class, where labels are shares."""

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> Any:
        wanted = ops.one_hot(ops.argmax(y_true, axis=-1), y_true.shape[-1])
        return super().update_state(wanted, y_pred, sample_weight)


def _built_f1(num_classes: int) -> keras.metrics.Metric:
    f1 = _MacroF1("macro", name="f1")
    nothing = np.zeros((1, num_classes), np.float32)
    f1.update_state(nothing, nothing)
    f1.reset_state()
    return f1
