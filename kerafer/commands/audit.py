"""`kerafer audit`: what makes a split or a data set misleading."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

from kerafer.console import console
from kerafer.datasets.config import DataConfig
from kerafer.errors import UserError
from kerafer.files import keep_results, output_file, output_folder, write_text
from kerafer.settings import add_flags, as_flags, from_flags
from kerafer.tables import write_table

# Whole images are compared, at their own size.
_WITHOUT = ("face_crop", "without_face", "channels", "download")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_flags(parser, DataConfig, without=_WITHOUT)
    parser.add_argument(
        "--near",
        metavar="N",
        type=int,
        default=12,
        help="bits of the 64-bit perceptual hash in which nearly equal "
        "images may differ (default: 12)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the report (default: audits/<dataset>)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace an earlier report there"
    )
    parser.add_argument(
        "--clean",
        metavar="FILE",
        help="also write a split without what was found, a .csv for "
        "kerafer train --split",
    )


def run(parsed: argparse.Namespace) -> int:
    """Look, write and tell."""
    config = from_flags(DataConfig, parsed)
    if not 0 <= parsed.near <= 16:
        raise UserError(f"--near is 0 to 16. Received: {parsed.near}.")
    if parsed.clean is not None and not parsed.clean.endswith(".csv"):
        raise UserError(f"--clean is a .csv file. Received: {parsed.clean!r}.")
    if parsed.clean and Path(parsed.clean).exists():
        raise UserError(
            "--clean writes a new file, so that no run loses its split. "
            f"There is already: {parsed.clean}."
        )
    out = output_folder(parsed.out, Path("audits") / config.dataset)
    keep_results([out / "audit.md"], parsed.force)
    if parsed.clean:
        output_file(parsed.clean, "`clean`")
    from kerafer.datasets import write_split
    from kerafer.datasets.audit import audit
    from kerafer.datasets.audit_report import (
        audit_report,
        audit_summary,
        findings,
        plot_duplicates,
    )
    from kerafer.workflows.split_dataset import find_data

    data = find_data(config)
    dataset = data.dataset
    found = audit(dataset, data.split, parsed.near)
    out.mkdir(parents=True, exist_ok=True)
    flags = as_flags(config.anywhere(), always=("dataset",))
    command = shlex.join(["python", "scripts/audit.py", *flags])
    title = f"Audit of {dataset.name}, split {data.split_name}"
    write_text(out / "audit.md", audit_report(found, title, command))
    summary = json.dumps(audit_summary(found), indent=2)
    write_text(out / "audit.json", summary + "\n")
    write_table(out / "duplicates.csv", found.duplicates)
    names = "audit.md, audit.json, duplicates.csv"
    if plot_duplicates(found, dataset, out / "duplicates.png"):
        names += ", duplicates.png"
    else:
        # That of an earlier audit would be of other groups.
        (out / "duplicates.png").unlink(missing_ok=True)
    for sentence in findings(found):
        console.print(f"* {sentence}", soft_wrap=True)
    if parsed.clean:
        clean = found.cleaned()
        write_split(parsed.clean, dataset, clean)
        console.print(
            f"{(clean != found.split).sum():,} images are out of use in "
            f"{parsed.clean}. Train with --split {parsed.clean}",
            soft_wrap=True,
        )
    console.print(f"Written to {out}: {names}", soft_wrap=True)
    return 0
