"""A model and images that train in seconds."""

import keras
import numpy as np

from kerafer.datasets.pipeline import Batches, TrainingBatches
from kerafer.training.config import TrainingConfig
from kerafer.training.fit import fit

GENERATOR = np.random.default_rng(4)
LABELS = GENERATOR.integers(0, 3, 24)
IMAGES = GENERATOR.integers(0, 90, (24, 12, 12, 1)).astype("uint8")
IMAGES += (60 * LABELS[:, None, None, None]).astype("uint8")


def small_model(seed=0, channels=1, size=12, classes=3):
    """A convolution, a BatchNorm and a dense layer."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    x = keras.layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, keras.layers.Softmax()(x), name="small")


def configuration(**settings):
    return TrainingConfig(
        **{"batch_size": 8, "learning_rate": 0.01, "epochs": 3} | settings
    )


def trained(folder, config, distillation=None):
    """A small model and its history, the batches always the same."""
    folder.mkdir(exist_ok=True)
    model = small_model()
    targets = np.eye(3, dtype="float32")[LABELS]
    batches = TrainingBatches(IMAGES, targets, config.batch_size, config.seed)
    validation = Batches(IMAGES, targets, 8)
    history = fit(
        model, batches, validation, LABELS, config, folder, distillation
    )
    return model, history
