"""What one does with the package, each a function: train, evaluate and such.

A workflow goes through several rooms, so it has this one, between them and
the commands, which only read flags and show what comes back. Importing this
module loads no TensorFlow: the names below arrive when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kerafer.lazy import lazy_names

if TYPE_CHECKING:
    from kerafer.workflows.export import export_model as export_model

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "export_model": "kerafer.workflows.export",
    },
)
