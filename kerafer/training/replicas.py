"""One model on several devices of a machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from kerafer.errors import ConfigError


def replicas() -> int:
    """How many of TensorFlow's replicas add up their losses; else 1."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def sharing_devices() -> int:
    """Among how many devices of this process a batch is divided."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return replicas()
    import jax

    return distribution.device_mesh.devices.size // jax.process_count()


def all_devices(batch_size: int) -> contextlib.AbstractContextManager:
    """A scope in which models are made that train on every GPU at once.

    Each batch is divided among the GPUs (without one, among the backend's
    virtual processors): on TensorFlow by `tf.distribute.MirroredStrategy`, on
    JAX by `keras.distribution.DataParallel`.

    Args:
        batch_size: Images a step, of all devices together.

    Raises:
        UserError: Where there is only one, or a batch can't be divided evenly,
            or the backend is PyTorch.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        raise ConfigError(
            "`devices` all is for Keras on TensorFlow or JAX. Received: "
            "KERAS_BACKEND=torch."
        )
    if backend == "jax":
        import jax

        kind, names = jax.default_backend().upper(), jax.local_devices()
    else:
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU")
        kind = "GPU" if found else "CPU"
        found = found or tf.config.list_logical_devices("CPU")
        names = [device.name for device in found]
    count = len(names)
    if count < 2:
        raise ConfigError(
            "`devices` all divides each batch among the GPUs of this machine. "
            f"Keras sees {count} {kind} here; leave it out."
        )
    if batch_size % count:
        raise ConfigError(
            f"`devices` all divides each batch among {count} here; "
            f"`batch_size` is a multiple of it. Received: {batch_size}."
        )
    if backend == "jax":
        return keras.distribution.DataParallel(auto_shard_dataset=False).scope()
    return tf.distribute.MirroredStrategy(names).scope()


@contextlib.contextmanager
def one_device() -> Iterator[None]:
    """Inside, models are made and computed on one device of JAX."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)
