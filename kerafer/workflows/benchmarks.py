"""What is measured of speed, each a table of medians of interleaved runs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pandas as pd

from kerafer.engine import backend_name, load_backend
from kerafer.errors import ConfigError
from kerafer.model_files import model_path
from kerafer.quiet import stderr_held_back
from kerafer.settings import Settings, setting
from kerafer.timing import interleaved_median

KINDS = {
    "training": "a training in float32 and in the precision auto, and "
    "where its time goes",
    "pipeline": "decoding, cropping, and input batches for each augmentation",
    "stem": "the multi-scale layer as one convolution and as branches",
    "stems": "mcnn and msc_resnet18 with every form of their stem",
    "latency": "every file of an export, one image at a time",
    "inference": "a folder of images, a video, and LiteRT beside ONNX "
    "Runtime, with the files of an export",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(Settings):
    """What is measured."""

    arch: str = setting("wca_mcnn", "model of the training steps")
    image_size: int = setting(224, "pixels", least=1, most=2048)
    batch_size: int = setting(32, "images a step", least=1)
    repeats: int = setting(10, "timed runs of each", least=1)


def benchmark(
    kind: str,
    config: BenchmarkConfig | None = None,
    *,
    export: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Measure how fast something is on this machine.

    Args:
        kind: One of `KINDS`.
        config: Sizes and repeats. Defaults to those of `BenchmarkConfig`.
        export: Folder of an export, or the name of one that is brought along,
            for `"latency"` and `"inference"`.
        model: Folder of a run whose Keras model is timed beside its export,
            for `"latency"`.

    Returns:
        A row for each thing that was timed, with the settings, versions and
        processor in it; `attrs["measured"]` names the columns of what was
        measured.

    Raises:
        ConfigError: For a folder too many or too few.
        UserError: For what is not there.
    """
    config = config or BenchmarkConfig()
    export, model = (x and model_path(x) for x in (export, model))
    if kind not in KINDS:
        raise ConfigError(
            f"A benchmark is one of {', '.join(KINDS)}. Received: {kind}."
        )
    if kind == "latency":
        return _latency(export, model, config)
    if kind == "inference":
        rows = _inference(export, model, config)
    else:
        if export or model:
            raise ConfigError(
                "`export` is for the benchmarks latency and inference, `model` "
                f"for latency. Received: {kind}."
            )
        load_backend()
        rows = _OF_KERAS[kind](config)
    from kerafer.versions import versions

    constant = dataclasses.asdict(config) | versions()
    constant["backend"] = backend_name()
    # What a row says of itself, such as its model, is not overwritten.
    table = pd.DataFrame([row | constant | row for row in rows])
    table.attrs["measured"] = list(rows[0])
    return table


def _latency(
    export: str | os.PathLike[str] | None,
    model: str | os.PathLike[str] | None,
    config: BenchmarkConfig,
) -> pd.DataFrame:
    from kerafer.runtime.latency import measure

    if not export:
        raise ConfigError("The benchmark latency takes `export`, a folder.")
    best = Path(model) / "best.keras" if model else None
    if best and not best.is_file():
        raise ConfigError(f"`model` is a run's folder. There is no {best}.")
    table = measure(Path(export), best, runs=config.repeats)
    named = ("date", "processor")
    table.attrs["measured"] = [name for name in table if name not in named]
    return table


def _inference(
    export: str | os.PathLike[str] | None,
    model: str | os.PathLike[str] | None,
    config: BenchmarkConfig,
) -> list[dict[str, object]]:
    from kerafer.runtime.engine_speed import engine_speed
    from kerafer.runtime.speed import batch_speed, video_speed

    if not export or model:
        raise ConfigError(
            "The benchmark inference takes `export`, the folder of an export "
            "with all formats, and no `model`."
        )
    # LiteRT tells of its delegate.
    with stderr_held_back():
        return [
            *engine_speed(export, config.repeats),
            *batch_speed(export, repeats=config.repeats),
            *video_speed(export, repeats=config.repeats),
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
    from kerafer.datasets.input_speed import input_speed

    return input_speed(config.image_size, config.batch_size, config.repeats)


def _stem(config: BenchmarkConfig) -> list[dict[str, object]]:
    from kerafer.training.speed import stem_steps

    rows = []
    for strides in (4, 2, 1):
        steps = stem_steps(strides, config.image_size, config.batch_size)
        taken = interleaved_median(steps, config.repeats)
        rows += [
            _row(f"stride {strides} {name}", s, config.batch_size)
            for name, s in taken.items()
        ]
    return rows


def _stems(config: BenchmarkConfig) -> list[dict[str, object]]:
    from kerafer.evaluation.stem_costs import stem_costs

    return stem_costs(config.image_size, config.batch_size, config.repeats)


def _row(name: str, seconds: float, images: int) -> dict[str, object]:
    return {
        "what": name,
        "images_per_second": round(images / seconds, 1),
        "milliseconds_per_image": round(1000 * seconds / images, 3),
    }


_OF_KERAS = {
    "training": _training,
    "pipeline": _pipeline,
    "stem": _stem,
    "stems": _stems,
}
