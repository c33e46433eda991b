"""Whether an earlier model has seen the images that test a later one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kerafer.datasets.splits import read_split_table
from kerafer.errors import ConfigError
from kerafer.training.run_folder import RunFolder


def check_unseen(
    earlier: Path,
    dataset: str,
    paths: pd.Series,
    split: pd.Series,
    setting: str,
) -> None:
    """Refuse a model that was trained on another's held-out images.

    Args:
        earlier: Folder of the earlier run. One that is no run is not checked;
            its images are not known.
        dataset: Name of the data set here.
        paths: All its images.
        split: Their parts.
        setting: What named the earlier model, for the message.

    Raises:
        UserError: Where an image that validates or tests here trained it.
    """
    run = RunFolder(earlier)
    if not (run.config.is_file() and run.split.is_file()):
        return
    _, config = RunFolder.open(earlier)
    if config.dataset != dataset:
        return
    table = read_split_table(run.split)
    # A run on Windows may have written the other separator.
    table["path"] = table["path"].str.replace("\\", "/")
    paths = paths.str.replace("\\", "/")
    trained = set(table["path"][table["split"] == "train"])
    held_out = paths[split.isin(["validation", "test"]).to_numpy()]
    seen = int(held_out.isin(trained).sum())
    if seen:
        raise ConfigError(
            f"What `{setting}` names must not have been trained on images "
            f"that validate or test this model.\n{earlier} was, on {seen:,} of "
            f"{len(held_out):,}. Divide as it was: `split` {run.split}"
        )
