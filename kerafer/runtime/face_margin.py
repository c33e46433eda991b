"""How faces are cut out for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerafer.datasets.specs import face_margin, find_spec
from kerafer.faces.crops import MARGIN
from kerafer.foreign import parse_yaml, read_json, read_text


def find_face_margin(model: Path) -> float | None:
    """Find out what the images looked like that a model was trained on.

    It is told by `input`, `face_margin` in the `manifest.json` of an export,
    by the `metrics.json` of a training's folder, or, of one before it ended,
    by its `config.yaml`.

    Args:
        model: The model's file or folder.

    Returns:
        The margin for `kerafer.faces.crops.crop`, 0.2 where nothing tells it;
        `None` for a model of whole images.
    """
    for folder in (model, model.parent):
        inputs = _json(folder / "manifest.json").get("input")
        if isinstance(inputs, dict) and "face_margin" in inputs:
            return _number(inputs["face_margin"])
        metrics = _json(folder / "metrics.json")
        if "face_margin" in metrics:
            return _number(metrics["face_margin"])
        config = _yaml(folder / "config.yaml")
        if {"dataset", "face_crop"} <= set(config):
            own = find_spec(str(config["dataset"])).margin
            cut = config.get("face_margin")
            cut = None if cut is None else _number(cut)
            return face_margin(own, config["face_crop"], cut)
    return MARGIN


def _number(value: Any) -> float | None:
    if value is None:
        return None
    known = isinstance(value, (int, float)) and 0 <= value <= 1
    return float(value) if known else MARGIN


def _json(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except (OSError, ValueError):
        return {}


def _yaml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        values = parse_yaml(read_text(file))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
