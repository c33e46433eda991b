"""The page that goes with exported files."""

from __future__ import annotations

from typing import Any

from kerafer import markdown
from kerafer.evaluation.external_test import external_test_section
from kerafer.evaluation.report import scores_section

LAW = (
    "In the European Union the AI Act (Regulation 2024/1689, Art. 5(1)(f)) "
    "forbids since 2 February 2025 to infer the emotions of people at work "
    "and in education, medical and safety reasons aside. Other recognition of "
    "emotions is of high risk, and the people seen must be told (Art. 50). "
    "Measuring how students feel in class, which the article of this "
    "package's models is about, is such a forbidden use; its data set FESR is "
    "here to reproduce research."
)


def model_card(manifest: dict[str, Any]) -> str:
    """Write up a manifest as Markdown.

    Args:
        manifest: As `manifest.json` has it.
    """
    source = manifest["source"]
    lines = [
        f"# {source['architecture']}{_title(manifest['labels'])}",
        "",
        "It tells which expression people would name for an image of a face. "
        "It reads no feelings, and is no ground for grading, hiring or "
        "policing anyone.",
        "",
        *_at_a_glance(manifest),
        "",
        f"Exported by kerafer {manifest['versions']['kerafer']} from the run "
        f"`{source['run']}`.",
        "",
        *_facts(manifest),
        *_files(manifest),
        *_held_out(manifest),
        *_limits(source["limits"]),
        *_terms(source),
        *_check(),
    ]
    return "\n".join(lines)


def _title(labels: list[str]) -> str:
    return f" for {len(labels)} facial expressions" if labels else ""


def _at_a_glance(manifest: dict[str, Any]) -> list[str]:
    scores = manifest["scores"]
    if scores is None:
        return [
            "**How often it is right was not measured.** Its files were "
            f"compared with the Keras model on {manifest['test']['n_images']:,}"
            " images without labels."
        ]
    interval = markdown.percent_range(scores["test"]["accuracy_interval"])
    text = (
        f"**`{scores['file']}` is right on {scores['test']['accuracy']:.1%} "
        f"of {scores['test']['n_images']:,} images that it was not trained "
        f"on** (95 % interval {interval})"
    )
    other = scores["external_test"]
    if other is None:
        return [f"{text}."]
    interval = markdown.percent_range(other["accuracy_interval"])
    return [
        f"{text}, and on {other['accuracy']:.1%} of {other['n_images']:,} "
        f"images of another kind ({interval})."
    ]


def _facts(manifest: dict[str, Any]) -> list[str]:
    source, inputs = manifest["source"], manifest["input"]
    height, width, channels = inputs["shape"][1:]
    colour = "RGB" if channels == 3 else "gray"
    told = {
        "input": f"one {colour} image, {_kind(inputs)}, {height} x {width}, "
        f"shape {inputs['shape']}; {inputs['note']}",
        "image": _image(inputs["face_margin"]),
        "output": manifest["output"],
        "votes": _votes(manifest.get("votes")),
        "labels, in this order": ", ".join(manifest["labels"]) or "none",
        "trained on": source["data"],
        "learnt from other models": ", ".join(source["derived_from"]),
        "terms of the data": source["licence"],
        "faces": source["faces"],
        "split": source["split"],
    }
    # Of few models there are votes, or others that they learnt from.
    rare = ("votes", "learnt from other models")
    shown = {k: v for k, v in told.items() if v or k not in rare}
    return [*markdown.facts(shown), ""]


def _votes(votes: dict[str, Any] | None) -> str:
    if votes is None:
        return ""
    return (
        "learnt from the votes of several people; probabilities to the power "
        f"of {1 / votes['temperature']:.3f}, made to sum to 1, are the shares "
        "of people who would name each label"
    )


def _kind(inputs: dict[str, Any]) -> str:
    # Manifests of before have bytes alone.
    if inputs.get("kind", "uint8") == "uint8":
        return "uint8 0 to 255"
    return "float32"


def _image(margin: float | None) -> str:
    if margin is None:
        return "whole, as the data set has them: no face is cut out"
    times = f"{1 + 2 * margin:g} times " if margin else ""
    return (
        "one face, cut out as a square around a detector's box, its side "
        f"{times}the box's longer side"
    )


def _files(manifest: dict[str, Any]) -> list[str]:
    test, versions = manifest["test"], manifest["versions"]
    missed = [
        f"* **`{name}` {file['missed_gate']}.** It was kept "
        "all the same (`allow_drop`)."
        for name, file in manifest["files"].items()
        if file["missed_gate"]
    ]
    notes = [*missed, *(f"* {note}" for note in manifest["source"]["notes"])]
    told = (
        f"On {test['n_images']:,} test images, on which it was not trained, "
        f"the Keras model recognises {test['keras_accuracy']:.1%} (macro F1 "
        f"{test['keras_macro_f1']:.3f}). The files, on the same images:"
        if manifest["scores"]
        else f"The files, on {test['n_images']:,} images without labels:"
    )
    return [
        "## The files",
        "",
        told,
        "",
        *markdown.table(
            (
                *("file", "MB", "accuracy", "macro F1"),
                *("same class as Keras", "largest difference", "ms"),
            ),
            [
                (
                    f"`{name}`",
                    f"{file['bytes'] / 1e6:.2f}",
                    _told(file["accuracy"], ".1%"),
                    _told(file["macro_f1"], ".3f"),
                    _told(file["agreement"], ".1%"),
                    f"{file['largest_difference']:.2g}",
                    f"{file['milliseconds']:.2f}",
                )
                for name, file in manifest["files"].items()
            ],
        ),
        "",
        "Differences are those of the outputs; ms the median for one image "
        f"with {manifest['threads']} threads of {versions['processor']}.",
        "",
        *([*notes, ""] if notes else []),
    ]


def _told(score: float | None, form: str) -> str:
    return "" if score is None else format(score, form)


def _held_out(manifest: dict[str, Any]) -> list[str]:
    scores = manifest["scores"]
    if scores is None:
        return []
    return [
        f"## How well `{scores['file']}` does on the test images",
        "",
        scores_section(scores["test"]),
        external_test_section(scores["file"], scores["external_test"]),
    ]


def _limits(limits: list[str]) -> list[str]:
    return [
        "## What it does not know",
        "",
        *(f"* {limit}" for limit in limits),
        "* An expression is not a feeling. People pose, hide and mix them, "
        "and the same face means different things in different places; a "
        "label says what an image resembles, not what somebody feels.",
        "* It names one of its classes whatever it is shown: also for a "
        "face that shows none of them, and for what is no face. A low "
        "probability is the only hint.",
        "* It was measured on no people but those on the images above.",
        "",
        "## What it must not be used for",
        "",
        "To grade, examine, hire, pay or dismiss people, to police or watch "
        "them, to find out lies, illness or intent, or for any other "
        "decision about a person. It is for study, for teaching, for "
        "measuring networks, and for play with people who agreed to it.",
        "",
        LAW,
        "",
    ]


def _terms(source: dict[str, Any]) -> list[str]:
    return [
        "## Terms",
        "",
        f"The terms of the data it was trained on: {source['licence']}. "
        "kerafer's own licence, Apache-2.0, is about its code and clears no "
        "right in images. The weights were learnt from those images: "
        "whoever hands these files on hands this notice on with them, and "
        "sees to those terms.",
        "",
    ]


def _check() -> list[str]:
    return [
        "## To check the files",
        "",
        "`golden.npz` holds synthetic faces and the answers expected to them. "
        "On the device, with NumPy and LiteRT alone:",
        "",
        "    python verify_export.py .",
        "",
        "`verify_export.py` is in the folder `scripts` of kerafer's sources.",
        "",
    ]
