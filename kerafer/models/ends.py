"""The first and the last step of every model."""

from __future__ import annotations

from typing import Any

import keras


def apply_scaling(inputs: Any) -> Any:
    """Map image values 0..255 to -1..1, in float32 whatever the policy."""
    return keras.layers.Rescaling(
        1 / 127.5, offset=-1.0, dtype="float32", name="scaling"
    )(inputs)


def apply_classifier(x: Any, num_classes: int) -> Any:
    """A dense layer and softmax, in float32 whatever the policy."""
    x = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.layers.Softmax(dtype="float32", name="predictions")(x)
