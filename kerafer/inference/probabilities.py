"""Check class probabilities and convert them to votes."""

from __future__ import annotations

import os

import numpy as np

from kerafer.errors import UserError

# Below it another class may be more likely than the predicted one.
UNSURE_BELOW = 0.5
# 8-bit files give values in steps of 1/256; half a step is also the rounding
# error of bfloat16 near 1.
_STEP = 1 / 255


def check_probabilities(
    values: np.ndarray, model: str | os.PathLike[str]
) -> None:
    """Refuse outputs that are not class probabilities, such as logits.

    Each value of an 8-bit file is off by up to half a step, and 1, which it
    cannot represent, by a whole step. So a row's sum may differ from 1 by
    half a step per class and half a step more: 0.016 for 7 classes.

    Args:
        values: Of shape `(images, classes)`.
        model: For the message.

    Raises:
        UserError: For another shape, numbers below 0, NaN, infinity, and sums
            other than 1.
    """
    name = os.fspath(model)
    if values.ndim != 2 or values.shape[1] < 2:
        raise UserError(
            f"{name} gives outputs of shape {values.shape}. kerafer needs "
            "class probabilities of shape (images, classes)."
        )
    values = values.astype(np.float64, copy=False)
    tolerance = (values.shape[1] + 1) * _STEP / 2
    # Written so that NaN is wrong too.
    with np.errstate(invalid="ignore"):
        off = np.abs(values.sum(axis=1) - 1)
    good = (values >= 0).all(axis=1) & (off <= tolerance)
    if good.all():
        return
    row = values[np.flatnonzero(~good)[0]]
    shown = ", ".join(f"{value:.3g}" for value in row[:8])
    more = ", …" if len(row) > 8 else ""
    raise UserError(
        f"The outputs of {name} are not probabilities on {int((~good).sum())} "
        f"of {len(values)} images, such as {shown}{more}. They must be 0 to 1 "
        f"and 1 in sum.\n{_cause(row)}"
    )


def is_probabilities(outputs: np.ndarray) -> bool:
    """Whether an output is probabilities of two or more classes."""
    try:
        check_probabilities(outputs, "")
    except UserError:
        return False
    return True


def as_votes(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Convert probabilities of being right to shares of people's votes.

    Args:
        probabilities: Of shape `(..., classes)`.
        temperature: Divides the logits.

    Returns:
        float64 of the same shape; the last axis sums to 1.
    """
    values = np.maximum(np.asarray(probabilities, np.float64), 1e-30)
    powers = (values / values.max(axis=-1, keepdims=True)) ** (
        1.0 / temperature
    )
    return powers / powers.sum(axis=-1, keepdims=True)


def _cause(row: np.ndarray) -> str:
    if not np.isfinite(row).all():
        return "The weights may be damaged, or the training diverged."
    if row.min() >= 0 and row.max() <= 1:
        return (
            "They look like independent sigmoid scores (multi-label). For "
            "one label per image use softmax:\n"
            '    m = keras.saving.load_model("model.keras")\n'
            "    m.layers[-1].activation = keras.activations.softmax\n"
            '    m.save("softmax.keras")'
        )
    return (
        "They look like logits. Add a softmax:\n"
        '    m = keras.saving.load_model("model.keras")\n'
        "    keras.Model(m.input, keras.layers.Softmax()(m.output))"
        '.save("softmax.keras")'
    )
