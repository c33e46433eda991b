"""What the device that trains can hold."""

from __future__ import annotations

import keras

# Of its memory, for the images; a model needs the rest.
_SHARE = 0.25
# Steps of small images take a few milliseconds, about as long as it takes to
# call one; 32 of them hide it. (On a processor XLA's loop computes with one
# core: several steps a call take ten times as long.)
_TOGETHER = 32


def device_memory() -> int:
    """Bytes of the accelerator that Keras' backend uses; 0 without one."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        device = jax.local_devices()[0]
        if device.platform == "cpu":
            return 0
        return (device.memory_stats() or {}).get("bytes_limit", 0)
    if backend == "torch":
        import torch

        if not torch.cuda.is_available():
            return 0
        return torch.cuda.get_device_properties(0).total_memory
    import tensorflow as tf

    # It tells no size; the least card with bfloat16 has as much.
    return 8 * 2**30 if tf.config.list_physical_devices("GPU") else 0


def fits_on_device(size: int) -> bool:
    """Whether images go to an accelerator once, to be indexed there.

    Without one they stay in the file that they are mapped from.

    Args:
        size: Bytes of all images.
    """
    return size <= _SHARE * device_memory()


def steps_together() -> int:
    """How many steps are taken in one call, with images on the device."""
    return _TOGETHER if keras.backend.backend() == "jax" else 1
