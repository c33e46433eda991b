"""Print the progress of a training."""

from __future__ import annotations

import datetime
import math
import time
from typing import Any

import keras
import pandas as pd
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kerafer.console import console
from kerafer.signals import raise_if_interrupted


class EpochProgress(keras.callbacks.Callback):
    """Print a line for each epoch, and show a bar on a terminal.

    Use the attribute `bar` as context manager around the training.

    Adds `seconds` (training and validation) and `images_per_second` (training)
    to the epoch's logs, so it comes before callbacks that write the logs.

    Args:
        epochs: The largest number of epochs.
        steps: Batches per epoch.
        images: Training images per epoch.
        past: Rows of earlier epochs.
    """

    def __init__(
        self, epochs: int, steps: int, images: int, past: pd.DataFrame
    ) -> None:
        super().__init__()
        self.epochs = epochs
        self.images = images
        self.first = len(past)
        lowest = past["val_loss"].min()
        self.lowest = math.inf if math.isnan(lowest) else lowest
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=steps, loss="")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self.epoch_began = time.perf_counter()
        self.bar.reset(
            self.task, description=f"epoch {epoch + 1}", loss="first step ..."
        )

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        raise_if_interrupted()
        if not self.bar.disable and logs:
            loss = f"loss {float(logs['loss']):.4f}"
            self.bar.update(self.task, completed=batch + 1, loss=loss)
        self.trained = time.perf_counter() - self.epoch_began

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        # With a method for each batch, Keras would wait for each.
        raise_if_interrupted()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
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
