"""What a training sets for its process, and takes back."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import keras
import numpy as np


@contextlib.contextmanager
def training_settings(
    seed: int, deterministic: bool, precision: str
) -> Iterator[None]:
    """Seed everything and choose the number format while a training lasts.

    Whatever happens inside, the caller finds the streams of random numbers
    where they were, and the dtype policy and determinism as they were.

    Args:
        seed: Of Python, NumPy, Keras and the backend.
        deterministic: Whether operations whose result depends on the order of
            threads are refused or replaced. `False` leaves what is set.
        precision: A Keras dtype policy.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_python_and_numpy(seed))
        stack.enter_context(_keras(seed))
        if keras.backend.backend() == "tensorflow":
            stack.enter_context(_tensorflow(seed, deterministic))
        if keras.backend.backend() == "torch":
            stack.enter_context(_torch(seed, deterministic))
        stack.enter_context(_dtype_policy(precision))
        yield


@contextlib.contextmanager
def _python_and_numpy(seed: int) -> Iterator[None]:
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@contextlib.contextmanager
def _keras(seed: int) -> Iterator[None]:
    # `keras.utils.set_random_seed` can't be undone: nothing public tells what
    # was set before.
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
    from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

    inside = {GLOBAL_RANDOM_SEED: seed, GLOBAL_SEED_GENERATOR: None}
    before = {name: global_state.get_global_attribute(name) for name in inside}
    for name, value in inside.items():
        global_state.set_global_attribute(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            global_state.set_global_attribute(name, value)


@contextlib.contextmanager
def _tensorflow(seed: int, deterministic: bool) -> Iterator[None]:
    import tensorflow as tf
    from tensorflow.python.eager import context
    from tensorflow.python.framework import config

    # Of TensorFlow's seed, too, nothing public tells what it was. And
    # `tf.random.set_seed` drops the kernels in which the caller's streams are;
    # a training has its own, in the functions that it traces.
    eager = context.context()
    before = eager._seed, getattr(eager, "_rng", None)
    was_deterministic = config.is_op_determinism_enabled()
    eager._seed, eager._rng = seed, random.Random(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        eager._seed, eager._rng = before
        if not was_deterministic:
            config.disable_op_determinism()


@contextlib.contextmanager
def _torch(seed: int, deterministic: bool) -> Iterator[None]:
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(deterministic or before)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


@contextlib.contextmanager
def _dtype_policy(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
