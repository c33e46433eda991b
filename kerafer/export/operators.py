"""Name the Keras calls behind operators that an export format lacks."""

from __future__ import annotations

from collections.abc import Iterable

_LOOP = (
    "a GRU, LSTM or other recurrent layer that loops",
    "Create the layer with unroll=True, which every format takes.",
)
_AFFINE = (
    "keras.ops.image.affine_transform or perspective_transform, or a random "
    "rotation, shift or zoom called with training=True",
    "Transform the images before the model.",
)
_BITS = (
    "the bitwise functions of keras.ops",
    "Use arithmetic, such as x % 16.",
)
_FOURIER = (
    "keras.ops.fft, stft or complex numbers",
    "Compute the spectrum before the model.",
)
_RANDOM = (
    "a random layer or keras.random called with training=True",
    "Call the layer without `training`.",
)
_LINEAR = ("keras.ops.linalg", "Compute it before the model.")
_CALLS: dict[str, tuple[str, str]] = {
    "ScaleAndTranslate": (
        "keras.ops.image.resize or layers.Resizing with antialias=True",
        "Set antialias=False.",
    ),
    "ExtractImagePatches": (
        "keras.ops.image.extract_patches",
        "Use a convolution with strides, or reshape and transpose.",
    ),
    "CropAndResize": ("keras.ops.image.crop", "Crop before the model."),
    "DenseBincount": ("keras.ops.bincount", "Use one_hot and sum."),
    "Bincount": ("keras.ops.bincount", "Use one_hot and sum."),
    "Unique": ("keras.ops.unique", "Use it before the model."),
    "Erfinv": ("keras.ops.erfinv", "Use another activation."),
    **dict.fromkeys(("While", "StatelessWhile"), _LOOP),
    **dict.fromkeys(
        ("ImageProjectiveTransformV2", "ImageProjectiveTransformV3"), _AFFINE
    ),
    **dict.fromkeys(("Real", "Imag", "Angle"), _FOURIER),
    **dict.fromkeys(
        ("Svd", "Qr", "Cholesky", "SelfAdjointEigV2"),
        _LINEAR,
    ),
}
# Beginnings of names, and parts of names.
_FAMILIES: dict[str, tuple[str, str]] = {
    "TensorList": _LOOP,
    "Bitwise": _BITS,
    "LeftShift": _BITS,
    "RightShift": _BITS,
    "Invert": _BITS,
    "Complex": _FOURIER,
    "FFT": _FOURIER,
    "Random": _RANDOM,
    "Matrix": _LINEAR,
}


def describe_operators(operators: Iterable[str]) -> str:
    """Describe TensorFlow operators by the Keras calls that create them.

    Args:
        operators: Their names, such as `"ScaleAndTranslate"`.

    Returns:
        A sentence for each cause, with what to do instead; operators without
        a known cause are named.
    """
    causes: dict[tuple[str, str], list[str]] = {}
    for name in sorted(set(operators)):
        causes.setdefault(_find_call(name), []).append(name)
    return " ".join(
        f"{', '.join(names)} comes from {call}. {remedy}"
        if call
        else f"Replace the layers that create {', '.join(names)}."
        for (call, remedy), names in causes.items()
    )


def has_loop(operators: Iterable[str]) -> bool:
    """Return whether operators belong to a loop of a recurrent layer."""
    return any(_find_call(name) is _LOOP for name in operators)


def _find_call(operator: str) -> tuple[str, str]:
    if operator in _CALLS:
        return _CALLS[operator]
    for part, call in _FAMILIES.items():
        if part in operator:
            return call
    return "", ""
