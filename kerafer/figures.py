"""Figure files and their colours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kerafer.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The palette of Okabe and Ito, which is safe for colour-blind readers.
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")


def save_figure(
    figure: Figure, file: str | os.PathLike[str], dpi: int = 300
) -> None:
    """Write a figure as a .png file.

    Args:
        figure: The figure.
        file: The file.
        dpi: Dots per inch. Default: 300.
    """
    with atomic_write(file) as part:
        figure.savefig(part, dpi=dpi, format="png")
