"""CSV files of text, whose names of files need not be UTF-8."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kerafer.files import written_beside

if TYPE_CHECKING:
    import pandas as pd


def read_table(file: str | os.PathLike[str]) -> pd.DataFrame:
    """Read what `write_table` wrote; every cell is text, none is missing.

    Raises:
        ValueError: Where it is no table.
        OSError: Where it can't be read.
    """
    import pandas as pd

    return pd.read_csv(
        file,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8",
        encoding_errors="surrogateescape",
    )


def write_table(
    file: str | os.PathLike[str], table: pd.DataFrame, **options: Any
) -> None:
    """Write a table without its index, whole or not at all.

    Args:
        file: A .csv file.
        table: The rows.
        **options: Of `DataFrame.to_csv`, such as `float_format`.
    """
    with written_beside(file) as beside:
        table.to_csv(
            beside,
            index=False,
            lineterminator="\n",
            encoding="utf-8",
            errors="surrogateescape",
            **options,
        )
