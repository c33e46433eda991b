"""Means and variances of BatchNorm that fit averaged weights."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class BatchStatistics(keras.callbacks.Callback):
    """Measures BatchNorm's means and variances anew before each validation.

    Those that a training gathers belong to the weights of its last few batches
    and to pictures that were changed and mixed. A running average of the
    weights has others. They are the mean over these batches, as they come.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and
    Better Generalization", UAI (2018), section 3; Wu and Johnson, "Rethinking
    Batch in BatchNorm" (2021), section 3.

    Args:
        model: Whose BatchNorms are measured, but for frozen ones.
        batches: Training pictures as they are, with their labels.
    """

    def __init__(self, model: keras.Model, batches: tf.data.Dataset) -> None:
        super().__init__()
        self.measured = model
        self.batches = batches

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Measure, with the weights that are about to be validated."""
        layers = [
            layer
            # Those inside of others too, which `layers` leaves out.
            for layer in self.measured._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
            and layer.trainable
        ]
        if not layers:
            return
        momenta = [layer.momentum for layer in layers]
        for number, (pictures, _) in enumerate(self.batches):
            for layer in layers:
                layer.momentum = number / (number + 1)
            self.measured(pictures, training=True)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
