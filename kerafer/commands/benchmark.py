"""`kerafer benchmark`: medians of interleaved runs, as a table and CSV."""

from __future__ import annotations

import argparse
from typing import Any, Literal

import pandas as pd
from rich.table import Table

from kerafer.console import console
from kerafer.engine import BACKENDS, use_backend
from kerafer.errors import UserError
from kerafer.files import keep_results, output_file, write_text
from kerafer.settings import add_flags, from_flags
from kerafer.workflows.benchmarks import KINDS, BenchmarkConfig, benchmark


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "kind",
        choices=KINDS,
        metavar="KIND",
        help="; ".join(f"{name}: {text}" for name, text in KINDS.items()),
    )
    add_flags(parser, BenchmarkConfig)
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        help="of Keras (training, pipeline, stem); without, KERAS_BACKEND's",
    )
    parser.add_argument(
        "--export",
        metavar="DIR",
        help="folder of an export (latency, inference)",
    )
    parser.add_argument(
        "--model",
        metavar="RUN",
        help="run whose Keras model is timed beside its export (latency)",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="also write the table as CSV"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace that file"
    )


def run(parsed: argparse.Namespace) -> int:
    """Measure and print."""
    config = from_flags(BenchmarkConfig, parsed)
    if parsed.backend and parsed.kind not in ("training", "pipeline", "stem"):
        raise UserError(
            "--backend is for the benchmarks training, pipeline and stem. "
            f"Received: {parsed.kind}."
        )
    if parsed.out is not None:
        keep_results([output_file(parsed.out)], parsed.force)
    if parsed.backend:
        use_backend(parsed.backend)
    table = benchmark(
        parsed.kind, config, export=parsed.export, model=parsed.model
    )
    if parsed.out:
        write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    measured = table[table.attrs["measured"]]
    if parsed.kind == "latency":
        shown = measured.round(2)
        console.print(shown.to_string(index=False, na_rep=""), soft_wrap=True)
        return 0
    size = config.image_size
    what = parsed.export or f"{size} x {size}, batch {config.batch_size}"
    title = f"{parsed.kind}, {what}, median of {config.repeats}"
    _show(title, measured)
    return 0


def _show(title: str, rows: pd.DataFrame) -> None:
    table = Table(title=title)
    rows = rows.drop(columns="threads", errors="ignore")
    for name, values in rows.items():
        text = isinstance(values.iloc[0], str)
        side: Literal["left", "right"] = "left" if text else "right"
        table.add_column(_HEADINGS.get(name, name), justify=side)
    for row in rows.to_dict("records"):
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    console.print(table)


_HEADINGS = {
    "images_per_second": "images/s",
    "milliseconds_per_image": "ms an image",
    "share": "% of\nthe step",
    "utilisation": "% in use",
    "ratio": "of the sum\nof its parts",
    "same_class": "same class\nas Keras",
    "arch": "model",
    "parameters": "M para-\nmeters",
    "stem_macs": "G MACs,\nstem",
    "macs": "G MACs,\nall",
    "inference_ms": "ms an\nimage",
    "training_ms": "ms a\nstep",
}


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return ""
    if name == "parameters":
        return f"{value / 1e6:.2f}"
    if name in ("stem_macs", "macs"):
        return f"{value / 1e9:.3f}"
    return str(value)
