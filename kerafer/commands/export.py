"""`kerafer export`: a run's model as files for other machines."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from kerafer.console import console
from kerafer.engine import use_backend
from kerafer.export.config import ExportConfig
from kerafer.files import size
from kerafer.settings import add_flags, from_flags, listed
from kerafer.workflows.export import (
    NothingExportedError,
    default_folder,
    export_model,
)

GATE_MISSED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--model",
        metavar="PATH",
        required=True,
        help="folder of a run, whose images calibrate and test the files; or "
        "any .keras file, or the folder of an export",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the files (default: exported/<name of the model>)",
    )
    parser.add_argument(
        "--images",
        metavar="DIR",
        help="what a model that is no run was made for, <class>/* or without "
        "labels: they calibrate and test the files",
    )
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="class names of such a model, in the order of its outputs, with "
        "commas between (default: those beside the model)",
    )
    parser.add_argument(
        "--image-size",
        metavar="N",
        type=int,
        help="height and width, for a model that takes any",
    )
    parser.add_argument(
        "--input",
        choices=("uint8", "float32"),
        default="uint8",
        help="whether the model takes images as they are stored, 0 to 255, or "
        "numbers that were scaled before (default: uint8)",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where the run's data set is now, if it has moved",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="make formats anew that the folder has already",
    )
    add_flags(parser, ExportConfig)


def run(parsed: argparse.Namespace) -> int:
    """Export, verify, and say what was written."""
    config = from_flags(ExportConfig, parsed)
    out = parsed.out
    if out is None:
        out = default_folder(parsed.model, parsed.images)
    use_backend("tensorflow")
    try:
        manifest = export_model(
            parsed.model,
            out,
            images=parsed.images,
            class_names=listed(parsed.labels),
            input=parsed.input,
            image_size=parsed.image_size,
            data_dir=parsed.data_dir,
            force=parsed.force,
            **dataclasses.asdict(config),
        )
        files, left_out = manifest["files"], manifest["left_out"]
    except NothingExportedError as error:
        files, left_out = {}, error.left_out
    if files:
        console.print(
            f"Written to {out}: {', '.join(files)} and MODEL_CARD.md, "
            f"{size(Path(out)) / 1e6:.1f} MB with all beside them",
            soft_wrap=True,
        )
    for name, missed in left_out.items():
        console.print(f"Left out: {name} {missed}", soft_wrap=True)
    return GATE_MISSED if left_out else 0
