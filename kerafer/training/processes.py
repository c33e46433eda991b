"""Processes, on one machine or several, that train one model together."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from kerafer.engine import check_installed
from kerafer.errors import ConfigError, UserError
from kerafer.settings import Settings


@dataclasses.dataclass(frozen=True)
class Processes:
    """This process, and how many more there are.

    Each holds all of the model on each of its devices and computes its share
    of every batch; JAX adds the gradients up, by Keras' `DataParallel`.

    Args:
        count: How many. Defaults to 1, which needs nothing of this.
        index: Which one this is, from 0. The first writes the run's folder.
        coordinator: `host:port` of the first, where they meet.

    Raises:
        UserError: For numbers that can't be.
    """

    count: int = 1
    index: int = 0
    coordinator: str = ""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(
                f"`num_processes` is at least 1. Received: {self.count}."
            )
        if not 0 <= self.index < self.count:
            raise ConfigError(
                f"`process_id` is 0 to {self.count - 1} with `num_processes` "
                f"{self.count}. Received: {self.index}."
            )
        host, _, port = self.coordinator.rpartition(":")
        if self.count > 1 and not (host and port.isdecimal()):
            raise ConfigError(
                "`coordinator` is the first process' host:port, such as "
                f"10.0.0.1:9911. Received: {self.coordinator}."
            )

    @property
    def is_first(self) -> bool:
        """Whether this one writes and tells."""
        return self.index == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def going_on(self, run: str | os.PathLike[str]) -> str:
        """The indented command by which this one goes on with a run."""
        words = f"    kerafer train --resume {os.fspath(run)}"
        if self.several:
            words += (
                f" --num-processes {self.count} --process-id {self.index} "
                f"--coordinator {self.coordinator}"
            )
        return words

    def check(self, batch_size: int) -> None:
        """Refuse what can't be shared, before anything takes long.

        Raises:
            UserError: Where a batch can't be divided evenly, or Keras' backend
                is not JAX.
        """
        if batch_size % self.count:
            raise ConfigError(
                "`batch_size` is that of all processes together, a multiple "
                f"of `num_processes`. Received: {batch_size} for "
                f"{self.count}."
            )
        if os.environ.get("KERAS_BACKEND") != "jax":
            raise UserError(
                "Several processes train on Keras' JAX backend. Set "
                "KERAS_BACKEND=jax in the environment of each."
            )
        check_installed("jax")

    def meet(self) -> None:
        """Wait for the others, and share every model that is made from here.

        Raises:
            UserError: Where they do not come within five minutes.
        """
        if not self.several:
            return
        import jax
        import keras

        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            keras.distribution.initialize(
                self.coordinator, self.count, self.index
            )
        except RuntimeError as error:
            reason = str(error).partition("\n")[0][:200]
            raise ConfigError(
                f"{self.count} processes are to meet at {self.coordinator}; "
                "they did not.\nStart all of them within 5 minutes, each with "
                "its own `process_id`, and let them reach that address.\n"
                f"({reason})"
            ) from error
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )

    def part(self) -> None:
        """Leave the others; what this process makes from here is its own."""
        if not self.several:
            return
        import jax
        import keras

        keras.distribution.set_distribution(None)
        jax.distributed.shutdown()


ALONE = Processes()
DEVICES = ("one", "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlaceConfig(Settings):
    """Where a training runs, which is no part of what it computes.

    Raises:
        ConfigError: Where only some of what several processes need is given.
    """

    GROUPS: ClassVar[Mapping[str, str]] = {"devices": "Devices and machines"}

    devices: Literal["one", "all"] = "one"
    """Train on one device, or share each batch among all GPUs of this
    machine."""
    num_processes: Annotated[int, Ge(1)] | None = None
    """Number of processes that train this model together (JAX)."""
    process_id: Annotated[int, Ge(0)] | None = None
    """Number of this process. 0 writes the run's folder."""
    coordinator: str | None = None
    """Address of process 0, such as 10.0.0.1:9911."""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = {
            f"`{name}`": getattr(self, name)
            for name in ("num_processes", "process_id", "coordinator")
        }
        missing = [name for name, value in given.items() if value is None]
        if missing and len(missing) < len(given):
            raise ConfigError(
                f"{', '.join(given)} go together. Missing: "
                f"{', '.join(missing)}."
            )
        _ = self.processes

    @property
    def processes(self) -> Processes:
        """Which of several this process is."""
        if (
            self.num_processes is None
            or self.process_id is None
            or self.coordinator is None
        ):
            return ALONE
        return Processes(self.num_processes, self.process_id, self.coordinator)
