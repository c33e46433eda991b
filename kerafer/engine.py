"""TensorFlow, loaded when it is needed and without its small talk."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from pathlib import Path

from kerafer.errors import UserError, first_line
from kerafer.extras import EXTRAS, MissingExtraError, install
from kerafer.untrusted import read_json

BACKENDS = ("tensorflow", "jax", "torch")

# Standard error is held back for all threads, so one at a time.
_LOADING = threading.Lock()


def load_tensorflow() -> None:
    """Import TensorFlow and let it look for GPUs.

    On a machine without a GPU its C++ part writes warnings and errors about
    that to standard error, before any log level counts. They are dropped,
    unless the import fails.

    TensorFlow leaves its oneDNN kernels off on processors without AVX-512,
    where they are about twice as fast all the same. They are asked for here,
    unless the user has decided.
    """
    with _LOADING:
        if "tensorflow" not in sys.modules:
            _load()


def load_backend() -> None:
    """Import what Keras computes with, as quietly; see `load_tensorflow`.

    Another backend than TensorFlow needs no TensorFlow.

    Raises:
        UserError: Where it is not installed.
    """
    name = backend_name()
    check_installed(name)
    if name == "tensorflow":
        load_tensorflow()


def load_tensorflow_backend(what: str) -> None:
    """Load TensorFlow for what needs Keras to compute with it.

    Args:
        what: Of a sentence, such as `"Exports"`.

    Raises:
        UserError: Where Keras computes with another backend, or TensorFlow
            is not installed.
    """
    if backend_name() != "tensorflow":
        raise UserError(
            f"{what} are made by Keras on TensorFlow; its backend is "
            f"{backend_name()} here. Set KERAS_BACKEND=tensorflow for it."
        )
    check_installed("tensorflow")
    try:
        load_tensorflow()
    except ImportError as error:
        raise UserError(
            f"{what} are made by TensorFlow, which can't be imported here: "
            f"{first_line(error)}."
        ) from error


def use_backend(name: str) -> None:
    """Choose Keras' backend, for a command, whose process is its own.

    Args:
        name: One of `BACKENDS`.

    Raises:
        UserError: Where Keras is loaded with another one already.
    """
    if "keras" in sys.modules and backend_name() != name:
        raise UserError(
            f"Keras computes with {backend_name()} in this process already; "
            f"the backend can't become {name}."
        )
    os.environ["KERAS_BACKEND"] = name


def check_installed(backend: str) -> None:
    """Refuse a backend of Keras' that is not there, without importing it.

    Raises:
        MissingExtraError: Where it is not installed.
    """
    try:
        there = importlib.util.find_spec(backend) is not None
    except ImportError:
        there = False
    if not there:
        raise MissingExtraError(
            f"Keras' backend is {backend} here, which is not installed:\n"
            f"{install(EXTRAS[backend])}\n"
            "KERAS_BACKEND names another: tensorflow, jax or torch."
        )


def backend_name() -> str:
    """Keras' backend, before or after it is imported."""
    if "keras" in sys.modules:
        return sys.modules["keras"].backend.backend()
    named = os.environ.get("KERAS_BACKEND")
    if not named:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras")
        try:
            named = read_json(home.expanduser() / "keras.json").get("backend")
        except (OSError, ValueError, AttributeError, RuntimeError):
            named = None
    named = named or "tensorflow"
    if named not in BACKENDS:
        raise UserError(
            "Keras' backend is tensorflow, jax or torch. Received: "
            f"KERAS_BACKEND={named}."
        )
    return named


def _load() -> None:
    ours = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "1"}
    ours = {name: ours[name] for name in ours if name not in os.environ}
    os.environ.update(ours)
    # Takes long to import.
    from kerafer.console import silence

    try:
        # Both are read here, once.
        with silence():
            import tensorflow as tf

            tf.config.list_physical_devices("GPU")
    finally:
        for name in ours:
            os.environ.pop(name, None)


def let_gpu_memory_grow() -> None:
    """Let TensorFlow take of a GPU's memory what it needs, not all.

    For commands, whose process is their own, before TensorFlow is loaded.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
