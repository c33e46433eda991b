"""One model on several devices of a machine."""

from __future__ import annotations

import contextlib

import keras

from kerafer.errors import UserError


def replicas() -> int:
    """On how many devices the model that is being made, or run, lies."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def all_devices(batch_size: int) -> contextlib.AbstractContextManager:
    """A scope in which models are made that train on every GPU at once.

    Each batch is divided among the GPUs (without one, among TensorFlow's
    logical processors) by `tf.distribute.MirroredStrategy`.

    Args:
        batch_size: Pictures a step, of all devices together.

    Raises:
        UserError: Where there is only one, or a batch can't be divided evenly,
            or the backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            "--devices all is for Keras' TensorFlow backend. On JAX, "
            "--num-processes spreads a training. Received: KERAS_BACKEND="
            f"{keras.backend.backend()}."
        )
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU")
    kind = "GPU" if devices else "CPU"
    devices = devices or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise UserError(
            "--devices all divides each batch among the GPUs of this machine. "
            f"TensorFlow sees {len(devices)} {kind} here; leave it out."
        )
    if batch_size % len(devices):
        raise UserError(
            f"--devices all divides each batch among {len(devices)} here; "
            f"--batch-size is a multiple of it. Received: {batch_size}."
        )
    return tf.distribute.MirroredStrategy(
        [device.name for device in devices]
    ).scope()
