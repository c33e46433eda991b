"""Seeds, determinism and precision of a training."""

from __future__ import annotations

import contextlib
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
    policy = keras.config.dtype_policy()
    with contextlib.ExitStack() as stack:
        if keras.backend.backend() == "tensorflow":
            keras.utils.set_random_seed(seed)
            if deterministic:
                stack.enter_context(_deterministic_tensorflow())
        else:
            # `keras.utils.set_random_seed` would load TensorFlow.
            random.seed(seed)
            np.random.seed(seed)
        if keras.backend.backend() == "torch":
            stack.enter_context(_torch(seed, deterministic))
        keras.config.set_dtype_policy(precision)
        stack.callback(keras.config.set_dtype_policy, policy)
        yield


@contextlib.contextmanager
def _deterministic_tensorflow() -> Iterator[None]:
    from tensorflow.python.framework import config

    before = config.is_op_determinism_enabled()
    config.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            # Not public, but other code in this process may need it off.
            config.disable_op_determinism()


@contextlib.contextmanager
def _torch(seed: int, deterministic: bool) -> Iterator[None]:
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(deterministic or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
