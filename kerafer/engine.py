"""TensorFlow, loaded when it is needed and without its small talk."""

from __future__ import annotations

import os
import sys

from kerafer.quiet import stderr_held_back


def load_tensorflow() -> None:
    """Import TensorFlow and let it look for GPUs.

    On a machine without a GPU its C++ part writes warnings and errors about
    that to standard error, before any log level counts. They are dropped,
    unless the import fails.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with stderr_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")
