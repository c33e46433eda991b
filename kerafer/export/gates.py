"""What a file must hold to be handed out."""

from __future__ import annotations

from kerafer.export.config import ExportConfig
from kerafer.export.verify import Verified


def missed_gate(
    kind: str, verified: Verified, config: ExportConfig
) -> str | None:
    """A sentence about the gate that a file misses, or `None`.

    Args:
        kind: The format.
        verified: What was measured.
        config: With the gates.
    """
    allowed = {
        "dynamic": config.max_drop_dynamic,
        "int8": config.max_drop_int8,
        "integer": config.max_drop_integer,
    }.get(kind)
    if allowed is None:
        agreement = 100.0 * verified.agreement
        if agreement >= config.min_agreement:
            return None
        return (
            f"agrees with the Keras model on {agreement:.2f} % of the test "
            f"pictures; the gate is {config.min_agreement:g} % "
            "(--min-agreement)"
        )
    # Sums of floats: half a point is not to fail by its last digit.
    if verified.accuracy_lost <= allowed + 1e-9:
        return None
    return (
        f"loses {verified.accuracy_lost:.2f} points of accuracy; the gate is "
        f"{allowed:g} (--max-drop-{kind})"
    )
