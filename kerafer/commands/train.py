"""`kerafer train`: data, model, training, test, report."""

from __future__ import annotations

import argparse

from kerafer.commands.show_run import show
from kerafer.engine import let_gpu_memory_grow, load_backend
from kerafer.errors import UserError
from kerafer.files import output_folder
from kerafer.settings import add_flags, from_flags
from kerafer.training.config import TrainingConfig
from kerafer.training.processes import Processes
from kerafer.training.recipes import find_recipe

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
    """Train, or go on training, and test."""
    config = _configuration(parsed)
    processes = Processes.from_flags(
        parsed.num_processes, parsed.process_id, parsed.coordinator
    )
    _check_folder(parsed, processes)
    if processes.several:
        return _train_together(config, parsed, processes)
    # Backends take seconds to import; mistakes above come without it.
    load_backend()
    let_gpu_memory_grow()
    if parsed.devices != "all":
        _train(config, parsed)
        return 0
    from kerafer.training.replicas import all_devices

    with all_devices(config.batch_size):
        _train(config, parsed)
    return 0


def _train(config: TrainingConfig, parsed: argparse.Namespace) -> None:
    if parsed.folds is not None:
        from kerafer.workflows.cross_validation import cross_validate

        cross_validate(config, parsed.folds, parsed.out)
    else:
        from kerafer.workflows.training import train

        show(train(config, parsed.out, resume=parsed.resume))


def _train_together(
    config: TrainingConfig, parsed: argparse.Namespace, processes: Processes
) -> int:
    from kerafer.commands.train_together import train_together

    if parsed.folds is not None:
        raise UserError(
            "Several processes train one fold, such as --split fold-1-of-5. "
            f"Received: --folds {parsed.folds}."
        )
    if parsed.devices == "all":
        raise UserError(
            "Each of several processes trains on one device. Received: "
            "--devices all with --num-processes."
        )
    processes.check(config.batch_size)
    return train_together(config, parsed.out, parsed.resume, processes)


def _check_folder(parsed: argparse.Namespace, processes: Processes) -> None:
    """Refuse a folder that the run could not be written to in the end."""
    from kerafer.training.run_folder import RunFolder

    if processes.several and not processes.is_first:
        return
    if parsed.resume:
        output_folder(parsed.resume, name="`resume`")
    elif parsed.out is None or parsed.folds is not None:
        output_folder(parsed.out, "runs")
    else:
        RunFolder.check_free(parsed.out)


def _configuration(parsed: argparse.Namespace) -> TrainingConfig:
    if parsed.resume is None:
        file = parsed.config and find_recipe(parsed.config)
        return from_flags(TrainingConfig, parsed, file)
    from kerafer.training.run_folder import RunFolder

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
