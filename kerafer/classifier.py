"""What a model takes and gives that classifies images."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from kerafer.errors import UserError

# Between the values that 8 bits have from 0 to 1. A file of 8 bits may give
# floats, which do not tell their step, so it is allowed to every model; half
# of it is what bfloat16 rounds 1 by, too.
_STEP = 1 / 255
_KINDS = ("uint8", "int32", "bfloat16", "float16", "float32", "float64")
_WAY_OUT = "End the model in softmax."

# Shape, `None` where it is not known, and the name of the data type.
Tensor = tuple[Sequence[int | None] | None, str]


def image_shape(
    model: str | os.PathLike[str],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
) -> tuple[int, int, int]:
    """Height, width and channels, checked, of what a model takes.

    Args:
        model: For the message.
        inputs: Shape, the batch first, and data type of each.
        outputs: Likewise.

    Raises:
        UserError: If it is no classifier of images of one size: it has one
            input, numbers of shape `(batch, height, width, 1 or 3)`, and one
            output, numbers of shape `(batch, classes)` for 2 classes or more.
    """
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            "A model has one input, an image, and one output, the "
            f"probabilities of its classes. {os.fspath(model)} has "
            f"{_counted(inputs, 'input')} and {_counted(outputs, 'output')}."
        )
    ((given, kind),), ((answer, answers),) = inputs, outputs
    sides, classes = _fixed(given, 4), _fixed(answer, 2)
    if sides is None or sides[2] not in (1, 3) or classes is None:
        raise _other_shapes(model, given, answer)
    if kind not in _KINDS or answers not in _KINDS:
        raise UserError(
            "A model takes an image and gives probabilities, both as numbers. "
            f"{os.fspath(model)} takes {kind} and gives {answers}."
        )
    if classes[0] < 2:
        raise UserError(
            "A model gives the probability of each of its classes, 2 or more. "
            f"{os.fspath(model)} gives one number.\nOf one sigmoid make two "
            "outputs: p and 1 - p, or a softmax over two classes."
        )
    height, width, channels = sides
    return height, width, channels


def check_probabilities(
    values: np.ndarray, origin: str | os.PathLike[str]
) -> None:
    """Refuse answers that are no probabilities, such as logits.

    In a file of 8 bits each value is off by up to half a step, and a 1, for
    which there is no value, by a whole one. So a row may miss the sum of 1 by
    half a step a class and half a step more: 0.016 for 7 classes.

    Args:
        values: Of shape `(images, classes)`.
        origin: Who gave them, for the message.

    Raises:
        UserError: For another rank, numbers below 0, NaN, infinity, and a sum
            other than 1, which logits and a sigmoid for each class have.
    """
    rule = (
        "A classifier gives probabilities, for each image one of every class, "
        "from 0 to 1 and 1 in sum."
    )
    if values.ndim != 2 or values.shape[1] < 2:
        raise UserError(
            f"{rule} {os.fspath(origin)} gives numbers of shape "
            f"{values.shape}.\n{_WAY_OUT}"
        )
    values = values.astype(np.float64, copy=False)
    slack = (values.shape[1] + 1) * _STEP / 2
    # Written so that NaN is wrong too.
    with np.errstate(invalid="ignore"):
        off = np.abs(values.sum(axis=1) - 1)
    good = (values >= 0).all(axis=1) & (off <= slack)
    if good.all():
        return
    row = values[np.flatnonzero(~good)[0]]
    told = ", ".join(f"{value:.3g}" for value in row[:8])
    more = ", …" if len(row) > 8 else ""
    way_out = _WAY_OUT
    if not np.isfinite(row).all():
        way_out = "Its weights may be damaged, or its training have diverged."
    raise UserError(
        f"{rule} {os.fspath(origin)} gives other numbers on "
        f"{int((~good).sum())} of {len(values)} images, such as {told}{more}."
        f"\n{way_out}"
    )


def as_votes(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Read probabilities of being right as shares of those who are asked.

    Args:
        probabilities: Of shape `(..., classes)`.
        temperature: What their logits are divided by.

    Returns:
        float64 of the same shape; the last axis sums to 1.
    """
    values = np.maximum(np.asarray(probabilities, np.float64), 1e-30)
    shares = (values / values.max(axis=-1, keepdims=True)) ** (
        1.0 / temperature
    )
    return shares / shares.sum(axis=-1, keepdims=True)


def _fixed(
    shape: Sequence[int | None] | None, rank: int
) -> tuple[int, ...] | None:
    """The sides behind the batch, if there are so many and all are known."""
    if shape is None or len(shape) != rank:
        return None
    known = tuple(int(side) for side in shape[1:] if side is not None)
    return known if len(known) == rank - 1 and min(known) > 0 else None


def _other_shapes(
    model: str | os.PathLike[str],
    given: Sequence[int | None] | None,
    answer: Sequence[int | None] | None,
) -> UserError:
    return UserError(
        "A model takes (batch, height, width, 1 or 3), one size of images, and "
        f"gives (batch, classes). {os.fspath(model)} takes {_told(given)} and "
        f"gives {_told(answer)}."
    )


def _told(shape: Sequence[int | None] | None) -> str:
    if shape is None:
        return "anything"
    sides = ["any" if side is None or side < 0 else str(side) for side in shape]
    return f"({', '.join(sides)})"


def _counted(tensors: Sequence[Tensor], noun: str) -> str:
    return f"{len(tensors)} {noun}{'' if len(tensors) == 1 else 's'}"


def tells_classes(outputs: np.ndarray) -> bool:
    """Whether an output is probabilities of two or more classes."""
    try:
        check_probabilities(outputs, "")
    except UserError:
        return False
    return True
