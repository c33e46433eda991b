"""The state of a training, whole at any moment."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from kerafer.errors import UserError, first_line
from kerafer.files import check_space, sync

# Of an array in a file of h5py, generously.
_HEADER = 4096


class RunBackup(keras.callbacks.BackupAndRestore):
    """Keras' backup of weights, optimizer and epoch, written atomically.

    Each epoch's state is a folder of its own, `<folder>/<epochs done>`, that
    is renamed into place when it is whole; the one before goes after that. A
    training killed at any moment leaves at least one whole state.

    Args:
        folder: For the states; made when the first is written.
        most: The largest part of the time that goes into writing: where
            epochs are short, not each one's state is kept. Defaults to all of
            it.

    Attributes:
        before: What is called before a state is written, for files that go
            with it.
    """

    def __init__(self, folder: Path, most: float = 1.0) -> None:
        self.folder = folder
        self.most = most
        self.before: Callable[[], None] = lambda: None
        self.took = 0.0
        self.ended = -math.inf
        super().__init__(str(folder), delete_checkpoint=False)
        self._point_to(self._newest() or folder / "none")

    @property
    def epochs_done(self) -> int:
        """Epochs that the newest whole state has behind it; 0 without one."""
        newest = self._newest()
        return int(newest.name) if newest else 0

    def _newest(self) -> Path | None:
        if not self.folder.is_dir():
            return None
        states = [p for p in self.folder.iterdir() if p.name.isdecimal()]
        return max(states, key=lambda state: int(state.name), default=None)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Load the newest state.

        Raises:
            UserError: Where it is damaged.
        """
        newest = self._newest()
        if newest is not None:
            self._check(newest)
        try:
            super().on_train_begin(logs)
        # Of damaged files Keras and h5py raise nearly every error.
        except Exception as error:
            raise _damaged(newest, first_line(error)) from error

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Write the state, unless writing took too much of the time."""
        now = time.monotonic()
        if (now - self.ended) * self.most < self.took * (1.0 - self.most):
            return
        self.before()
        super().on_epoch_end(epoch, logs)
        self.ended = time.monotonic()
        self.took = self.ended - now

    def _check(self, state: Path) -> None:
        for file in (self._weights_path, self._training_metadata_path):
            if not os.path.isfile(file) or not os.path.getsize(file):
                raise _damaged(state, f"{os.path.basename(file)} is empty")

    def _check_space(self) -> None:
        """Find a full disk before h5py does, which crashes."""
        trainer = self.model
        variables = [*trainer.variables, *trainer.optimizer.variables]
        size = sum(4 * math.prod(v.shape) for v in variables)
        check_space(self.folder, size + len(variables) * _HEADER)

    def _point_to(self, state: Path) -> None:
        self.backup_dir = str(state)
        self._weights_path = str(state / "latest.weights.h5")
        self._training_metadata_path = str(state / "training_metadata.json")

    def _save_model(self) -> None:
        done = self.folder / str(self._current_epoch)
        part = self.folder / f".{done.name}.part"
        for left_over in self.folder.glob(".*.part"):
            shutil.rmtree(left_over)
        part.mkdir(parents=True)
        self._point_to(part)
        self._check_space()
        super()._save_model()
        for file in part.iterdir():
            sync(file)
        os.replace(part, done)
        for state in self.folder.iterdir():
            if state != done:
                shutil.rmtree(state)


def _damaged(state: Path | None, reason: str) -> UserError:
    return UserError(
        "A run goes on from the state of its last epoch, in the folder backup. "
        f"That in {state} is damaged: {reason}.\nTrain anew, in another "
        "folder; best.keras is the best model so far."
    )
