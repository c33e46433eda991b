"""CSV files of text, whose names of files need not be UTF-8."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kerafer.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

_MAX_HEADER_BYTES = 100_000


def read_table(
    file: str | os.PathLike[str],
    encoding_errors: str = "surrogateescape",
    **options: Any,
) -> pd.DataFrame:
    """Read a CSV file of text that a person may have edited.

    Args:
        file: Columns separated by `,`, `;` or tabs, in UTF-8.
        encoding_errors: What becomes of other bytes. By default names of files
            keep them.
        **options: Of `pandas.read_csv`.

    Returns:
        A table in which every cell is text and none is missing.

    Raises:
        ValueError: Where it is no table.
        OSError: Where it can't be read.
    """
    import pandas as pd

    return pd.read_csv(
        file,
        sep=find_separator(file),
        dtype=str,
        keep_default_na=False,
        encoding="utf-8-sig",
        encoding_errors=encoding_errors,
        **options,
    ).fillna("")


def find_separator(file: str | os.PathLike[str]) -> str:
    """Return the one of `,`, `;` and tab that separates a file's columns.

    Raises:
        OSError: If the file cannot be read.
    """
    with open(file, "rb") as stream:
        header = stream.readline(_MAX_HEADER_BYTES).decode("utf-8", "replace")
    return max(",;\t", key=header.count)


def write_table(
    file: str | os.PathLike[str], table: pd.DataFrame, **options: Any
) -> None:
    """Write a table without its index, whole or not at all.

    Args:
        file: A .csv file.
        table: The rows.
        **options: Of `DataFrame.to_csv`, such as `float_format`.
    """
    with atomic_write(file) as beside:
        table.to_csv(
            beside,
            index=False,
            lineterminator="\n",
            encoding="utf-8",
            errors="surrogateescape",
            **options,
        )
