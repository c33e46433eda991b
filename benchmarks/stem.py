"""Time MultiScaleConv2D as one convolution and as branches.

    OMP_NUM_THREADS=1 python benchmarks/stem.py --out docs/results/stem.csv
    KERAS_BACKEND=jax python benchmarks/stem.py --out docs/results/stem.csv

Both forms run in turns, so that other work on the machine slows both. The
ratio is the median over the turns of branches / fused: above 1 the fused form
is faster. `cpu_ratio` is the same of processor time, which other work changes
least. Rows of another backend, precision or number of threads are kept.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SIZES = {"layer": 112, "wca_mcnn": 224, "kerafer_edge": 64, "msc_resnet18": 64}
BATCH = 8
# By whether the layer is fused.
Forms = dict[bool, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--models", nargs="*", default=list(SIZES))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={arguments.threads > 1}".lower()
    )
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.config.set_dtype_policy(arguments.precision)
    for name in arguments.models:
        for what, forms in cases(name):
            row = {
                "backend": keras.backend.backend(),
                "precision": arguments.precision,
                "threads": arguments.threads,
                "what": what,
                "image_size": SIZES[name],
                "batch_size": BATCH,
                **compare(forms, arguments.repeats),
            }
            print(row, flush=True)
            add_row(arguments.out, row)


def cases(name: str) -> Iterator[tuple[str, Forms]]:
    """Yield what is timed, with its two forms."""
    import keras
    import numpy as np

    from kerafer.layers import MultiScaleConv2D
    from kerafer.models import create_model

    size = SIZES[name]
    images = np.random.default_rng(0).integers(
        0, 256, (BATCH, size, size, 3), np.uint8
    )
    if name == "layer":
        for strides in (4, 2, 1):
            forms = {}
            for fused in (True, False):
                inputs = keras.Input((size, size, 3))
                layer = MultiScaleConv2D(64, strides=strides, fused=fused)
                x = keras.layers.GlobalAveragePooling2D()(layer(inputs))
                forms[fused] = keras.Model(inputs, x)
            yield from steps(f"stride {strides}", forms, images)
        return
    forms = {}
    for fused in (True, False):
        forms[fused] = create_model(name, 7, (size, size, 3))
        forms[fused].get_layer("stem").fused = fused
    yield from steps(name, forms, images)


def steps(
    name: str, models: dict[bool, Any], images: Any
) -> Iterator[tuple[str, Forms]]:
    """Inference and a training step of two models."""
    import keras
    import numpy as np

    x = keras.ops.convert_to_tensor(images, "float32")
    inference, training = {}, {}
    for fused, model in models.items():
        y = keras.ops.convert_to_tensor(
            np.ones((BATCH, model.output_shape[-1]), "float32") / 7
        )
        # As kerafer trains: TensorFlow without XLA.
        jit = keras.backend.backend() == "jax"
        model.compile(keras.optimizers.Adam(1e-4), "mse", jit_compile=jit)
        inference[fused] = lambda model=model: model.predict_on_batch(x)
        training[fused] = lambda model=model, y=y: float(
            model.train_on_batch(x, y)
        )
    yield f"{name}, inference", inference
    yield f"{name}, training", training


def compare(forms: Forms, repeats: int) -> dict[str, object]:
    """Run both forms in turns, first one first, then the other."""
    for form in forms.values():
        form()
        form()
    taken: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for turn in range(repeats):
        for fused in (turn % 2 == 0, turn % 2 == 1):
            began, cpu = time.perf_counter(), time.process_time()
            forms[fused]()
            taken[fused].append(
                (time.perf_counter() - began, time.process_time() - cpu)
            )
    pairs = list(zip(taken[False], taken[True], strict=True))
    fused, branches = (
        1000 * statistics.median(wall for wall, _ in taken[form]) / BATCH
        for form in (True, False)
    )
    return {
        "fused_ms": round(fused, 3),
        "branches_ms": round(branches, 3),
        "ratio": round(statistics.median(b[0] / f[0] for b, f in pairs), 3),
        "cpu_ratio": round(statistics.median(b[1] / f[1] for b, f in pairs), 3),
        "repeats": repeats,
        "load": round(os.getloadavg()[0], 1),
        "processor": processor(),
    }


def processor() -> str:
    """Name of the processor, with the instructions that matter here."""
    text = Path("/proc/cpuinfo").read_text("utf-8")
    model = text.split("model name")[1].splitlines()[0].strip("\t :")
    flags = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return " ".join([model, *(flag for flag in flags if f" {flag} " in text)])


def add_row(file: Path, row: dict[str, object]) -> None:
    import pandas as pd

    key = ["backend", "precision", "threads", "what"]
    table = pd.DataFrame([row])
    if file.exists():
        table = pd.concat([pd.read_csv(file), table])
    table.drop_duplicates(key, keep="last").to_csv(file, index=False)


main()
