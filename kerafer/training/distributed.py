"""Train on several devices or machines."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from kerafer.engine import backend_name, check_installed
from kerafer.errors import ConfigError, UserError, first_line
from kerafer.settings import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceConfig(Settings):
    """The devices and processes of a training.

    They don't change what is computed, so a run may be resumed on others. With
    several processes, each has a copy of the model on each of its devices and
    computes its share of every batch. Start one process per machine, with the
    same settings but for `process_id`.

    Raises:
        ConfigError: If only some of the settings of several processes are
            given, or they are out of range.
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
        given = (self.num_processes, self.process_id, self.coordinator)
        if given == (None, None, None):
            return
        if None in given:
            raise ConfigError(
                "`num_processes`, `process_id` and `coordinator` must be given "
                f"together. Received: {given}."
            )
        if self.index >= self.count:
            raise ConfigError(
                f"`process_id` must be below `num_processes` {self.count}. "
                f"Received: {self.index}."
            )
        host, _, port = str(self.coordinator).rpartition(":")
        if not (host and port.isdecimal()):
            raise ConfigError(
                f"`coordinator` must be host:port, such as 10.0.0.1:9911. "
                f"Received: {self.coordinator}."
            )

    @property
    def count(self) -> int:
        """The number of processes."""
        return self.num_processes or 1

    @property
    def index(self) -> int:
        """The number of this process, from 0."""
        return self.process_id or 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run's folder."""
        return self.index == 0

    def resume_command(self, run: str | os.PathLike[str]) -> str:
        """Return the command with which this process resumes a run."""
        command = f"kerafer train --resume {os.fspath(run)}"
        if self.count > 1:
            command += (
                f" --num-processes {self.count} --process-id {self.index} "
                f"--coordinator {self.coordinator}"
            )
        return command

    def check(self, batch_size: int) -> None:
        """Refuse a backend or batch size that cannot work on these devices.

        Raises:
            UserError: If so.
        """
        _check_share(batch_size, self.count)
        if self.count > 1:
            if backend_name() != "jax":
                raise UserError(
                    "Several processes need Keras' JAX backend. Set "
                    "KERAS_BACKEND=jax in the environment of each."
                )
            check_installed("jax")
        elif self.devices == "all" and backend_name() == "torch":
            raise ConfigError(
                "`devices` all needs Keras on TensorFlow or JAX. Received: "
                "KERAS_BACKEND=torch."
            )

    def initialize(self) -> None:
        """Wait for the other processes.

        Raises:
            ConfigError: If they do not start within five minutes.
        """
        if self.count == 1:
            return
        import jax
        import keras

        # Otherwise JAX handles SIGTERM itself, and goes on.
        os.environ["JAX_ENABLE_PREEMPTION_SERVICE"] = "0"
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            keras.distribution.initialize(
                self.coordinator, self.count, self.index
            )
        except RuntimeError as error:
            raise ConfigError(
                f"Not all {self.count} processes connected to "
                f"{self.coordinator}: {first_line(error)}.\nStart them within "
                "5 minutes, each with its own `process_id`."
            ) from error

    def shutdown(self) -> None:
        """Disconnect from the other processes."""
        if self.count > 1:
            import jax

            jax.distributed.shutdown()

    @contextlib.contextmanager
    def scope(self, batch_size: int) -> Iterator[int]:
        """Put models that are made inside on all devices.

        Args:
            batch_size: Images per step, of all devices together.

        Yields:
            The number of devices of this process.

        Raises:
            ConfigError: If they cannot share a batch evenly.
        """
        if self.count == 1 and self.devices == "one":
            yield 1
            return
        import keras

        if keras.backend.backend() == "jax":
            import jax

            count = jax.local_device_count()
            _check_share(batch_size, count * self.count)
            keras.distribution.set_distribution(
                keras.distribution.DataParallel(auto_shard_dataset=False)
            )
            try:
                yield count
            finally:
                keras.distribution.set_distribution(None)
            return
        import tensorflow as tf

        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        names = [x.name for x in tf.config.list_logical_devices(kind)]
        _check_share(batch_size, len(names))
        with tf.distribute.MirroredStrategy(names).scope():
            yield len(names)


def replicas() -> int:
    """Return how many TensorFlow replicas train at once."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def _check_share(batch_size: int, count: int) -> None:
    if batch_size % count:
        raise ConfigError(
            f"`batch_size` must be a multiple of {count}, the number of "
            "processes or devices. "
            f"Received: {batch_size}."
        )
