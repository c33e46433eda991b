"""`kerafer audit`."""

from __future__ import annotations

import shlex
from pathlib import Path

from kerafer.cli.options import Given, Int, make_settings, with_options
from kerafer.console import console
from kerafer.datasets.config import DataConfig
from kerafer.errors import UserError
from kerafer.files import keep_results, output_folder
from kerafer.settings import as_flags


@with_options(
    # Whole images are compared, at their own size.
    without=("face_crop", "without_face", "channels"),
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
        output_folder(Path(clean).parent, name="`clean`")
    from kerafer.datasets import write_split
    from kerafer.datasets.audit import audit, write_audit
    from kerafer.datasets.loading import load_data

    data = load_data(config, decoded=False)
    found = audit(data, data.manifest["split"], max_hash_distance)
    flags = as_flags(config.anywhere(), always=("dataset",))
    command = shlex.join(["kerafer", "audit", *flags])
    title = f"Audit of {data.name}, split {data.split_name}"
    names = write_audit(folder, found, data, title, command)
    for sentence in found.findings():
        console.print(f"* {sentence}", soft_wrap=True)
    if clean:
        cleaned = found.cleaned()
        write_split(clean, data, cleaned)
        console.print(
            f"{(cleaned != found.split).sum():,} images are not used in "
            f"{clean}. Train with --split {clean}",
            soft_wrap=True,
        )
    console.print(f"Saved {', '.join(names)} in {folder}", soft_wrap=True)
