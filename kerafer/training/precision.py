"""The number format that this hardware is fast in."""

from __future__ import annotations

from pathlib import Path


def resolve_precision(precision: str) -> str:
    """The Keras dtype policy that `precision` stands for.

    Args:
        precision: A policy, which comes back as it is, or `"auto"`: bfloat16
            on a GPU of compute capability 8.0 and on a processor with
            instructions for it (AMX or AVX-512 BF16), float16 on a GPU of
            capability 7.0, else float32.
    """
    if precision != "auto":
        return precision
    capability = _gpu_capability()
    if capability is not None:
        if capability >= (8, 0):
            return "mixed_bfloat16"
        return "mixed_float16" if capability >= (7, 0) else "float32"
    if {"amx_bf16", "avx512_bf16"} & processor_flags():
        return "mixed_bfloat16"
    return "float32"


def _gpu_capability() -> tuple[int, int] | None:
    """The least of the GPUs that Keras' backend sees; `None` without."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        found = [
            getattr(device, "compute_capability", None)
            for device in jax.local_devices()
            if device.platform == "gpu"
        ]
        # AMD's are no numbers, and compute in bfloat16.
        parts = [str(text).split(".") for text in found]
        capabilities = [
            (int(one[0]), int(one[1]))
            if len(one) == 2 and "".join(one).isdecimal()
            else (8, 0)
            for one in parts
        ]
        return min(capabilities, default=None)
    if keras.backend.backend() == "torch":
        import torch

        if not torch.cuda.is_available():
            return None
        return torch.cuda.get_device_capability()
    import tensorflow as tf

    capabilities = [
        tf.config.experimental.get_device_details(gpu).get(
            "compute_capability", (0, 0)
        )
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return min(capabilities, default=None)


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Instruction sets that Linux names; empty on other systems."""
    if not cpuinfo.is_file():
        return set()
    for line in cpuinfo.read_text(errors="replace").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()
