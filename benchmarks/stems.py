"""Count and time two models with each form of their multi-scale stem.

    python benchmarks/stems.py --out docs/results/stems.csv

Colour images of noise, float32, TensorFlow; medians, the forms in turns. `macs`
and `stem_macs` (up to the first pooling) use the article's counting.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
from keras_steps import make_step

from kerafer.engine import load_tensorflow
from kerafer.files import write_text
from kerafer.versions import versions

if TYPE_CHECKING:
    import keras

STEMS = {
    "full": {},
    "dilated": {"kernel_sizes": (3, 3, 3), "dilation_rates": (1, 2, 3)},
    "depthwise": {"groups": 3},
    "one scale": {"kernel_sizes": 7},
    "stride_2": {"stem": "stride_2"},
}
FORMS = {
    "mcnn": ("full", "dilated", "depthwise", "one scale"),
    "msc_resnet18": tuple(STEMS),
}
SIZE, BATCH, THREADS = 224, 8, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out")
    parsed = parser.parse_args()
    load_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rows = [row for arch in FORMS for row in measure(arch, parsed.repeats)]
    table = pd.DataFrame(rows).assign(
        threads=THREADS, image_size=SIZE, batch_size=BATCH, **versions()
    )
    print(table.iloc[:, :7].to_string(index=False))
    if parsed.out:
        write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))


def measure(arch: str, repeats: int) -> list[dict]:
    """Return a row for each form of a model's stem."""
    import tensorflow as tf

    from kerafer.models import create_model

    shape = (SIZE, SIZE, 3)
    models = {
        form: create_model(arch, 7, shape, **STEMS[form])
        for form in FORMS[arch]
    }
    image = tf.random.uniform((1, *shape), 0, 255)
    predict = {
        form: tf.function(lambda m=model: m(image, training=False))
        for form, model in models.items()
    }
    train = {
        form: make_step(arch, "float32", BATCH, SIZE, **STEMS[form])[1]
        for form in FORMS[arch]
    }
    predicting, training = medians(predict, repeats), medians(train, repeats)
    return [
        {
            "arch": arch,
            "stem": form,
            **count(model),
            "inference_ms": predicting[form],
            "training_ms": training.get(form),
        }
        for form, model in models.items()
    ]


def count(model: keras.Model) -> dict[str, int]:
    """Return the trainable parameters and the multiply-adds of a model."""
    import keras

    from kerafer.evaluation import complexity

    names = [layer.name for layer in model.layers]
    last = "stem_scales" if "stem_scales" in names else "pool_1"
    stem = keras.Model(model.input, model.get_layer(last).output)
    parameters, macs = complexity(model)
    return {
        "parameters": parameters,
        "stem_macs": complexity(stem).macs,
        "macs": macs,
    }


def medians(
    functions: dict[str, Callable[[], object]], repeats: int
) -> dict[str, float]:
    """Return milliseconds of each, called in turns."""
    import tensorflow as tf

    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(2 + repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            tf.nest.map_structure(tf.convert_to_tensor, function())
            taken[name].append(1000 * (time.perf_counter() - began))
    return {n: round(statistics.median(t[2:]), 2) for n, t in taken.items()}


if __name__ == "__main__":
    main()
