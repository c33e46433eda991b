"""`kerafer benchmark`: medians of interleaved runs, as a table and CSV."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import pandas as pd
from rich.table import Table

from kerafer.console import console
from kerafer.engine import BACKENDS, backend_name, load_backend, use_backend
from kerafer.errors import UserError
from kerafer.files import output_file, write_text
from kerafer.quiet import stderr_held_back
from kerafer.settings import add_flags, from_flags, setting

KINDS = {
    "training": "a training in float32 and what --precision auto chooses, and "
    "where its time goes",
    "pipeline": "decoding, cropping, and input batches for each augmentation",
    "stem": "the multi-scale layer as one convolution and as branches",
    "stems": "mcnn and msc_resnet18 with every form of their stem",
    "latency": "every file of an export, one picture at a time",
    "inference": "a folder of pictures, a video, and LiteRT beside ONNX "
    "Runtime, with the files of an export",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What is measured."""

    arch: str = setting("wca_mcnn", "model of the training steps")
    image_size: int = setting(224, "pixels", least=1, most=2048)
    batch_size: int = setting(32, "pictures a step", least=1)
    repeats: int = setting(10, "timed runs of each", least=1)


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


def run(parsed: argparse.Namespace) -> int:
    """Measure and print."""
    config = from_flags(BenchmarkConfig, parsed)
    if parsed.backend and parsed.kind not in ("training", "pipeline", "stem"):
        raise UserError(
            "--backend is for the benchmarks training, pipeline and stem. "
            f"Received: {parsed.kind}."
        )
    if parsed.out is not None:
        output_file(parsed.out)
    if parsed.kind == "latency":
        return _latency(parsed, config)
    if parsed.kind == "inference":
        rows, what = _inference(parsed, config), parsed.export
    else:
        rows = _training_and_input(parsed, config)
        what = (
            f"{config.image_size} x {config.image_size}, batch "
            f"{config.batch_size}"
        )
    _show(f"{parsed.kind}, {what}, median of {config.repeats}", rows)
    if parsed.out:
        _write(parsed.out, config, rows)
    return 0


def _training_and_input(
    parsed: argparse.Namespace, config: BenchmarkConfig
) -> list[dict[str, object]]:
    if parsed.export or parsed.model:
        raise UserError(
            "--export is for the benchmarks latency and inference, --model for "
            f"latency. Received: {parsed.kind}."
        )
    if parsed.backend:
        use_backend(parsed.backend)
    load_backend()
    return {
        "training": _training,
        "pipeline": _pipeline,
        "stem": _stem,
        "stems": _stems,
    }[parsed.kind](config)


def _latency(parsed: argparse.Namespace, config: BenchmarkConfig) -> int:
    from kerafer.runtime.latency import measure

    if not parsed.export:
        raise UserError("The benchmark latency takes --export DIR.")
    best = Path(parsed.model) / "best.keras" if parsed.model else None
    if best and not best.is_file():
        raise UserError(f"--model is a run's folder. There is no {best}.")
    table = measure(Path(parsed.export), best, runs=config.repeats)
    shown = table.drop(columns=["date", "processor"]).round(2)
    console.print(shown.to_string(index=False, na_rep=""), soft_wrap=True)
    if parsed.out:
        write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    return 0


def _inference(
    parsed: argparse.Namespace, config: BenchmarkConfig
) -> list[dict[str, object]]:
    from kerafer.runtime.engine_speed import engine_speed
    from kerafer.runtime.speed import batch_speed, video_speed

    if not parsed.export or parsed.model:
        raise UserError(
            "The benchmark inference takes --export DIR, the folder of an "
            "export with all formats, and no --model."
        )
    # LiteRT tells of its delegate.
    with stderr_held_back():
        return [
            *engine_speed(parsed.export, config.repeats),
            *batch_speed(parsed.export, repeats=config.repeats),
            *video_speed(parsed.export, repeats=config.repeats),
        ]


def _training(config: BenchmarkConfig) -> list[dict[str, object]]:
    from kerafer.training.precision import resolve_precision
    from kerafer.training.speed import step_parts

    size = config.image_size, config.batch_size
    return [
        row
        for precision in dict.fromkeys(("float32", resolve_precision("auto")))
        for row in step_parts(config.arch, *size, precision, config.repeats)
    ]


def _pipeline(config: BenchmarkConfig) -> list[dict[str, object]]:
    from kerafer.data.input_speed import input_speed

    return input_speed(config.image_size, config.batch_size, config.repeats)


def _stem(config: BenchmarkConfig) -> list[dict[str, object]]:
    from kerafer.training.speed import median_seconds, stem_steps

    rows = []
    for strides in (4, 2, 1):
        steps = stem_steps(strides, config.image_size, config.batch_size)
        taken = median_seconds(steps, config.repeats)
        rows += [
            _row(f"stride {strides} {name}", s, config.batch_size)
            for name, s in taken.items()
        ]
    return rows


def _stems(config: BenchmarkConfig) -> list[dict[str, object]]:
    from kerafer.evaluation.stem_costs import stem_costs

    return stem_costs(config.image_size, config.batch_size, config.repeats)


def _row(name: str, seconds: float, pictures: int) -> dict[str, object]:
    return {
        "what": name,
        "images_per_second": round(pictures / seconds, 1),
        "milliseconds_per_image": round(1000 * seconds / pictures, 3),
    }


def _show(title: str, rows: list[dict[str, object]]) -> None:
    table = Table(title=title)
    shown = [name for name in rows[0] if name != "threads"]
    for name in shown:
        side = "left" if isinstance(rows[0][name], str) else "right"
        table.add_column(_HEADINGS.get(name, name), justify=side)
    for row in rows:
        table.add_row(*(_cell(name, row[name]) for name in shown))
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
    "inference_ms": "ms a\npicture",
    "training_ms": "ms a\nstep",
}


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if name == "parameters":
        return f"{value / 1e6:.2f}"
    if name in ("stem_macs", "macs"):
        return f"{value / 1e9:.3f}"
    return str(value)


def _write(
    file: str, config: BenchmarkConfig, rows: list[dict[str, object]]
) -> None:
    from kerafer.versions import versions

    constant = dataclasses.asdict(config) | versions()
    constant["backend"] = backend_name()
    # What a row says of itself, such as its model, is not overwritten.
    table = pd.DataFrame([row | constant | row for row in rows])
    write_text(file, table.to_csv(index=False, lineterminator="\n"))
