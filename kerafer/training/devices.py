"""The process-wide switches that a training sets before it begins."""

from __future__ import annotations

import keras


def prepare(seed: int, deterministic: bool, precision: str) -> None:
    """Seed everything, choose the number format, let GPU memory grow.

    Args:
        seed: Of Python, NumPy and the backend.
        deterministic: Whether operations whose result depends on the order of
            threads are refused or replaced.
        precision: A Keras dtype policy.
    """
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(precision)
