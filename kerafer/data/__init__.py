"""Data sets of faces with expressions, and how they are divided."""

from kerafer.data.dataset import Dataset
from kerafer.data.load import DATASETS, load
from kerafer.data.splits import make_split, read_split, write_split

__all__ = [
    "DATASETS",
    "Dataset",
    "load",
    "make_split",
    "read_split",
    "write_split",
]
