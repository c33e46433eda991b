"""Seeds, determinism and precision of a training."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Iterator

import keras
import numpy as np


@contextlib.contextmanager
def reproducible(
    seed: int, deterministic: bool, precision: str
) -> Iterator[None]:
    """Seed all generators, and set determinism and the dtype policy.

    The last two are restored afterwards; the generators are not.

    Args:
        seed: For Python, NumPy, Keras and its backend.
        deterministic: Whether the backend uses deterministic operations only.
            `False` keeps its current setting.
        precision: A Keras dtype policy.
    """
    policy, backend = keras.config.dtype_policy(), keras.backend.backend()
    restore = None
    if backend == "tensorflow":
        from tensorflow.python.framework import config

        keras.utils.set_random_seed(seed)
        if deterministic and not config.is_op_determinism_enabled():
            config.enable_op_determinism()
            # Not public, but other code in this process may need it off.
            restore = config.disable_op_determinism
    else:
        # `keras.utils.set_random_seed` would load TensorFlow.
        random.seed(seed)
        np.random.seed(seed)
    if backend == "torch":
        import torch

        torch.manual_seed(seed)
        if deterministic and not torch.are_deterministic_algorithms_enabled():
            torch.use_deterministic_algorithms(True)
            restore = functools.partial(
                torch.use_deterministic_algorithms, False
            )
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        if restore is not None:
            restore()
