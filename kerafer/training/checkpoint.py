"""Save and restore the state of a training."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from kerafer.errors import UserError, first_line
from kerafer.files import check_space, sync

_WEIGHTS, _HISTORY = "state.weights.h5", "history.csv"
# The largest part of the time that is spent on writing.
_MAX_SHARE = 0.05


class Checkpoint(keras.callbacks.Callback):
    """Write weights, optimizer and history at the end of an epoch.

    A state is a folder named after the number of finished epochs. It is
    written under another name and renamed, and the previous state is removed
    afterwards, so that a killed training always leaves a complete state.

    Args:
        folder: For the states.
        before: Called before a state is written.
        every_epoch: Whether to write after every epoch. Otherwise short epochs
            are skipped, so that writing takes at most 5 % of the time.
    """

    def __init__(
        self,
        folder: Path,
        before: Callable[[], None] = lambda: None,
        every_epoch: bool = False,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.before = before
        self.wait = 0.0 if every_epoch else 1 / _MAX_SHARE - 1
        self.duration = 0.0
        self.ended = -math.inf
        # Number of epochs that are not written yet; 0 if all are.
        self.missing = 0

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        began = time.monotonic()
        self.missing = epoch + 1
        if began - self.ended >= self.wait * self.duration:
            self._write()
            self.ended = time.monotonic()
            self.duration = self.ended - began

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.missing:
            self._write()

    def _write(self) -> None:
        self.before()
        part = self.folder / ".part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        # h5py ends the process when the disk is full.
        variables = [*self.model.variables, *self.model.optimizer.variables]
        size = sum(4 * math.prod(v.shape) + 4096 for v in variables)
        check_space(part, size)
        self.model.save_weights(part / _WEIGHTS)
        shutil.copy(self.folder.with_name(_HISTORY), part)
        for file in part.iterdir():
            sync(file)
        part.rename(self.folder / str(self.missing))
        for state in _states(self.folder)[:-1]:
            shutil.rmtree(state)
        self.missing = 0


def epochs_done(folder: Path) -> int:
    """Return the number of epochs of the newest state; 0 without one."""
    states = _states(folder)
    return int(states[-1].name) if states else 0


def restore(trainer: keras.Model, folder: Path) -> pd.DataFrame:
    """Load the newest state, if there is one.

    Args:
        trainer: Compiled, with a built optimizer.
        folder: Of the states.

    Returns:
        The history so far, a row for each epoch.

    Raises:
        UserError: If the state is damaged.
    """
    states = _states(folder)
    if not states:
        return pd.DataFrame({"epoch": [], "loss": [], "val_loss": []})
    try:
        trainer.load_weights(states[-1] / _WEIGHTS)
        history = pd.read_csv(states[-1] / _HISTORY)
        history[["loss", "val_loss"]].astype(float)
        return history
    # For damaged files Keras and h5py raise nearly every error.
    except Exception as error:
        raise UserError(
            f"Cannot resume: the state in {states[-1]} is damaged "
            f"({first_line(error)}).\nStart a new training in another folder. "
            "best.keras is the best model so far."
        ) from error


def _states(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("*") if path.name.isdecimal()]
    return sorted(found, key=lambda path: int(path.name))
