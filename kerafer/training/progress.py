"""What a person sees of a training."""

from __future__ import annotations

import datetime
import math
import time
from typing import Any

import keras
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kerafer.console import console
from kerafer.signals import raise_if_interrupted


class EpochProgress(keras.callbacks.Callback):
    """One line an epoch, and on a terminal a bar within it.

    Adds `seconds` (of training and validation) and `images_per_second` (of
    training alone) to the epoch's logs, so it stands before those that write
    them down.

    Args:
        epochs: At most this many.
        steps: Batches an epoch.
        images: Training images an epoch.
        done: Epochs before a resumption. Defaults to 0.
        lowest: Validation loss that was reached in these. NaN, the lowest of
            none, counts as none. Defaults to none.
    """

    def __init__(
        self,
        epochs: int,
        steps: int,
        images: int,
        done: int = 0,
        lowest: float = math.inf,
    ) -> None:
        super().__init__()
        self.epochs = epochs
        self.steps = steps
        self.images = images
        self.first = done
        self.lowest = math.inf if math.isnan(lowest) else lowest

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start the clock and the bar."""
        self.began = time.perf_counter()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(
            *columns,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.bar.start()
        self.task = self.bar.add_task("", total=self.steps, loss="")

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Empty the bar."""
        self.epoch_began = time.perf_counter()
        self.bar.reset(
            self.task, description=f"epoch {epoch + 1}", loss="first step ..."
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Move the bar, unless Ctrl-C was pressed in the step."""
        raise_if_interrupted()
        if not self.bar.disable:
            loss = f"loss {float(logs['loss']):.4f}"
            self.bar.update(self.task, completed=batch + 1, loss=loss)
        self.trained = time.perf_counter() - self.epoch_began

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """End where Ctrl-C was pressed in validation."""
        # A method for each batch would have Keras wait for each of them.
        raise_if_interrupted()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Print the epoch's line."""
        now = time.perf_counter()
        logs["seconds"] = now - self.epoch_began
        logs["images_per_second"] = self.images / self.trained
        better = logs["val_loss"] < self.lowest
        self.lowest = min(self.lowest, logs["val_loss"])
        done = epoch + 1 - self.first
        left = (now - self.began) / done * (self.epochs - epoch - 1)
        console.print(
            f"epoch {epoch + 1:3d}/{self.epochs}"
            f"  loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.3f}"
            f" | val_loss {logs['val_loss']:.4f},"
            f" val_accuracy {logs['val_accuracy']:.3f}"
            f"{', best so far' if better else '             '}"
            f" | {logs['images_per_second']:.0f} images/s"
            f" | at most {datetime.timedelta(seconds=round(left))} left",
            soft_wrap=True,
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Take the bar away."""
        self.bar.stop()
