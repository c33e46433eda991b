"""How figures are written, whatever draws them."""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kerafer.errors import ConfigError
from kerafer.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_FORMATS = ("png", "pdf", "svg")
# Okabe and Ito's, which all kinds of colour vision tell apart, darkest first.
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
_format = contextvars.ContextVar("figure_format", default="png")


@contextlib.contextmanager
def figures_as(figure_format: str) -> Iterator[None]:
    """Write figures in another format too, as long as the context lasts.

    The .png stays beside it, since reports show that.

    Args:
        figure_format: One of `FIGURE_FORMATS`.

    Raises:
        ConfigError: For another.
    """
    if figure_format not in FIGURE_FORMATS:
        raise ConfigError(
            f"`figure_format` is one of {', '.join(FIGURE_FORMATS)}. "
            f"Received: {figure_format}."
        )
    before = _format.set(figure_format)
    try:
        yield
    finally:
        _format.reset(before)


def figure_format() -> str:
    """The format that figures are written in here, beside .png."""
    return _format.get()


def save_figure(
    figure: Figure, file: str | os.PathLike[str], dpi: int = 300
) -> None:
    """Write a figure, whole or not at all.

    Args:
        figure: What was drawn.
        file: A .png; in a context of `figures_as` also its other format.
        dpi: Dots per inch. Defaults to 300.
    """
    file = Path(file)
    for kind in dict.fromkeys(("png", figure_format())):
        with atomic_write(file.with_suffix(f".{kind}")) as beside:
            figure.savefig(beside, dpi=dpi, format=kind)
