"""Trains a tiny model; run by the tests of distribution, in its own process.

python distributed_fit.py OUT one
python distributed_fit.py OUT replicas
python distributed_fit.py OUT processes COUNT INDEX COORDINATOR
"""

import sys
from pathlib import Path


def main() -> None:
    from kerafer.engine import load_backend
    from kerafer.training.distributed import DeviceConfig

    out, kind, *numbers = sys.argv[1:]
    load_backend()
    import keras

    settings = {"devices": "one" if kind == "one" else "all"}
    if kind == "processes":
        settings |= {
            "num_processes": int(numbers[0]),
            "process_id": int(numbers[1]),
            "coordinator": numbers[2],
        }
    elif kind == "replicas" and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )
    devices = DeviceConfig(**settings)
    devices.initialize()
    with devices.scope(8) as count:
        train(Path(out), (devices.index, devices.count), count)
    devices.shutdown()


def train(out, share, num_devices):
    """Two epochs of 5 batches, the last filled up; leaves the weights."""
    import keras
    import numpy as np

    from kerafer.datasets.pipeline import Batches, TrainingBatches
    from kerafer.training.config import TrainingConfig
    from kerafer.training.fit import fit

    config = TrainingConfig(
        dataset="synthetic",
        epochs=2,
        batch_size=8,
        learning_rate=0.01,
        ema=0.9,
        augment="none",
    )
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (45, 6, 6, 3), np.uint8)
    labels = generator.integers(0, 3, 45)
    targets = np.eye(3, dtype="float32")[labels]
    given = keras.Input((6, 6, 3))
    x = keras.layers.Rescaling(1 / 255)(given)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    # Frozen, since devices take means of their own images in training.
    x = keras.layers.BatchNormalization(trainable=False)(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(given, keras.layers.Dense(3, "softmax")(x))
    # Backends draw other numbers from the same seed.
    for weights in model.trainable_variables:
        weights.assign(generator.normal(0, 0.1, weights.shape))
    rows = np.arange(45)
    out.mkdir(parents=True)
    fit(
        model,
        TrainingBatches(
            images,
            targets,
            8,
            0,
            rows[:36],
            share=share,
            num_devices=num_devices,
        ),
        Batches(
            images,
            targets,
            8,
            rows[36:],
            num_devices=num_devices,
        ),
        labels[:36],
        config,
        out,
    )
    np.savez(out / "weights.npz", *model.get_weights())


if __name__ == "__main__":
    main()
