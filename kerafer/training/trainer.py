"""A model together with what it is trained for."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.training.distillation import Distillation
from kerafer.training.fused_normalization import with_fused_normalization
from kerafer.training.objective import Objective
from kerafer.training.replicas import replicas


class Trainer(keras.Model):
    """Trains a model for an objective, with or without teachers.

    While it trains, with teachers:

        loss = (1 - alpha) objective + alpha T^2 KL(teacher_T || student_T)

    Validation is always by the objective alone, so that its losses can be
    compared between trainings.

    Args:
        model: Maps pictures to probabilities; it is what gets trained.
        objective: Of labels and outputs.
        class_weights: What a picture of each class weighs in the objective, of
            shape `(classes,)`. Defaults to 1 for all.
        distillation: The teachers. Defaults to none.
    """

    def __init__(
        self,
        model: keras.Model,
        objective: Objective,
        class_weights: np.ndarray | None = None,
        distillation: Distillation | None = None,
    ) -> None:
        super().__init__(name=f"{model.name}_trainer")
        self.student = model
        outputs = {"probabilities": model.output}
        for name in objective.layers:
            outputs[name] = model.get_layer(name).output
        self.outputs_of_interest = with_fused_normalization(
            keras.Model(model.inputs, outputs)
        )
        self.objective = objective
        self.class_weights = class_weights
        self.distillation = distillation
        # The weights are there; a backup asks.
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """All outputs that the objective takes, by name."""
        if training or replicas() == 1:
            return self.outputs_of_interest(inputs, training=training)
        # Of the last pictures of a validation a device may get none, and not
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
            x: Pictures.
            y: One-hot labels, or a pair of them and of the teachers'
                probabilities, where those were computed before.
            y_pred: What `call` returned.
            sample_weight: Not used.
            training: Whether the teachers are asked too.
        """
        labels, taught = y if isinstance(y, tuple) else (y, None)
        weights = ops.ones_like(labels[:, 0])
        if self.class_weights is not None:
            weights = ops.matmul(
                labels, ops.cast(self.class_weights, labels.dtype)[:, None]
            )[:, 0]
        loss = self.objective.loss(labels, y_pred, weights)
        if training and self.distillation is not None:
            if taught is None:
                taught = self.distillation.teach(x)
            loss = self.distillation.mix(loss, taught, y_pred["probabilities"])
        loss = sum(self.losses, loss)
        if replicas() == 1:
            return loss
        # The mean over no pictures is no number. The losses and gradients of
        # all devices are added up.
        some = ops.shape(labels)[0] > 0
        return ops.where(some, loss / replicas(), 0.0)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Metrics of the probabilities against the labels."""
        labels = y[0] if isinstance(y, tuple) else y
        return super().compute_metrics(x, labels, y_pred["probabilities"])
