"""Processes, on one machine or several, that train one model together."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
import traceback

from kerafer.errors import UserError


# In what JAX says when it can't reach another process; the exception's type
# depends on where it was noticed.
_LOST = ("Gloo", "NCCL", "coordination service", "DEADLINE_EXCEEDED")


@dataclasses.dataclass(frozen=True)
class Processes:
    """This process, and how many more there are.

    Each holds all of the model and computes its share of every batch; JAX adds
    the gradients up, by Keras' `DataParallel`.

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
            raise UserError(
                f"--num-processes is at least 1. Received: {self.count}."
            )
        if not 0 <= self.index < self.count:
            raise UserError(
                f"--process-id is 0 to {self.count - 1} with --num-processes "
                f"{self.count}. Received: {self.index}."
            )
        host, _, port = self.coordinator.rpartition(":")
        if self.count > 1 and not (host and port.isdecimal()):
            raise UserError(
                "--coordinator is the first process' host:port, such as "
                f"10.0.0.1:9911. Received: {self.coordinator}."
            )

    @classmethod
    def from_flags(
        cls,
        num_processes: int | None,
        process_id: int | None,
        coordinator: str | None,
    ) -> Processes:
        """What the three flags say, or one process without them.

        Raises:
            UserError: Where only some of them are given.
        """
        flags = {
            "--num-processes": num_processes,
            "--process-id": process_id,
            "--coordinator": coordinator,
        }
        missing = [name for name, value in flags.items() if value is None]
        if len(missing) == len(flags):
            return cls()
        if missing:
            raise UserError(
                f"{', '.join(flags)} go together. Missing: "
                f"{', '.join(missing)}."
            )
        return cls(num_processes, process_id, coordinator)

    @property
    def is_first(self) -> bool:
        """Whether this one writes and tells."""
        return self.index == 0

    def check(self, batch_size: int) -> None:
        """Refuse what can't be shared, before anything takes long.

        Raises:
            UserError: Where a batch can't be divided evenly, or Keras' backend
                is not JAX.
        """
        if self.count == 1:
            return
        if batch_size % self.count:
            raise UserError(
                "--batch-size is that of all processes together, a multiple "
                f"of --num-processes. Received: {batch_size} for "
                f"{self.count}."
            )
        if os.environ.get("KERAS_BACKEND") != "jax":
            raise UserError(
                "Several processes train on Keras' JAX backend. Set "
                "KERAS_BACKEND=jax in the environment of each."
            )
        if importlib.util.find_spec("jax") is None:
            raise UserError("JAX is not installed: pip install 'kerafer[jax]'")

    def __enter__(self) -> Processes:
        """Wait for the others, and share every model that is made from here.

        Raises:
            UserError: Where they do not come.
        """
        import jax
        import keras

        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        try:
            keras.distribution.initialize(
                self.coordinator, self.count, self.index
            )
        except RuntimeError as error:
            raise UserError(
                f"{self.count} processes are to meet at {self.coordinator}; "
                "they did not.\nStart all of them within 5 minutes, each with "
                "its own --process-id, and let them reach that address.\n"
                f"({_first_line(error)})"
            ) from error
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )
        return self

    def part(self) -> None:
        """Leave the others; what this process makes from here is its own."""
        import jax
        import keras

        keras.distribution.set_distribution(None)
        jax.distributed.shutdown()

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: object
    ) -> None:
        """End this process at once where one of them can't go on.

        JAX would wait for the others for minutes, and then abort.
        """
        if error is None:
            return
        if isinstance(error, UserError):
            print(f"kerafer train: {error}", file=sys.stderr)
        elif any(word in str(error) for word in _LOST):
            print(
                "kerafer train: another process of this training ended, or "
                "can't be reached. The epochs that were over are kept.\nGo on "
                "with all of them, each with its flags:\n    kerafer train "
                "--resume RUN --num-processes N --process-id I --coordinator "
                f"HOST:PORT\n({_first_line(error)})",
                file=sys.stderr,
            )
        else:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(2)


ALONE = Processes()


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]
