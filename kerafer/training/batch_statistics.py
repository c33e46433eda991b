"""Means and variances of BatchNorm that fit averaged weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.data.augmentation import Augmentation
from kerafer.data.pipeline import Batches


class BatchStatistics(keras.callbacks.Callback):
    """Measures BatchNorm's means and variances anew before each validation.

    Those that a training gathers belong to the weights of its last few batches.
    A running average of the weights has others. They are the mean over these
    batches, of images that are changed as in training: of images as they are
    the statistics are others than those that the network grew up with.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and
    Better Generalization", UAI (2018), section 3; Wu and Johnson, "Rethinking
    Batch in BatchNorm" (2021), section 3.

    Args:
        model: Whose BatchNorms are measured, but for frozen ones.
        batches: Training images, always the same, with their labels.
        augmentation: Changes them, every time by the same numbers. Defaults
            to none.
    """

    def __init__(
        self,
        model: keras.Model,
        batches: Batches,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.measured = model
        self.batches = batches
        self.augmentation = augmentation
        self.compiled: Any = None

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
        statistics = [
            value
            for layer in layers
            for value in (layer.moving_mean, layer.moving_variance)
        ]
        for layer in layers:
            layer.momentum = 0.0
        # What is not BatchNorm's stays, such as the state of a Dropout.
        before = [
            ops.convert_to_numpy(v)
            for v in self.measured.non_trainable_variables
        ]
        sums = [np.zeros(value.shape, np.float64) for value in statistics]
        random = keras.random.SeedGenerator(0)
        for number in range(len(self.batches)):
            images = self.batches[number][0]
            if self.augmentation is not None:
                images = self.augmentation(images, random)
            self._pass(images)
            for total, value in zip(sums, statistics, strict=True):
                total += ops.convert_to_numpy(value)
        for variable, value in zip(
            self.measured.non_trainable_variables, before, strict=True
        ):
            variable.assign(value)
        for value, total in zip(statistics, sums, strict=True):
            value.assign((total / len(self.batches)).astype(np.float32))
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum

    def _pass(self, images: Any) -> None:
        """Compute a batch in training, which leaves its statistics."""
        model = self.measured
        if keras.backend.backend() != "jax":
            model(images, training=True)
            return
        import jax

        if self.compiled is None:
            self.compiled = jax.jit(
                lambda weights, states, images: model.stateless_call(
                    weights, states, images, training=True
                )[1]
            )
        states = self.compiled(
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
            ops.convert_to_tensor(images),
        )
        for variable, state in zip(
            model.non_trainable_variables, states, strict=True
        ):
            variable.assign(state)
