"""How much around a face a model saw in training."""

from __future__ import annotations

from kerafer.data.faces import MARGIN

# Pictures that are faces already, cut out as close as a detector's box.
_MARGINS = {"fer2013": 0.0, "ferplus": 0.0, "synthetic": 0.0}


def training_margin(dataset: str, face_crop: str) -> float | None:
    """How faces must be cut out for a model, to look as in its training.

    Args:
        dataset: The name of its data set.
        face_crop: As in the training's settings, `"none"` or `"mtcnn"`.

    Returns:
        The margin for `kerafer.data.faces.crop`, as a part of the box's longer
        side; `None` where the model saw pictures whole that show more than a
        face.
    """
    if face_crop == "mtcnn":
        return MARGIN
    return _MARGINS.get(dataset)
