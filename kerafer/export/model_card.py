"""The page that goes with exported files."""

from __future__ import annotations

from typing import Any


def model_card(manifest: dict[str, Any]) -> str:
    """Write up a manifest as Markdown.

    Args:
        manifest: As `manifest.json` has it.
    """
    source, test = manifest["source"], manifest["test"]
    inputs = manifest["input"]
    height, width, channels = inputs["shape"][1:]
    colour = "RGB" if channels == 3 else "gray"
    lines = [
        f"# {source['architecture']} for {len(manifest['labels'])} facial "
        "expressions",
        "",
        f"Exported by kerafer {manifest['versions']['kerafer']} from the run "
        f"`{source['run']}`.",
        "",
        "| | |",
        "|---|---|",
        f"| input | one {colour} picture, uint8 0 to 255, "
        f"{height} x {width}, shape {inputs['shape']}; {inputs['note']} |",
        f"| picture | {_picture(inputs['face_margin'])} |",
        f"| output | {manifest['output']} |",
        f"| labels, in this order | {', '.join(manifest['labels'])} |",
        f"| trained on | {source['data']} |",
        f"| terms of the data | {source['licence']} |",
        f"| faces | {source['faces']} |",
        f"| split | {source['split']} |",
        "",
        f"On {test['pictures']} test pictures the Keras model recognises "
        f"{test['keras_accuracy']:.1%} (macro F1 {test['keras_macro_f1']:.3f}"
        "). The files, on the same pictures:",
        "",
        "| file | MB | accuracy | macro F1 | same class as Keras "
        "| largest difference | ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| `{name}` | {file['bytes'] / 1e6:.1f} | {file['accuracy']:.1%} "
            f"| {file['macro_f1']:.3f} | {file['agreement']:.1%} "
            f"| {file['largest_difference']:.2g} "
            f"| {file['milliseconds']:.2f} |"
            for name, file in manifest["files"].items()
        ),
        "",
        "Differences are those of probabilities; ms the median for one picture "
        f"with {manifest['threads']} threads of "
        f"{manifest['versions']['processor']}.",
        "",
        *(
            f"* **`{name}` {file['missed_gate']}.** It was kept with "
            "--allow-drop."
            for name, file in manifest["files"].items()
            if file["missed_gate"]
        ),
        *(f"* {note}" for note in source["notes"]),
        "* These scores hold for pictures such as those tested. How well it "
        "does on other faces, cameras and light was not measured, nor "
        "whether it does equally well for all groups of people. An "
        "expression is not a feeling: do not take it for one.",
        "",
        "`golden.npz` holds drawn faces and the answers expected to them. "
        "On the device, with NumPy and LiteRT alone:",
        "",
        "    python verify_export.py .",
        "",
        "`verify_export.py` is in the folder `scripts` of kerafer's sources.",
        "",
    ]
    return "\n".join(lines)


def _picture(margin: float | None) -> str:
    if margin is None:
        return "whole, as the data set has them: no face is cut out"
    return (
        "one face, cut out as a square around a detector's box, its side "
        f"{1 + 2 * margin:g} times the box's longer side"
    )
