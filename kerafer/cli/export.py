"""`kerafer export`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from kerafer.cli.options import Given, Int, make_settings, with_options
from kerafer.console import console
from kerafer.engine import use_backend
from kerafer.errors import ConfigError, UserError
from kerafer.export.config import ExportConfig
from kerafer.files import size
from kerafer.settings import listed

GATE_MISSED = 3


@with_options(given=ExportConfig)
def export(
    *,
    model: str,
    out: str | None = None,
    images: str | None = None,
    labels: str | None = None,
    image_size: Int | None = None,
    input: Literal["uint8", "float32"] = "uint8",
    data_dir: str | None = None,
    force: bool = False,
    given: Given | None = None,
) -> int:
    """Export a trained model for phones and other machines.

    Args:
        model: Run, whose images calibrate and test the files; or any .keras
            file or export.
        out: Folder of the files. Default: exported/<model>.
        images: Images that calibrate and test a model without a run,
            <class>/* or without labels.
        labels: Class names of such a model in the order of its outputs,
            separated by commas. Default: those beside the model.
        image_size: Height and width, for a model that takes any.
        input: Input of the model: uint8 for images as they are stored, 0 to
            255; float32 for images scaled before.
        data_dir: Folder or .zip of the run's data set, if it has moved.
        force: Replace an earlier export in the folder.

    Returns:
        The exit code: 3 if a file has missed its gate.
    """
    from kerafer.export.export import (
        NothingExportedError,
        export_model,
        model_name,
    )

    config = make_settings(ExportConfig, given)
    if out is None:
        out = str(Path("exported", model_name(model)))
    settings = dataclasses.asdict(config)
    if config.formats == ExportConfig.formats:
        # The default depends on whether there are images.
        settings["formats"] = None
    use_backend("tensorflow")
    try:
        manifest = export_model(
            model,
            out,
            images=images,
            class_names=listed(labels),
            input=input,
            image_size=image_size,
            data_dir=data_dir,
            force=force,
            **settings,
        )
        files, left_out = manifest["files"], manifest["left_out"]
    except NothingExportedError as error:
        files, left_out = {}, error.left_out
    except UserError as error:
        # The flag for `class_names`.
        text = str(error).replace("`class_names`", "`labels`")
        raise ConfigError(text) from None
    if files:
        console.print(
            f"Saved {', '.join(files)} and MODEL_CARD.md in {out} "
            f"({size(Path(out)) / 1e6:.1f} MB)",
            soft_wrap=True,
        )
    for name, missed in left_out.items():
        console.print(f"Left out: {name} {missed}", soft_wrap=True)
    return GATE_MISSED if left_out else 0
