"""BatchNorm statistics for averaged weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.datasets.pipeline import Batches
from kerafer.training.augmentation import Augmentation


class BatchStatistics(keras.callbacks.Callback):
    """Measure BatchNorm's means and variances before each validation.

    The moving statistics of a training belong to the weights of its last
    batches. Averaged weights need their own: the mean over some batches of
    images, augmented as in training.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and
    Better Generalization", UAI (2018), section 3; Wu and Johnson, "Rethinking
    Batch in BatchNorm" (2021), section 3.

    Args:
        model: The model. Frozen BatchNorm layers keep their statistics.
        batches: Training images, the same every time.
        augmentation: Changes the images, with the same random numbers every
            time.
    """

    def __init__(
        self,
        model: keras.Model,
        batches: Batches,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.measurement = _Measurement(model, augmentation)
        self.batches = batches

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.measurement.run(self.batches)


class _Measurement(keras.Model):
    """Runs a model in training mode, to average its batch statistics."""

    def __init__(
        self, measured: keras.Model, augmentation: Augmentation | None
    ) -> None:
        super().__init__(name="measurement")
        self.measured = measured
        self.augmentation = augmentation
        self.random = keras.random.SeedGenerator(0)
        self.seed = ops.convert_to_numpy(self.random.state)
        self.count = self.add_weight(
            name="count", initializer="zeros", trainable=False
        )
        self.norms = [
            layer
            # Unlike `layers`, it has those of nested models.
            for layer in measured._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
            and layer.trainable
        ]
        self.built = True
        # XLA on TensorFlow cannot resample images.
        self.supports_jit = keras.backend.backend() != "tensorflow"
        self.compile()

    def run(self, batches: Batches) -> None:
        """Set the statistics to their mean over the batches."""
        momenta = [layer.momentum for layer in self.norms]
        self.count.assign(0)
        self.random.state.assign(self.seed)
        self.evaluate(batches, verbose=0)
        for layer, momentum in zip(self.norms, momenta, strict=True):
            layer.momentum = momentum

    def call(self, images: Any, training: bool | None = None) -> Any:
        self.count.assign_add(1)
        for layer in self.norms:
            # The moving average becomes the mean of all batches so far.
            layer.momentum = 1.0 - 1.0 / ops.convert_to_tensor(self.count)
        if self.augmentation is not None:
            images = self.augmentation(images, self.random)
        return self.measured(images, training=True)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """Return no loss; only the statistics matter."""
        return ops.zeros(())
