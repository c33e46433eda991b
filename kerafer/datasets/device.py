"""What fits on the accelerator."""

from __future__ import annotations

import keras

# Share of its memory for the images; the model needs the rest.
_SHARE = 0.25
# A step of small images takes about as long as calling it; 32 per call hide
# that. On a processor, XLA's loop uses one core only.
_STEPS_PER_CALL = 32


def device_memory() -> int:
    """Return the accelerator's memory in bytes; 0 without accelerator."""
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

    # TensorFlow does not report it; the smallest GPU with bfloat16 has 8 GB.
    return 8 * 2**30 if tf.config.list_physical_devices("GPU") else 0


def fits_on_device(size: int) -> bool:
    """Return whether to copy images of `size` bytes to the accelerator."""
    return size <= _SHARE * device_memory()


def steps_per_call() -> int:
    """Return the number of steps per call with images on the device."""
    return _STEPS_PER_CALL if keras.backend.backend() == "jax" else 1
