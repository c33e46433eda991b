"""The loss that a training's settings name."""

from __future__ import annotations

from typing import Any

import keras

from kerafer.models.losses import Objective, plain
from kerafer.models.registry import find_model
from kerafer.training.config import TrainingConfig


def make_objective(config: TrainingConfig) -> Objective:
    """The loss that the settings name.

    `own` is that of the model's authors, which is registered with its builder
    (`kerafer.models.register_model`); cross-entropy for all others.

    Args:
        config: `loss`, `label_smoothing` and `arch` are taken.
    """
    kind = keras.losses.CategoricalCrossentropy
    arguments: dict[str, Any] = {}
    if config.loss == "focal":
        kind = keras.losses.CategoricalFocalCrossentropy
        # With 1, a focus of 0 would be cross-entropy.
        arguments["alpha"] = 1.0
    classified = kind(
        label_smoothing=config.label_smoothing, reduction=None, **arguments
    )
    own = config.loss == "own"
    make = find_model(config.arch).objective if own else plain
    return make(classified)
