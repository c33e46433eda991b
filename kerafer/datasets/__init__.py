"""Data sets of faces with expressions, and how they are divided.

Importing this module loads no pandas: the names below arrive when they are
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kerafer.lazy import lazy_names

if TYPE_CHECKING:
    from kerafer.datasets.dataset import Dataset as Dataset
    from kerafer.datasets.loading import load as load
    from kerafer.datasets.specs import DATASETS as DATASETS
    from kerafer.datasets.splits import make_split as make_split
    from kerafer.datasets.splits import read_split as read_split
    from kerafer.datasets.splits import write_split as write_split

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "DATASETS": "kerafer.datasets.specs",
        "Dataset": "kerafer.datasets.dataset",
        "load": "kerafer.datasets.loading",
        "make_split": "kerafer.datasets.splits",
        "read_split": "kerafer.datasets.splits",
        "write_split": "kerafer.datasets.splits",
    },
)
