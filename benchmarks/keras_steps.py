"""Run training steps of kerafer, one for each line on standard input.

    python keras_steps.py ARCH PRECISION BATCH SIZE THREADS

Prints the number of parameters first, then the seconds of each step. A step is
that of `model.fit`, on a batch in memory.
"""

import sys
import time
from collections.abc import Callable

from kerafer.engine import load_tensorflow


def make_step(
    arch: str, precision: str, batch: int, size: int, **options: object
) -> tuple[int, Callable[[], object]]:
    """Build a model; return its number of parameters and a training step."""
    import keras
    import numpy as np

    from kerafer.models import create_model
    from kerafer.training.config import TrainingConfig
    from kerafer.training.losses import make_objective
    from kerafer.training.optimizer import make_optimizer
    from kerafer.training.trainer import Trainer

    keras.config.set_dtype_policy(precision)
    model = create_model(arch, 7, (size, size, 3), **options)
    config = TrainingConfig(arch=arch)
    trainer = Trainer(model, make_objective(config))
    trainer.compile(optimizer=make_optimizer(config, 1))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch, size, size, 3), np.uint8)
    x = keras.ops.convert_to_tensor(images)
    y = keras.ops.one_hot(np.arange(batch) % 7, 7)
    return model.count_params(), lambda: trainer.train_on_batch(x, y)


def main() -> None:
    arch, precision, batch, size, threads = sys.argv[1:]
    load_tensorflow()
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]
    parameters, step = make_step(arch, policy, int(batch), int(size))
    print(parameters, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        tf.nest.map_structure(np.asarray, step())
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
