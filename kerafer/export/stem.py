"""The first convolution in the form that LiteRT computes fastest."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

from kerafer.export.graph import Graph
from kerafer.export.predictors import predictor
from kerafer.export.tflite import tflite

FORMS = ("separate", "fused", "blocks")

_RUNS = 40


@dataclasses.dataclass(frozen=True)
class Stem:
    """How convolutions of several branches are computed.

    Args:
        form: As in `kerafer.export.module.Module`.
        milliseconds: What was measured for each form; empty where nothing was
            to be chosen.
    """

    form: str
    milliseconds: dict[str, float] = dataclasses.field(default_factory=dict)


def choose_stem(
    graph: Graph, kind: str, form: str, picture: np.ndarray, threads: int = 2
) -> Stem:
    """Measure all forms of the model's first convolution.

    Of several convolutions of the picture it is the one with most branches.

    Args:
        graph: Of the whole model.
        kind: One of `kerafer.export.tflite.FORMATS`.
        form: One of `FORMS`, or `"auto"` to measure them.
        picture: A uint8 picture.
        threads: That LiteRT computes with. Defaults to 2.
    """
    if form != "auto":
        return Stem(form)
    convolutions = [n for n in graph.nodes if n.kind == "convolution"]
    if not convolutions:
        return Stem("separate")
    first = max(
        convolutions,
        key=lambda node: (node.inputs[0].kind == "input", len(node.kernels)),
    )
    head = graph.head(first)
    with tempfile.TemporaryDirectory() as folder:
        predictors = {}
        for name in FORMS:
            file = Path(folder) / f"{name}.tflite"
            content = tflite(head, kind, name, picture[None]).content()
            file.write_bytes(content)
            predictors[name] = predictor(file, threads)
        times: dict[str, list[float]] = {name: [] for name in predictors}
        # In turn, so that another program's load meets all.
        for _ in range(_RUNS):
            for name, predict in predictors.items():
                start = time.perf_counter()
                predict(picture)
                times[name].append(time.perf_counter() - start)
    least = {name: 1e3 * min(taken) for name, taken in times.items()}
    return Stem(min(least, key=least.__getitem__), least)
