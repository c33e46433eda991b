"""The loss of a training."""

from __future__ import annotations

import keras

from kerafer.models.losses import Objective, plain
from kerafer.models.registry import find_model
from kerafer.training.config import TrainingConfig


def make_objective(config: TrainingConfig) -> Objective:
    """Choose the loss.

    `own` is the loss of the model's authors, which is registered with the
    model. Models without one use cross-entropy.

    Args:
        config: Uses `loss`, `label_smoothing` and `arch`.
    """
    classified = keras.losses.CategoricalCrossentropy(
        label_smoothing=config.label_smoothing, reduction=None
    )
    own = config.loss == "own"
    make = find_model(config.arch).objective if own else plain
    return make(classified)
