"""A model together with what it is trained for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.models.losses import Objective
from kerafer.training.augmentation import Augmentation, Mixing
from kerafer.training.distillation import Distillation
from kerafer.training.distributed import replicas
from kerafer.training.fused import with_fused_layers


class Trainer(keras.Model):
    """Train a model for an objective, with or without teachers.

    A training step runs on the model's device: augmentation, mixing, teachers,
    model. With teachers, the loss is

        (1 - alpha) objective + alpha T^2 KL(teacher_T || student_T)

    Validation uses unchanged images and the objective alone, so that its
    losses can be compared between trainings.

    Args:
        model: Maps images to probabilities.
        objective: The loss of labels and outputs.
        class_weights: Weight of an image of each class, `(classes,)`.
        distillation: The teachers.
        augmentation: Changes the training images.
        mixing: Mixes them afterwards.
        device_images: All images, uint8. They are copied to the device, and
            batches have indices instead of images.
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
        device_images: np.ndarray | None = None,
    ) -> None:
        super().__init__(name=f"{model.name}_trainer")
        self.student = model
        outputs = {"probabilities": model.output}
        for name in objective.layers:
            outputs[name] = model.get_layer(name).output
        self.network = with_fused_layers(keras.Model(model.inputs, outputs))
        self.objective = objective
        self.class_weights = class_weights
        self.distillation = distillation
        self.augmentation = augmentation
        self.mixing = mixing
        self.random = keras.random.SeedGenerator()
        self.accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        self.f1 = _built_f1(model.output_shape[-1])
        self.device_images = (
            None
            if device_images is None
            else ops.convert_to_tensor(device_images)
        )
        self.built = True
        # XLA on TensorFlow cannot resample images.
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False

    def call(self, inputs: Any, training: bool | None = None) -> Mapping:
        """Return all outputs that the objective needs, by name.

        In training also `soft_targets`, the probabilities of the teachers, and
        `partner` and `kept` of mixed images.
        """
        extra: dict[str, Any] = {}
        if training:
            if self.augmentation is not None:
                inputs = self.augmentation(inputs, self.random)
            if self.mixing is not None:
                inputs, partner, kept = self.mixing(inputs, self.random)
                extra |= {"partner": partner, "kept": kept}
            inputs = ops.stop_gradient(ops.cast(inputs, "float32"))
            if self.distillation is not None:
                extra["soft_targets"] = self.distillation.teacher_probs(inputs)
        return self.network(inputs, training=training) | extra

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of labels `y` and the outputs `y_pred` of `call`.

        In training, it includes the teachers.
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
        # TensorFlow adds up the losses and gradients of its replicas.
        return sum(self.losses, loss) / replicas()

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Return the metrics of the probabilities."""
        labels = _mixed(y, y_pred)
        for metric in (self.accuracy, self.f1):
            metric.update_state(labels, y_pred["probabilities"], sample_weight)
        return self.get_metrics_result()

    def train_step(self, *arguments: Any) -> Any:
        """Run Keras' training step; arguments depend on the backend."""
        *state, data = arguments
        return super().train_step(*state, self._with_images(data))

    def test_step(self, *arguments: Any) -> Any:
        """Run Keras' test step; arguments depend on the backend."""
        *state, data = arguments
        return super().test_step(*state, self._with_images(data))

    def _with_images(self, data: tuple) -> tuple:
        inputs, *others = data
        if len(inputs.shape) == 4:
            return data
        return ops.take(self.device_images, inputs, axis=0), *others

    def make_train_function(self, force: bool = False) -> None:
        """Compile the training step."""
        if self.device_images is None or keras.backend.backend() != "jax":
            super().make_train_function(force)
        elif self.train_function is None or force:
            self.train_function = _on_jax(self.train_step, self.device_images)

    def make_test_function(self, force: bool = False) -> None:
        """Compile the test step."""
        if self.device_images is None or keras.backend.backend() != "jax":
            super().make_test_function(force)
        elif self.test_function is None or force:
            self.test_function = _on_jax(self.test_step, self.device_images)


def _on_jax(step: Any, images: Any) -> Any:
    """Compile a function that runs one or many steps on device images.

    The images are an argument; captured, they would be part of the program.
    """
    import jax

    def one(state: Any, indices: Any, targets: Any, images: Any) -> Any:
        return step(state, (ops.take(images, indices, axis=0), targets))

    def steps(state: Any, indices: Any, targets: Any, images: Any) -> Any:
        if indices.ndim == 1:
            return one(state, indices, targets, images)

        def at(number: Any) -> tuple[Any, Any]:
            return (
                jax.lax.dynamic_index_in_dim(indices, number, 1, False),
                jax.lax.dynamic_index_in_dim(targets, number, 1, False),
            )

        shapes = jax.eval_shape(lambda s: one(s, *at(0), images)[0], state)
        logs = jax.tree.map(
            lambda log: jax.numpy.zeros(log.shape, log.dtype), shapes
        )

        def body(number: Any, carried: Any) -> Any:
            return one(carried[1], *at(number), images)

        count = jax.numpy.sum(indices[0] >= 0)
        return jax.lax.fori_loop(0, count, body, (logs, state))

    compiled = jax.jit(steps, donate_argnums=0)
    return lambda state, batches: compiled(state, *next(batches), images)


def _mixed(labels: Any, outputs: Mapping) -> Any:
    if "kept" not in outputs:
        return labels
    kept = ops.cast(outputs["kept"], labels.dtype)
    others = ops.take(labels, outputs["partner"], axis=0)
    return kept * labels + (1.0 - kept) * others


class _MacroF1(keras.metrics.F1Score):
    """The macro F1 score; soft labels count as their likeliest class."""

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
