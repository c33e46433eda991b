"""What an audit found, for a reader."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerafer import markdown
from kerafer.datasets.audit import Audit
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.splits import PARTS
from kerafer.figures import save_figure
from kerafer.files import write_text
from kerafer.tables import write_table

_NAMED = 10


def write_audit(
    folder: Path, found: Audit, dataset: Dataset, title: str, command: str
) -> list[str]:
    """Write the report of an audit.

    Args:
        folder: Where to write it.
        found: The audit.
        dataset: The data set, whose duplicates are plotted.
        title: Heading of the report.
        command: The command that wrote it.

    Returns:
        The names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "audit.md", audit_report(found, title, command))
    summary = json.dumps(audit_summary(found), indent=2)
    write_text(folder / "audit.json", summary + "\n")
    write_table(folder / "duplicates.csv", found.duplicates)
    names = ["audit.md", "audit.json", "duplicates.csv"]
    if plot_duplicates(found, dataset, folder / "duplicates.png"):
        return [*names, "duplicates.png"]
    # That of an earlier audit would show other groups.
    (folder / "duplicates.png").unlink(missing_ok=True)
    return names


def audit_summary(found: Audit) -> dict[str, Any]:
    """The findings as plain numbers and lists."""
    crossing = found.crossing
    return {
        "n_images": len(found.split),
        "shared_people": {
            " and ".join(pair): people
            for pair, people in found.shared_people.items()
        },
        "duplicate_groups": _groups(found.duplicates),
        "n_images_in_them": len(found.duplicates),
        "groups_across_parts": _groups(crossing),
        "n_test_images_seen_elsewhere": int((crossing["part"] == "test").sum()),
        "groups_with_different_labels": _groups(found.contradictory),
        "left_out": found.left_out["reason"].value_counts().to_dict(),
        "smallest": list(found.smallest),
        "largest": list(found.largest),
        "missing_classes": {
            part: found.balance.index[found.balance[part] == 0].tolist()
            for part in PARTS
        },
    }


def audit_report(found: Audit, title: str, command: str) -> str:
    """Write up an audit as Markdown.

    Args:
        found: The findings.
        title: What was audited.
        command: What finds it again.
    """
    facts = audit_summary(found)
    lines = [f"# {title}", ""]
    lines += [f"* {sentence}" for sentence in findings(found)]
    lines += ["", "## Images of each class", ""]
    lines += markdown.table(
        ("class", *found.balance.columns),
        [
            (name, *(f"{n:,}" for n in row))
            for name, row in zip(
                found.balance.index, found.balance.to_numpy(), strict=True
            )
        ],
    )
    if len(found.left_out):
        lines += ["", "## Files that are not taken", ""]
        counts = facts["left_out"].items()
        rows = [(reason, f"{count:,}") for reason, count in counts]
        lines += markdown.table(("reason", "files"), rows)
    lines += [
        "",
        "`duplicates.csv` names every image of every group. Images are "
        "equal if their pixels are; nearly equal if a perceptual hash of 64 "
        "bits agrees and thumbnails of 32 x 32, laid over each other, nowhere "
        "differ much, also mirrored. "
        "`duplicates.png` shows some; it holds images of the data set, so "
        "mind its terms before you pass it on.",
        "",
        "Made by:",
        "",
        f"    {command}",
        "",
    ]
    return "\n".join(lines)


def findings(found: Audit) -> list[str]:
    """The findings as sentences, the worst first."""
    facts = audit_summary(found)
    told = []
    for (one, other), people in found.shared_people.items():
        if people:
            names = ", ".join(people[:_NAMED])
            more = f" and {len(people) - _NAMED} more" * (len(people) > _NAMED)
            told.append(
                f"{len(people)} people stand in both {one} and {other}: "
                f"{names}{more}. The split `subject` divides by person."
            )
    crossing, wrong = found.crossing, found.contradictory
    if len(crossing):
        seen = facts["n_test_images_seen_elsewhere"]
        told.append(
            f"{_groups(crossing)} groups of equal or nearly equal images "
            f"stand in more than one part; {seen} test images are among "
            "them, which a model may have seen. `clean` takes them out."
        )
    if len(wrong):
        why = (
            "other people voted on each"
            if found.votes
            else "no model can be right on all"
        )
        told.append(
            f"{_groups(wrong)} groups have different labels on the same "
            f"image ({len(wrong)} images); {why}."
        )
    told.append(
        f"{facts['duplicate_groups']} groups of equal or nearly equal "
        f"images in all, {len(found.duplicates):,} of "
        f"{len(found.split):,} images."
    )
    for part, classes in facts["missing_classes"].items():
        if classes:
            told.append(f"The part {part} lacks {', '.join(classes)}.")
    counts = found.balance[list(PARTS)].sum(axis=1)
    told.append(
        f"The rarest class is {counts.idxmin()} with {counts.min():,} "
        f"images, the most frequent {counts.idxmax()} with "
        f"{counts.max():,}."
    )
    told.append(
        f"{len(found.left_out):,} files are unreadable, blank or otherwise "
        "not taken."
    )
    sizes = [" x ".join(map(str, s)) for s in (found.smallest, found.largest)]
    told.append(f"Images of {sizes[0]} to {sizes[1]} pixels.")
    if found.shared_people and not any(found.shared_people.values()):
        told.insert(0, "Nobody stands in two parts.")
    return told


def plot_duplicates(
    found: Audit, dataset: Dataset, file: str | os.PathLike, most: int = 12
) -> bool:
    """Draw the first groups, those across parts before the others.

    Args:
        found: The findings.
        dataset: Whose images they are.
        file: A .png to write.
        most: Groups at most. Defaults to 12.

    Returns:
        Whether there was one.
    """
    table = pd.concat([found.crossing, found.duplicates])
    groups = list(dict.fromkeys(table["group"]))[:most]
    if not groups:
        return False
    width = 4
    figure = Figure(
        figsize=(1.7 * width, 1.95 * len(groups)), layout="constrained"
    )
    places = figure.subplots(len(groups), width, squeeze=False)
    for row, group in zip(places, groups, strict=True):
        members = found.duplicates[found.duplicates["group"] == group]
        # One of every part and label first: they are what is to be seen.
        again = members.duplicated(["part", "label"])
        members = pd.concat([members[~again], members[again]])
        for axes in row:
            axes.axis("off")
        for axes, (_, image) in zip(row, members.iterrows(), strict=False):
            axes.imshow(np.asarray(dataset.read_image(image["path"])))
            axes.set_title(
                f"group {group}, {image['kind']}\n{image['part']}: "
                f"{image['label']}",
                fontsize=7,
            )
    save_figure(figure, file, 110)
    return True


def _groups(table: pd.DataFrame) -> int:
    return int(table["group"].nunique())
