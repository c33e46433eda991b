"""`kerafer train`: data, model, training, test, report."""

from __future__ import annotations

import argparse

from kerafer.engine import let_gpu_memory_grow
from kerafer.errors import UserError
from kerafer.settings import add_flags, from_flags
from kerafer.training.config import TrainingConfig
from kerafer.training.processes import Processes
from kerafer.training.recipes import find_recipe
from kerafer.training.run_folder import RunFolder
from kerafer.workflows.cross_validation import cross_validate
from kerafer.workflows.run import Run
from kerafer.workflows.run_report import show_run
from kerafer.workflows.shared_training import train_together
from kerafer.workflows.training import train

# How a training is run, not what it computes: a run may go on otherwise.
_PLACES = ("devices", "num_processes", "process_id", "coordinator")


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
    parser.add_argument(
        "--devices",
        choices=("one", "all"),
        help="whether every GPU of this machine takes a share of each batch "
        "(default: one)",
    )
    parser.add_argument(
        "--num-processes",
        metavar="N",
        type=int,
        help="how many processes train this model together, on Keras' JAX "
        "backend",
    )
    parser.add_argument(
        "--process-id",
        metavar="I",
        type=int,
        help="which of them this one is, from 0, which writes the run's folder",
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="address of the first of them, where all meet",
    )


def run(parsed: argparse.Namespace) -> int:
    """Train, or go on training, test, and show the scores."""
    config = _configuration(parsed)
    processes = Processes.from_flags(
        parsed.num_processes, parsed.process_id, parsed.coordinator
    )
    let_gpu_memory_grow()
    devices = parsed.devices or "one"
    if processes.several:
        found = _train_together(config, parsed, processes)
    elif parsed.folds is not None:
        cross_validate(config, parsed.folds, parsed.out, devices)
        found = None
    else:
        found = train(config, parsed.out, resume=parsed.resume, devices=devices)
    if found is not None:
        show_run(found)
    return 0


def _train_together(
    config: TrainingConfig, parsed: argparse.Namespace, processes: Processes
) -> Run | None:
    rule = None
    if parsed.folds is not None:
        rule = "train one fold, such as --split fold-1-of-5, without --folds"
    if parsed.devices == "all":
        rule = "train on one device each, without --devices all"
    if rule:
        raise UserError(f"Several processes {rule}.")
    return train_together(config, parsed.out, parsed.resume, processes)


def _configuration(parsed: argparse.Namespace) -> TrainingConfig:
    if parsed.resume is None:
        file = parsed.config and find_recipe(parsed.config)
        return from_flags(TrainingConfig, parsed, file)
    others = set(vars(parsed)) - {"command", "run", "resume", *_PLACES}
    others = [name for name in others if getattr(parsed, name) is not None]
    if others:
        flags = ", ".join(f"--{n.replace('_', '-')}" for n in sorted(others))
        raise UserError(
            "A run goes on with its own settings; --resume stands alone. "
            f"Received: {flags}."
        )
    folder, config = RunFolder.open(parsed.resume)
    folder.check_broken_off()
    return config
