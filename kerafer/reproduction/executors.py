"""Run trainings here, one after the other, or on a Ray cluster."""

from __future__ import annotations

import io
import os
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
from kerafer.reproduction.plan import Training
from kerafer.settings import as_flags

_TRAIN = (sys.executable, "-m", "kerafer", "train")


def run_here(trainings: list[Training]) -> Iterator[tuple[Training, float]]:
    """Run trainings one after the other, each in its own process.

    A training that was begun is resumed. Its output goes to `<folder>.log`.

    Yields:
        Each finished training, with its duration in seconds.

    Raises:
        UserError: If a training fails, with the last line of its output.
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
            ).returncode
        if code:
            raise UserError(_failure(training, log.read_text("utf-8")))
        yield training, time.monotonic() - began


def run_on_ray(trainings: list[Training]) -> Iterator[tuple[Training, float]]:
    """Run trainings on a Ray cluster, one processor core each.

    The files of a finished run are copied back. A training that was begun
    starts anew. Every machine must have the data where the settings say. The
    cluster is that of `RAY_ADDRESS`, else the cores of this machine.

    Yields:
        Each finished training, with its duration in seconds.

    Raises:
        UserError: If Ray is not installed, or a training fails.
    """
    with extra_for("The executor ray"):
        import ray
    # The calling program may have started Ray.
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
    """Train in a temporary folder, on a worker of the cluster.

    Args:
        flags: Of `kerafer train`.

    Returns:
        Exit code, seconds, output, and the run's files as a tar.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        done = subprocess.run(
            [*_TRAIN, *flags, "--out", str(run)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # The cluster reserved one core.
            env=os.environ
            | {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
        )
        packed = io.BytesIO()
        if done.returncode == 0:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(run, arcname=".")
        seconds = time.monotonic() - began
        return done.returncode, seconds, done.stdout, packed.getvalue()


def _put_in_place(content: bytes, folder: Path) -> None:
    """Unpack into a temporary folder, then rename it."""
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
    return (
        f"The training {training.name} failed: "
        f"{lines[-1] if lines else 'without output'}\n"
        f"Its output is in {training.log}. Run the same command to continue."
    )


RUN: dict[str, Callable[[list[Training]], Iterator[tuple[Training, float]]]] = {
    "here": run_here,
    "ray": run_on_ray,
}
