"""Select the mixed-precision policy."""

from __future__ import annotations

from pathlib import Path


def resolve_precision(precision: str) -> str:
    """Return the Keras dtype policy for a `precision` setting.

    Args:
        precision: A policy, which is returned unchanged, or `"auto"`: bfloat16
            on GPUs of compute capability 8.0 and processors with AMX or
            AVX-512 BF16, float16 on GPUs of capability 7.0, else float32.
    """
    if precision != "auto":
        return precision
    capability = _gpu_capability()
    if capability is None:
        fast = {"amx_bf16", "avx512_bf16"} & processor_flags()
        return "mixed_bfloat16" if fast else "float32"
    if capability >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= (7, 0) else "float32"


def _gpu_capability() -> tuple[int, ...] | None:
    """Return the lowest compute capability of the GPUs; `None` without."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        capabilities = [
            # Those of AMD are no numbers, but such GPUs have bfloat16.
            tuple(map(int, one.split(".")))
            if one.replace(".", "").isdecimal()
            else (8, 0)
            for one in (
                str(getattr(device, "compute_capability", None))
                for device in jax.local_devices()
                if device.platform == "gpu"
            )
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
    """Return the instruction sets that Linux reports."""
    if not cpuinfo.is_file():
        return set()
    for line in cpuinfo.read_text(errors="replace").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()
