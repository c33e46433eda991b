"""Run trainings here, one after the other, or on a Ray cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kerafer.errors import UserError
from kerafer.extras import extra_for
from kerafer.files import replace_folder
from kerafer.reproduction.plan import Training
from kerafer.settings import as_flags

_TRAIN = (sys.executable, "-m", "kerafer", "train")


def run_here(trainings: list[Training]) -> Iterator[Training]:
    """Run trainings one after the other, and yield each when it is done.

    A training that was begun is resumed. Its output goes to `<folder>.log`.

    Raises:
        UserError: If a training fails, with the last line of its output.
    """
    for training in trainings:
        flags = ["--resume", str(training.folder)]
        if not training.is_begun:
            flags = [*as_flags(training.config), "--out", str(training.folder)]
        training.log.parent.mkdir(parents=True, exist_ok=True)
        with training.log.open("a", encoding="utf-8") as log:
            done = subprocess.run([*_TRAIN, *flags], stdout=log, stderr=log)
        if done.returncode:
            raise _failure(training)
        yield training


def run_on_ray(trainings: list[Training]) -> Iterator[Training]:
    """Run trainings on a Ray cluster, and yield each when it is done.

    Each has one processor core. The files of a finished run are copied back;
    a training that was begun starts anew. Every machine must have the data
    where the settings say. The cluster is that of `RAY_ADDRESS`, else the
    cores of this machine.

    Raises:
        UserError: If Ray is not installed, or a training fails.
    """
    with extra_for("The executor ray"):
        import ray
    # The calling program may have started Ray.
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    train = ray.remote(num_cpus=1, max_retries=2)(_train_on_worker)
    waiting = {train.remote(as_flags(t.config)): t for t in trainings}
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        training = waiting.pop(ready)
        printed, files = ray.get(ready)
        training.log.parent.mkdir(parents=True, exist_ok=True)
        training.log.write_text(printed, encoding="utf-8")
        if not files:
            for other in waiting:
                ray.cancel(other, force=True)
            raise _failure(training)
        with replace_folder(training.folder) as folder:
            for name, content in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        yield training


def _train_on_worker(flags: list[str]) -> tuple[str, dict[str, bytes]]:
    """Return the output and the files of a run, none if it failed."""
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
        found = [] if done.returncode else run.rglob("*")
        return done.stdout, {
            str(file.relative_to(run)): file.read_bytes()
            for file in found
            if file.is_file()
        }


def _failure(training: Training) -> UserError:
    lines = training.log.read_text("utf-8").split("\n")
    last = next((x for x in reversed(lines) if x.strip()), "without output")
    return UserError(
        f"The training {training.name} failed: {last}\n"
        f"Its output is in {training.log}. Run the same command to continue."
    )


RUN = {"here": run_here, "ray": run_on_ray}
