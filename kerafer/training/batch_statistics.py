"""Means and variances of BatchNorm that fit averaged weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.datasets.pipeline import Batches
from kerafer.training.augmentation import Augmentation


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
        self.random = keras.random.SeedGenerator(0)
        self.seed = ops.convert_to_numpy(self.random.state)
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
            ops.copy(ops.convert_to_tensor(v))
            for v in self.measured.non_trainable_variables
        ]
        self.random.state.assign(self.seed)
        if keras.backend.backend() == "jax":
            totals = self._totals_on_jax(statistics)
        else:
            totals = self._totals(statistics)
        for variable, value in zip(
            self.measured.non_trainable_variables, before, strict=True
        ):
            variable.assign(value)
        for value, total in zip(statistics, totals, strict=True):
            value.assign(total / len(self.batches))
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum

    def _totals(self, statistics: list[Any]) -> list[Any]:
        """What the statistics of all batches add up to."""
        totals = [np.zeros(value.shape, np.float64) for value in statistics]
        for number in range(len(self.batches)):
            images = self._changed(self.batches[number][0])
            self.measured(images, training=True)
            for total, value in zip(totals, statistics, strict=True):
                total += ops.convert_to_numpy(value)
        return totals

    def _changed(self, images: Any) -> Any:
        if self.augmentation is None:
            return images
        return self.augmentation(images, self.random)

    def _totals_on_jax(self, statistics: list[Any]) -> list[Any]:
        """The same in one call a batch, after which nothing is waited for."""
        import jax

        model, state = self.measured, self.random.state
        variables = model.non_trainable_variables
        order = {id(v): number for number, v in enumerate(variables)}
        places = [order[id(value)] for value in statistics]

        def add(
            weights: Any, states: Any, seed: Any, totals: Any, images: Any
        ) -> Any:
            with keras.StatelessScope([(state, seed)]) as scope:
                images = self._changed(images)
                seed = scope.get_current_value(state)
            _, states = model.stateless_call(
                weights, states, images, training=True
            )
            found = [states[place] for place in places]
            return seed, [t + v for t, v in zip(totals, found, strict=True)]

        if self.compiled is None:
            self.compiled = jax.jit(add)
        seed = state.value
        weights = [v.value for v in model.trainable_variables]
        states = [v.value for v in variables]
        totals = [ops.zeros(value.shape, "float32") for value in statistics]
        for number in range(len(self.batches)):
            images = ops.convert_to_tensor(self.batches[number][0])
            seed, totals = self.compiled(weights, states, seed, totals, images)
        return totals
