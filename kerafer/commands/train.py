"""`kerafer train`: data, model, training, test, report."""

from __future__ import annotations

import argparse
from dataclasses import fields

from kerafer.engine import let_gpu_memory_grow
from kerafer.errors import UserError, flag_of
from kerafer.figures import add_figure_format, figures_as
from kerafer.settings import add_flags, from_flags
from kerafer.training.config import TrainingConfig
from kerafer.training.processes import PlaceConfig
from kerafer.training.recipes import find_recipe
from kerafer.training.run_folder import RunFolder
from kerafer.workflows.cross_validation import cross_validate
from kerafer.workflows.run import Run
from kerafer.workflows.run_report import show_run
from kerafer.workflows.shared_training import train_together
from kerafer.workflows.training import train

# How a training is run, not what it computes: a run may go on otherwise.
_PLACES = ("figure_format", *(f.name for f in fields(PlaceConfig)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_flags(parser, TrainingConfig)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="YAML file with any of these settings, or paper, strong or "
        "ferplus, the recipes of this package; flags override it",
    )
    parser.add_argument(
        "--folds",
        metavar="N",
        type=int,
        help="train N times, each with another Nth of the people as test part",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="the run's folder (default: runs/<arch>-<dataset>-<time>)",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with an interrupted run, with its own settings",
    )
    add_figure_format(parser)
    add_flags(parser, PlaceConfig)


def run(parsed: argparse.Namespace) -> int:
    """Train, or go on training, test, and show the scores."""
    config = _configuration(parsed)
    place = from_flags(PlaceConfig, parsed)
    let_gpu_memory_grow()
    with figures_as(parsed.figure_format):
        _train(config, parsed, place)
    return 0


def _train(
    config: TrainingConfig, parsed: argparse.Namespace, place: PlaceConfig
) -> None:
    devices = place.devices
    if place.processes.several:
        found = _train_together(config, parsed, place)
    elif parsed.folds is not None:
        cross_validate(config, parsed.folds, parsed.out, devices)
        found = None
    else:
        found = train(config, parsed.out, resume=parsed.resume, devices=devices)
    if found is not None:
        show_run(found)


def _train_together(
    config: TrainingConfig, parsed: argparse.Namespace, place: PlaceConfig
) -> Run | None:
    rule = None
    if parsed.folds is not None:
        rule = "train one fold, such as --split fold-1-of-5, without --folds"
    if place.devices == "all":
        rule = "train on one device each, without --devices all"
    if rule:
        raise UserError(f"Several processes {rule}.")
    return train_together(config, parsed.out, parsed.resume, place.processes)


def _configuration(parsed: argparse.Namespace) -> TrainingConfig:
    if parsed.resume is None:
        file = parsed.config and find_recipe(parsed.config)
        return from_flags(TrainingConfig, parsed, file)
    own = {"command", "run", "resume", *_PLACES}
    named = vars(parsed).items()
    others = {k: v for k, v in named if k not in own and v is not None}
    folder, config = RunFolder.open(parsed.resume)
    if others:
        words = [
            word
            for name, value in sorted(others.items())
            if name != "config"
            for word in (
                flag_of(name),
                *([] if value is True else [str(value)]),
            )
        ]
        raise UserError(
            "--resume continues a run with its own settings, so it cannot be "
            f"combined with {', '.join(map(flag_of, sorted(others)))}.\n"
            "To train its model further with other settings:\n"
            f"    {folder.train_further(*words)}"
        )
    folder.check_broken_off()
    return config
