"""How layers compute while a model is exported."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator

from kerafer.layers.psi_table import PsiTable


@dataclasses.dataclass
class ExportMode:
    """What layers do otherwise while their model is traced for export.

    Weights are constants then, so a layer may put together beforehand what it
    computes of them alone. A layer of one's own asks `export_mode()` in its
    `call`, and does as always where that is `None`.

    Args:
        tables: Whether what has no form in 8 bits is looked up in a table.
        used: The tables that were, which layers add.
    """

    tables: bool = False
    used: set[PsiTable] = dataclasses.field(default_factory=set)


_MODE: contextvars.ContextVar[ExportMode | None] = contextvars.ContextVar(
    "export_mode", default=None
)


def export_mode() -> ExportMode | None:
    """How a model is being exported; `None` where it is not."""
    return _MODE.get()


@contextlib.contextmanager
def exporting(tables: bool = False) -> Iterator[ExportMode]:
    """A scope in which models are traced for export, with TensorFlow.

    Args:
        tables: As in `ExportMode`. Defaults to `False`.
    """
    mode = ExportMode(tables)
    token = _MODE.set(mode)
    try:
        yield mode
    finally:
        _MODE.reset(token)
