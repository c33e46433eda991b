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
    if config.loss == "focal":
        classified = keras.losses.CategoricalFocalCrossentropy(
            # With an alpha of 1, a gamma of 0 is cross-entropy.
            alpha=1.0,
            label_smoothing=config.label_smoothing,
            reduction=None,
        )
    else:
        classified = keras.losses.CategoricalCrossentropy(
            label_smoothing=config.label_smoothing, reduction=None
        )
    own = config.loss == "own"
    make = find_model(config.arch).objective if own else plain
    return make(classified)
