"""`kerafer audit`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from kerafer.cli.options import Given, Int, make_settings, with_options
from kerafer.console import console
from kerafer.datasets.config import DataConfig
from kerafer.errors import UserError
from kerafer.files import keep_results, output_file, output_folder, write_text
from kerafer.settings import as_flags
from kerafer.tables import write_table


@with_options(
    # Whole images are compared, at their own size.
    without=("face_crop", "without_face", "channels", "download"),
    given=DataConfig,
)
def audit(
    given: Given | None = None,
    *,
    max_hash_distance: Int = 12,
    clean: str | None = None,
    out: str | None = None,
    force: bool = False,
) -> None:
    """Find duplicates and leaks between the subsets of a data set.

    Args:
        max_hash_distance: Bits of the 64-bit perceptual hash in which near
            duplicates may differ, 0 to 16.
        clean: Also write a split without the images found, a new .csv for
            kerafer train --split.
        out: Folder of the report. Default: audits/<dataset>.
        force: Overwrite an earlier report in the folder.
    """
    config = make_settings(DataConfig, given)
    if not 0 <= max_hash_distance <= 16:
        raise UserError(
            "`max_hash_distance` must be 0 to 16. Received: "
            f"{max_hash_distance}."
        )
    if clean is not None and not clean.endswith(".csv"):
        raise UserError(f"`clean` must be a .csv file. Received: {clean!r}.")
    if clean and Path(clean).exists():
        raise UserError(
            f"{clean} exists. `clean` writes a new file, so that no run loses "
            "its split."
        )
    folder = output_folder(out, Path("audits") / config.dataset)
    keep_results([folder / "audit.md"], force)
    if clean:
        output_file(clean, "`clean`")
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
    found = audit(dataset, data.split, max_hash_distance)
    folder.mkdir(parents=True, exist_ok=True)
    flags = as_flags(config.anywhere(), always=("dataset",))
    command = shlex.join(["python", "scripts/audit.py", *flags])
    title = f"Audit of {dataset.name}, split {data.split_name}"
    write_text(folder / "audit.md", audit_report(found, title, command))
    summary = json.dumps(audit_summary(found), indent=2)
    write_text(folder / "audit.json", summary + "\n")
    write_table(folder / "duplicates.csv", found.duplicates)
    names = "audit.md, audit.json, duplicates.csv"
    if plot_duplicates(found, dataset, folder / "duplicates.png"):
        names += ", duplicates.png"
    else:
        # That of an earlier audit would show other groups.
        (folder / "duplicates.png").unlink(missing_ok=True)
    for sentence in findings(found):
        console.print(f"* {sentence}", soft_wrap=True)
    if clean:
        cleaned = found.cleaned()
        write_split(clean, dataset, cleaned)
        console.print(
            f"{(cleaned != found.split).sum():,} images are not used in "
            f"{clean}. Train with --split {clean}",
            soft_wrap=True,
        )
    console.print(f"Saved {names} in {folder}", soft_wrap=True)
