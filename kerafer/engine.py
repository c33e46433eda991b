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

    TensorFlow leaves its oneDNN kernels off on processors without AVX-512,
    where they are about twice as fast all the same. They are asked for here,
    unless the user has decided.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with stderr_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")
