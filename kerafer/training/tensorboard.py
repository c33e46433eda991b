"""The epochs' numbers as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras


class TensorBoard(keras.callbacks.Callback):
    """Writes what Keras' callback of that name does, without TensorFlow.

    Args:
        folder: For `train/` and `validation/`, whose `epoch_<name>` belong
            together.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.writers: dict[str, Any] = {}

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Write an epoch's numbers."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import (
            EventFileWriter,
        )

        values: dict[str, list[Any]] = {}
        for name, number in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            value = Summary.Value(
                tag=f"epoch_{name.removeprefix('val_')}",
                simple_value=float(number),
            )
            values.setdefault(part, []).append(value)
        for part, told in values.items():
            if part not in self.writers:
                self.writers[part] = EventFileWriter(str(self.folder / part))
            event = Event(step=epoch, summary=Summary(value=told))
            self.writers[part].add_event(event)
            self.writers[part].flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the files."""
        for writer in self.writers.values():
            writer.close()
