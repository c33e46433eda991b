"""Where trainings run: here one after the other, or on a Ray cluster."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kerafer.errors import UserError
from kerafer.extras import extra_for
from kerafer.lifetimes import with_parent
from kerafer.reproduction.plan import Training
from kerafer.settings import as_flags

_TRAIN = (sys.executable, "-m", "kerafer", "train")


def run_here(trainings: list[Training]) -> Iterator[tuple[Training, float]]:
    """Run trainings one after the other, each in a process of its own.

    A training that was begun goes on. What the process prints goes to
    `<folder>.log`.

    Args:
        trainings: Not done yet.

    Yields:
        Each training when it is over, with the seconds that it took.

    Raises:
        UserError: When one fails, with the last line of what it printed.
    """
    for training in trainings:
        began = time.monotonic()
        log = training.log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            code = subprocess.run(
                _command(training),
                stdout=stream,
                stderr=stream,
                env=with_parent(),
            ).returncode
        if code:
            raise UserError(_failure(training, log.read_text("utf-8")))
        yield training, time.monotonic() - began


def run_on_ray(trainings: list[Training]) -> Iterator[tuple[Training, float]]:
    """Send every training to a Ray cluster, as many at once as it has room.

    Each takes one processor core of the cluster and trains in a folder of its
    own machine; the files of a run that is over come back and are put in place
    here. What was begun before starts anew. The data must be where the
    settings say on every machine. The cluster is the one that `RAY_ADDRESS`
    names, else one of this machine's cores.

    Args:
        trainings: Not done yet.

    Yields:
        Each training when it is over, with the seconds that it took.

    Raises:
        UserError: Where Ray is not installed, or when a training fails; those
            that were over by then are in place.
    """
    with extra_for("The executor ray"):
        import ray
    # A program that uses Ray for more has begun it already.
    own = not ray.is_initialized()
    if own:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        yield from _collected(ray, trainings)
    finally:
        if own:
            ray.shutdown()


def _collected(
    ray: Any, trainings: list[Training]
) -> Iterator[tuple[Training, float]]:
    remote = ray.remote(num_cpus=1, max_retries=2)(train_elsewhere)
    waiting = {
        remote.remote(as_flags(training.config)): training
        for training in trainings
    }
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        training = waiting.pop(ready)
        code, seconds, printed, content = ray.get(ready)
        log = training.log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(printed, encoding="utf-8")
        if code:
            for other in waiting:
                ray.cancel(other, force=True)
            raise UserError(_failure(training, printed))
        _put_in_place(content, training.folder)
        yield training, seconds


def train_elsewhere(flags: list[str]) -> tuple[int, float, str, bytes]:
    """Train in a temporary folder; what a worker of the cluster runs.

    Args:
        flags: Of `kerafer train`.

    Returns:
        Exit code, seconds, what was printed, and the run's files as a tar.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        done = subprocess.run(
            [*_TRAIN, *flags, "--out", str(run)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # One core is what the cluster gave.
            env=with_parent()
            | {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
        )
        packed = io.BytesIO()
        if done.returncode == 0:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(run, arcname=".")
        seconds = time.monotonic() - began
        return done.returncode, seconds, done.stdout, packed.getvalue()


def _put_in_place(content: bytes, folder: Path) -> None:
    """Unpack beside and rename, so that a run is whole or not there."""
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f".{folder.name}."
    ) as beside:
        run = Path(beside) / "run"
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(run, filter="data")
        run.rename(folder)


def _command(training: Training) -> list[str]:
    if training.state == "begun":
        return [*_TRAIN, "--resume", str(training.folder)]
    flags = as_flags(training.config)
    return [*_TRAIN, *flags, "--out", str(training.folder)]


def _failure(training: Training, printed: str) -> str:
    lines = [line for line in printed.splitlines() if line.strip()]
    last = lines[-1] if lines else "it printed nothing"
    return (
        f"The training {training.name} failed: {last}\n"
        f"What it printed is in {training.log}. The same command goes on from "
        "here."
    )


RUN: dict[str, Callable[[list[Training]], Iterator[tuple[Training, float]]]] = {
    "here": run_here,
    "ray": run_on_ray,
}
