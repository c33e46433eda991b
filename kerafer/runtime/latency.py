"""How long exported files take for one image, and what they need."""

from __future__ import annotations

import datetime
import multiprocessing
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from kerafer.errors import UserError
from kerafer.export.predictors import Predictor, predictor
from kerafer.files import size
from kerafer.versions import processor

_WARM_UP = 5


def measure(
    folder: Path,
    model: Path | None = None,
    threads: Iterable[int] = (1, 2),
    runs: int = 100,
) -> pd.DataFrame:
    """Time every file of an export, each in a process of its own.

    Args:
        folder: Of an export.
        model: A `.keras` file, to time the Keras model beside them as a
            compiled TensorFlow function. Defaults to none.
        threads: Counts to compute with. Defaults to 1 and 2.
        runs: Images a file and count of threads. Defaults to 100.

    Returns:
        A row for each file and count: `file`, `threads`, `median_ms`,
        `p95_ms`, `load_ms`, `peak_mb` (of the process less what it held before
        loading), `mb` (of the file), `operators`, `delegated` (how many of
        them XNNPACK takes), `partitions` (in how many pieces), `date` and
        `processor`.

    Raises:
        UserError: Where there is no export.
    """
    golden = folder / "golden.npz"
    if not golden.is_file():
        raise UserError(
            f"Latency is measured of an export. There is none in {folder}."
        )
    with np.load(golden) as arrays:
        images = arrays["images"]
    paths = sorted(folder.glob("*.tflite"))
    paths += [folder / name for name in ("saved_model", "model.onnx")]
    paths = [path for path in paths if path.exists()]
    rows = []
    # A fresh process has no memory and no threads of others.
    context = multiprocessing.get_context("spawn")
    for path in [*paths, *([model] if model else [])]:
        for count in threads:
            with context.Pool(1) as pool:
                row = pool.apply(_measure_one, (path, count, runs, images))
            rows.append({"file": path.name, "threads": count, **row})
    table = pd.DataFrame(rows)
    return table.assign(
        date=datetime.date.today().isoformat(), processor=processor()
    )


def _measure_one(
    path: Path, threads: int, runs: int, images: np.ndarray
) -> dict[str, float | int | None]:
    load = _engine(path, threads)
    before = _peak_mb()
    start = time.perf_counter()
    predict = load()
    predict(images[0])
    load_ms = 1e3 * (time.perf_counter() - start)
    times = []
    for run in range(_WARM_UP + runs):
        image = images[run % len(images)]
        start = time.perf_counter()
        predict(image)
        times.append(1e3 * (time.perf_counter() - start))
    times = times[_WARM_UP:]
    return {
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "load_ms": load_ms,
        "peak_mb": _peak_mb() - before,
        "mb": size(path) / 1e6,
        **(_delegation(path, threads) if path.suffix == ".tflite" else {}),
    }


def _engine(path: Path, threads: int) -> Callable[[], Predictor]:
    """What loads the file; the packages that run it are imported already."""
    if path.suffix == ".tflite":
        import ai_edge_litert.interpreter  # noqa: F401
    elif path.suffix == ".onnx":
        import onnxruntime  # noqa: F401
    else:
        from kerafer.engine import load_tensorflow

        load_tensorflow()
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        if path.suffix == ".keras":
            import kerafer.models  # noqa: F401

            return lambda: _keras(path)
    return lambda: predictor(path, threads)


def _keras(path: Path) -> Predictor:
    import tensorflow as tf

    from kerafer.models import load_model

    model = load_model(path)
    function = tf.function(lambda images: model(images, training=False))
    return lambda image: [function(tf.constant(image[None])).numpy()[0]]


def _peak_mb() -> float:
    """The most memory this process has held, in 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would count the parent's memory at the fork.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def _delegation(path: Path, threads: int) -> dict[str, int]:
    """How much of a graph XNNPACK takes.

    The interpreter lists the operations of the file and behind them one
    DELEGATE for each piece; a piece is what lies between its tensors.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    listed = interpreter._get_ops_details()
    pieces = [op for op in listed if op["op_name"] == "DELEGATE"]
    plain = [op for op in listed if op["op_name"] != "DELEGATE"]
    made = {tensor: op for op in plain for tensor in op["outputs"]}
    taken = set()
    for piece in pieces:
        inside = set(piece["inputs"])
        waiting = list(piece["outputs"])
        while waiting:
            tensor = waiting.pop()
            if tensor in inside or tensor not in made:
                continue
            inside.add(tensor)
            taken.add(made[tensor]["index"])
            waiting += list(made[tensor]["inputs"])
    return {
        "operators": len(plain),
        "delegated": len(taken),
        "partitions": len(pieces),
    }
