"""The state of a training, whole at any moment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import keras


class RunBackup(keras.callbacks.BackupAndRestore):
    """Keras' backup of weights, optimizer and epoch, written atomically.

    Each epoch's state is a folder of its own, `<folder>/<epochs done>`, that
    is renamed into place when it is whole; the one before goes after that. A
    training killed at any moment leaves at least one whole state.

    Args:
        folder: For the states; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
        super()._save_model()
        os.replace(part, done)
        for state in self.folder.iterdir():
            if state != done:
                shutil.rmtree(state)
