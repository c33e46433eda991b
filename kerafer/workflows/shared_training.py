"""One of several processes that train a model, and the one that minds it.

JAX ends a process from within, without a word to Python, when another process
of its training is lost. So the training runs in a worker, a process of its own,
and the command waits for it and says what became of it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

from kerafer.console import console
from kerafer.errors import ConfigError, UserError
from kerafer.figures import figure_format, figures_as
from kerafer.files import write_text
from kerafer.training.config import TrainingConfig
from kerafer.training.processes import Processes
from kerafer.untrusted import read_json
from kerafer.workflows.run import Run

# Exit codes of a worker that told by itself why it ended; 1 is a defect.
_TOLD = (0, 1, 2, 130)
_LOST = 3
# In what JAX says when it can't reach another process; the exception's type
# depends on where it was noticed.
_SAID_OF_LOST = ("Gloo", "NCCL", "coordination service", "DEADLINE_EXCEEDED")


def train_together(
    config: TrainingConfig,
    out: str | os.PathLike[str] | None,
    resume: str | os.PathLike[str] | None,
    processes: Processes,
) -> Run | None:
    """Train as one of several processes.

    Args:
        config: The training's settings, the same in all processes.
        out: The run's folder, where this is the first process.
        resume: A run to go on with, which every process can read.
        processes: Which of them this is.

    Returns:
        The run, where this is the first process.

    Raises:
        UserError: As `train`, and where another process was lost, or this one
            was killed.
        KeyboardInterrupt: Where one of them was interrupted.
    """
    # Mistakes are told here, before another process waits for this one.
    processes.check(config.batch_size)
    with (
        tempfile.TemporaryDirectory(prefix="kerafer-") as scratch,
        tempfile.TemporaryFile() as log,
    ):
        job: dict[str, Any] = {
            "config": dataclasses.asdict(config),
            "processes": dataclasses.asdict(processes),
            "figure_format": figure_format(),
            "quiet": console.quiet or not processes.is_first,
            "result": os.path.join(scratch, "result.json"),
        }
        if processes.is_first:
            job |= {"out": out and os.fspath(out)}
            job |= {"resume": resume and os.fspath(resume)}
        else:
            job |= _folders_of_its_own(Path(scratch) / "run", resume)
        code = _run_worker(job, log.fileno())
        if code in _TOLD:
            return _outcome(code, Path(job["result"]), processes.is_first)
        log.seek(0)
        reason = _reason(code, log.read().decode(errors="replace"))
    again = resume or out or "RUN"
    raise ConfigError(
        "this training lost one of its processes, or this one's connection to "
        "it.\nThe epochs that were written are kept. Start all processes "
        "again, each with its own `process_id`:\n"
        f"{processes.going_on(again)}\n({reason})"
    )


def _outcome(code: int, result: Path, is_first: bool) -> Run | None:
    """What a worker told of its end."""
    if code == 1:
        raise RuntimeError("The training failed; its error stands above.")
    told = read_json(result)["told"]
    if code == 2:
        raise ConfigError(told)
    if code == 130:
        raise KeyboardInterrupt(told)
    return Run.open(told) if is_first else None


def _folders_of_its_own(
    folder: Path, resume: str | os.PathLike[str] | None
) -> dict[str, Any]:
    """Where a process works that is not the first.

    Keras writes a shared model by steps that all processes take together, so
    each has a folder. That of the first is kept.
    """
    if not resume:
        return {"out": str(folder), "resume": None}
    shutil.copytree(
        resume, folder, ignore=shutil.ignore_patterns("tensorboard")
    )
    return {"out": None, "resume": str(folder)}


def _run_worker(job: dict[str, Any], log: int) -> int:
    """Start a worker, send it Ctrl-C if that comes, and wait for its end."""
    stderr = os.dup(2)
    try:
        worker: Any = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            # JAX and Gloo write there; what the user is to read has its own.
            stdout=log,
            stderr=log,
            pass_fds=[stderr],
            # Else JAX takes SIGTERM for a hint, and goes on.
            env={**os.environ, "JAX_ENABLE_PREEMPTION_SERVICE": "0"},
            start_new_session=True,
        )
    finally:
        os.close(stderr)
    job["stderr"] = stderr
    try:
        # The pipe stays open: its end tells the worker of ours.
        worker.stdin.write(json.dumps(job).encode() + b"\n")
        worker.stdin.flush()
        while True:
            try:
                return worker.wait()
            except KeyboardInterrupt:
                worker.send_signal(signal.SIGINT)
    finally:
        worker.kill()
        worker.wait()
        worker.stdin.close()


def _reason(code: int, log: str) -> str:
    """The last error that a worker's log names, in a line."""
    found = re.findall(r"^(?:\w+\.)*\w*Error: (.+)|Status: (.+)", log, re.M)
    if found:
        return "".join(found[-1])[:200]
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _work() -> NoReturn:
    """Train what standard input says, and end with the exit code."""
    job = json.loads(sys.stdin.readline())
    sys.stderr = os.fdopen(job["stderr"], "w", buffering=1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    told = ""
    try:
        code, told = 0, os.fspath(_train(job).path)
    except UserError as error:
        code, told = 2, str(error)
    except KeyboardInterrupt as stop:
        code, told = 130, str(stop) or "interrupted"
    except BaseException as error:
        lost = any(word in str(error) for word in _SAID_OF_LOST)
        traceback.print_exc(file=sys.__stderr__ if lost else sys.stderr)
        code = _LOST if lost else 1
    write_text(job["result"], json.dumps({"told": told}))
    # An orderly end would wait minutes for a lost process.
    for stream in (sys.stdout, sys.stderr, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(code)


def _train(job: dict[str, Any]) -> Run:
    from kerafer.workflows.training import train

    console.quiet = job["quiet"]
    with figures_as(job["figure_format"]):
        return train(
            TrainingConfig(**job["config"]),
            job["out"],
            resume=job["resume"],
            processes=Processes(**job["processes"]),
        )


def _end_with_parent() -> NoReturn:
    sys.stdin.read()
    os._exit(2)


if __name__ == "__main__":
    _work()
