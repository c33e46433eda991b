"""What a file must hold to be handed out."""

from __future__ import annotations

from kerafer.export.config import ExportConfig
from kerafer.export.verify import Verified

# What formats of floats may be off by, as a part of the largest answer.
_EXACT = {"keras": 1e-3, "savedmodel": 1e-3, "float32": 1e-3, "onnx": 1e-3}
# The same of all others, in the mean, where a model tells no classes.
_LEAST_LIKE = 0.1
# Percent of images with the same class, of 8 bits, where there are no labels.
_WITHOUT_LABELS = 90.0


def missed_gate(
    kind: str, verified: Verified, config: ExportConfig
) -> str | None:
    """A sentence about the gate that a file misses, or `None`.

    Args:
        kind: The format.
        verified: What was measured.
        config: With the gates.
    """
    if kind == "int8" and config.require_integer and verified.float_tensors:
        return (
            f"has {verified.float_tensors} floating-point tensors; the gate "
            "`require_integer` allows none"
        )
    if kind in _EXACT and verified.part_of_range > _EXACT[kind]:
        return (
            f"is off from the Keras model by {verified.part_of_range:.2g} of "
            f"its largest answer; the gate is {_EXACT[kind]:g}"
        )
    allowed = {
        "dynamic": config.max_drop_dynamic,
        "int8": config.max_drop_int8,
    }.get(kind)
    if allowed is not None and verified.accuracy_lost is not None:
        # Sums of floats: half a point is not to fail by its last digit.
        if verified.accuracy_lost <= allowed + 1e-9:
            return None
        return (
            f"loses {verified.accuracy_lost:.2f} points of accuracy"
            f"{_as_images(verified)}; the gate is {allowed:g} "
            f"(`max_drop_{kind}`){_too_fine(allowed, verified.n_images)}"
        )
    if verified.agreement is None:
        if verified.mean_part_of_range <= _LEAST_LIKE:
            return None
        return (
            f"is off from the Keras model by {verified.mean_part_of_range:.2g} "
            f"of its largest answer in the mean; the gate is {_LEAST_LIKE:g}"
        )
    agreement = 100.0 * verified.agreement
    gate = config.min_agreement if allowed is None else _WITHOUT_LABELS
    if agreement >= gate:
        return None
    flag = " (`min_agreement`)" if allowed is None else ""
    return (
        f"agrees with the Keras model on {agreement:.2f} % of the test "
        f"images; the gate is {gate:g} %{flag}"
    )


def _as_images(verified: Verified) -> str:
    """What a loss is in images, where they were counted."""
    if not verified.n_images or verified.accuracy_lost is None:
        return ""
    lost = round(verified.accuracy_lost * verified.n_images / 100)
    return f" ({lost:,} of {verified.n_images:,} images)"


def _too_fine(allowed: float, images: int) -> str:
    """A sentence where the gate lets no single image of so few be lost."""
    if not images or not 0 < allowed < 100 / images:
        return ""
    return (
        f". One image of {images:,} is {100 / images:.2f} points, more than "
        "that: the test set is too small for this gate"
    )
