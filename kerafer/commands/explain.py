"""`kerafer explain`: where a model looks, what its wavelets learned."""

from __future__ import annotations

import argparse
import dataclasses

from kerafer.engine import use_backend
from kerafer.errors import UserError
from kerafer.faces.detectors import DETECTORS
from kerafer.figures import add_figure_format, figures_as
from kerafer.inference.input_range import HELP
from kerafer.settings import Settings, add_flags, from_flags, listed, setting
from kerafer.workflows.explanation import (
    METHODS,
    explain_images,
    explain_wavelets,
)


@dataclasses.dataclass(frozen=True)
class ExplainConfig(Settings):
    """The flags of `kerafer explain` that may be given once."""

    method: str = setting("grad-cam", "how images are explained", METHODS)
    out: str | None = setting(
        None,
        "folder for what is written (default: explained, or explained-2 and "
        "so on, where that is there)",
        metavar="DIR",
    )
    force: bool = setting(False, "replace what is there in the folder")
    detector: str = setting(
        "auto",
        "finds the faces; none takes each image whole, auto does where the "
        "first model was trained on whole ones",
        ("auto", *(name for name in DETECTORS if name != "yunet")),
    )
    labels: str | None = setting(
        None,
        "class names in the order of the outputs, divided by commas, for a "
        "model without them",
    )
    input_range: str | None = setting(None, HELP, metavar="RANGE")
    data_dir: str | None = setting(
        None, "where the run's data set is now, if it has moved"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PICTURE",
        help="images, folders of them, or patterns in quotes; without any, "
        "the model's wavelets are explained",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="RUN",
        help="a .keras file, or the folder of a run or of an export with "
        "model.keras; several --model are put side by side",
    )
    parser.add_argument(
        "--class",
        dest="class_name",
        metavar="NAME",
        help="explain this class (default: each model's answer)",
    )
    add_figure_format(parser)
    add_flags(parser, ExplainConfig)


def run(parsed: argparse.Namespace) -> int:
    """Explain, write and show."""
    config = from_flags(ExplainConfig, parsed)
    labels = listed(config.labels)
    if not parsed.paths and parsed.class_name:
        raise UserError(
            "--class is a class to be explained on images. Received no image."
        )
    use_backend("tensorflow")
    with figures_as(parsed.figure_format):
        return _explain(parsed, config, labels)


def _explain(
    parsed: argparse.Namespace, config: ExplainConfig, labels: list[str] | None
) -> int:
    if parsed.paths:
        done = explain_images(
            parsed.model,
            parsed.paths,
            method=config.method,
            class_name=parsed.class_name,
            detector=config.detector,
            labels=labels,
            input_range=config.input_range,
            out=config.out,
            force=config.force,
        )
        return 1 if done.unwritten else 0
    explain_wavelets(
        parsed.model,
        labels=labels,
        data_dir=config.data_dir,
        out=config.out,
        force=config.force,
    )
    return 0
