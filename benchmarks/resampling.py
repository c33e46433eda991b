"""The resampling of an augmentation, ours and Keras', on Keras' backend.

    KERAS_BACKEND=jax python benchmarks/resampling.py --out resampling.csv

Batches are turned, zoomed and shifted as by `light`, in turns; compiled, but on
PyTorch.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from kerafer.datasets.augmentation import resample, resample_by_keras
from kerafer.engine import backend_name, load_backend
from kerafer.files import write_text
from kerafer.timing import interleaved_median
from kerafer.training.speed import random_images
from kerafer.versions import versions

# Pixels and images a batch.
BATCHES = ((224, 32), (48, 128))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="", help="told in the CSV")
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    load_backend()
    rows = []
    for size, count in BATCHES:
        images, _ = random_images(count, size)
        inputs = ops.convert_to_tensor(images, "float32")
        origins = ops.convert_to_tensor(_origins(size, count))
        ways = {
            "kerafer": _compiled(resample, inputs, origins),
            "Keras": _compiled(resample_by_keras, inputs, origins),
        }
        far = abs(ways["kerafer"]() - ways["Keras"]()).max()
        seconds = interleaved_median(ways, parsed.repeats, warm_up=1)
        rows += [
            {
                "backend": backend_name(),
                "image_size": size,
                "batch_size": count,
                "way": way,
                "milliseconds": round(1000.0 * one, 2),
                "largest_difference": round(float(far), 4),
                "repeats": parsed.repeats,
                **versions(),
                "device": parsed.device or None,
            }
            for way, one in seconds.items()
        ]
    table = pd.DataFrame(rows)
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    print(table.iloc[:, :6].to_string(index=False))


def _origins(size: int, count: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    zoom = generator.uniform(0.92, 1.08, count)
    angle = np.radians(generator.uniform(-8.0, 8.0, count))
    right, down = generator.uniform(-0.05, 0.05, (2, count)) * size
    cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
    centre = (size - 1) / 2
    numbers = [
        cosine,
        -sine,
        centre * (1 - cosine + sine) + right,
        sine,
        cosine,
        centre * (1 - sine - cosine) + down,
    ]
    return np.stack(numbers, axis=1).astype(np.float32)


def _compiled(
    function: Callable[[Any, Any], Any], images: Any, origins: Any
) -> Callable[[], np.ndarray]:
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        function = jax.jit(function)
    elif backend == "tensorflow":
        import tensorflow as tf

        function = tf.function(function)
    return lambda: ops.convert_to_numpy(function(images, origins))


if __name__ == "__main__":
    main()
