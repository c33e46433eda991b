"""Check that a model maps one image to class probabilities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from kerafer.errors import UserError


class TensorSpec(NamedTuple):
    """An input or output of a model.

    Args:
        name: In the file.
        shape: The batch first; `None` for an unknown shape or side.
        dtype: Such as `"float32"`.
    """

    name: str
    shape: Sequence[int | None] | None
    dtype: str


def check_signature(
    model: str | os.PathLike[str],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> tuple[int, int, int]:
    """Return height, width and channels of the images that a model takes.

    Args:
        model: For the message.
        inputs, outputs: Of the model.

    Raises:
        UserError: Unless the model has one input of shape `(batch, height,
            width, 1 or 3)`, any batch or a batch of 1, and one output of
            shape `(batch, classes)` for two classes or more.
    """
    name = os.fspath(model)
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            f"{name} has {_counted(inputs, 'input')} and "
            f"{_counted(outputs, 'output')}. kerafer needs one input, the "
            "image, and one output, the class probabilities."
            f"{_keep_one(outputs) if len(inputs) == 1 else ''}"
        )
    (image,), (answer,) = inputs, outputs
    if is_channels_first(image.shape):
        raise UserError(channels_first_message(name, image.shape))
    sides, classes = _fixed(image.shape, 4), _fixed(answer.shape, 2)
    if sides is None or sides[2] not in (1, 3) or classes is None:
        raise UserError(
            f"{name} takes {_shown(image.shape)} and gives "
            f"{_shown(answer.shape)}. kerafer needs a model that takes "
            "(batch, height, width, 1 or 3), images of one size, and gives "
            "(batch, classes)."
        )
    if classes[0] < 2:
        raise UserError(
            f"{name} gives one number for each image. kerafer needs the "
            "probability of each class, two or more.\nFor one sigmoid p "
            "return p and 1 - p, or train a softmax over two classes."
        )
    batch = (image.shape or (None,))[0]
    if batch not in (None, -1, 1):
        raise UserError(
            f"{name} takes batches of {batch} images. kerafer needs a batch "
            "of 1 or of any size."
        )
    height, width, channels = sides
    return height, width, channels


def is_channels_first(shape: Sequence[int | None] | None) -> bool:
    """Whether images have the shape `(batch, channels, height, width)`."""
    if shape is None or len(shape) != 4:
        return False
    return shape[1] in (1, 3) and shape[3] not in (1, 3)


def channels_first_message(
    name: str, shape: Sequence[int | None] | None
) -> str:
    """Explain how to make a model take channels last."""
    _, channels, height, width = shape or ()
    return (
        f"{name} takes channels first, {_shown(shape)}. kerafer needs (batch, "
        "height, width, channels). In Keras put a Permute layer first:\n"
        f"    x = keras.Input(({height}, {width}, {channels}))\n"
        "    keras.Model(x, model(keras.layers.Permute((3, 1, 2))(x)))"
        '.save("channels_last.keras")\n'
        "In PyTorch call x.permute(0, 3, 1, 2) in forward() and export again."
    )


def _keep_one(outputs: Sequence[TensorSpec]) -> str:
    """Explain how to keep one of several outputs."""
    if len(outputs) < 2:
        return ""
    first, *others = [
        f'm.output["{output.name}"]'
        if output.name.isidentifier()
        else f"m.outputs[{index}]"
        for index, output in enumerate(outputs)
    ]
    return (
        "\nKeep the one with the probabilities:\n"
        '    m = keras.saving.load_model("model.keras")\n'
        f'    keras.Model(m.input, {first}).save("one_output.keras")'
        f"  # or {', '.join(others)}"
    )


def _fixed(
    shape: Sequence[int | None] | None, rank: int
) -> tuple[int, ...] | None:
    """Return the sides after the batch if there are so many, all known."""
    if shape is None or len(shape) != rank:
        return None
    known = tuple(int(side) for side in shape[1:] if side is not None)
    return known if len(known) == rank - 1 and min(known) > 0 else None


def _shown(shape: Sequence[int | None] | None) -> str:
    if shape is None:
        return "any shape"
    sides = ["any" if side is None or side < 0 else str(side) for side in shape]
    return f"({', '.join(sides)})"


def _counted(tensors: Sequence[TensorSpec], noun: str) -> str:
    return f"{len(tensors)} {noun}{'' if len(tensors) == 1 else 's'}"
