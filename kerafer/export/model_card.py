"""The model card of an export."""

from __future__ import annotations

from typing import Any

from kerafer import markdown
from kerafer.evaluation.external_test import external_test_section
from kerafer.evaluation.report import scores_section


def model_card(manifest: dict[str, Any]) -> str:
    """Write a manifest up as Markdown.

    Args:
        manifest: As in `manifest.json`.
    """
    scores = manifest["scores"]
    test, external = "", ""
    if scores is not None:
        test = scores_section(scores["test"])
        external = external_test_section(
            scores["file"], scores["external_test"]
        )
    return markdown.render(
        "export/templates/model_card.md.j2",
        **manifest,
        named=_named_facts(manifest),
        file_rows=[
            _file_row(name, file) for name, file in manifest["files"].items()
        ],
        votes_scores=scores and scores["test"].get("votes"),
        test_section=test,
        external_section=external,
    )


def _named_facts(manifest: dict[str, Any]) -> dict[str, str]:
    source, inputs = manifest["source"], manifest["input"]
    height, width, channels = inputs["shape"][1:]
    colour = "RGB" if channels == 3 else "gray"
    kind = "uint8 0 to 255" if inputs["kind"] == "uint8" else "float32"
    named = {
        "input": f"one {colour} image, {kind}, {height} x {width}, shape "
        f"{inputs['shape']}; {inputs['note']}",
        "image": _framing(inputs["face_margin"]),
        "output": manifest["output"],
        "votes": _votes(manifest.get("votes")),
        "labels, in this order": ", ".join(manifest["labels"]) or "none",
        "training data": source["data"],
        "derived from": ", ".join(source["derived_from"]),
        "terms of the data": source["licence"],
        "faces": source["faces"],
        "split": source["split"],
    }
    optional = ("votes", "derived from")
    return {k: v for k, v in named.items() if v or k not in optional}


def _framing(margin: float | None) -> str:
    if margin is None:
        return "whole images, not cropped to a face"
    times = f"{1 + 2 * margin:g} times " if margin else ""
    return (
        "one face, cropped as a square around a detector's box, its side "
        f"{times}the box's longer side"
    )


def _votes(votes: dict[str, Any] | None) -> str:
    if votes is None:
        return ""
    return (
        "learned from the votes of several people; probabilities to the power "
        f"of {1 / votes['temperature']:.3f}, normalized to sum to 1, estimate "
        "the fraction of people who would choose each label"
    )


def _file_row(name: str, file: dict[str, Any]) -> tuple[str, ...]:
    def shown(key: str, form: str) -> str:
        return "" if file[key] is None else format(file[key], form)

    return (
        f"`{name}`",
        f"{file['bytes'] / 1e6:.2f}",
        shown("accuracy", ".1%"),
        shown("macro_f1", ".3f"),
        shown("agreement", ".1%"),
        f"{file['largest_difference']:.2g}",
        shown("float_tensors", "d"),
        f"{file['milliseconds']:.2f}",
    )
