"""Data sets of faces with expressions, and how they are divided.

Importing this module loads no pandas: the names below arrive when they are
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kerafer.lazy import lazy_names

if TYPE_CHECKING:
    from kerafer.data.dataset import Dataset as Dataset
    from kerafer.data.loading import load as load
    from kerafer.data.specs import DATASETS as DATASETS
    from kerafer.data.splits import make_split as make_split
    from kerafer.data.splits import read_split as read_split
    from kerafer.data.splits import write_split as write_split

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "DATASETS": "kerafer.data.specs",
        "Dataset": "kerafer.data.dataset",
        "load": "kerafer.data.loading",
        "make_split": "kerafer.data.splits",
        "read_split": "kerafer.data.splits",
        "write_split": "kerafer.data.splits",
    },
)
