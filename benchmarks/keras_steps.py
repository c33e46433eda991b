"""Training steps of kerafer, one for each line on standard input.

    python keras_steps.py ARCH PRECISION BATCH SIZE THREADS

Answers the parameters first, then the seconds that each step took. A step is
that of `model.fit`, on a batch in memory.
"""

import sys
import time

from kerafer.engine import load_tensorflow


def main() -> None:
    arch, precision, batch, size, threads = sys.argv[1:]
    load_tensorflow()
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from kerafer.models import create_model
    from kerafer.training.speed import training_step

    shape = (int(size), int(size), 3)
    print(create_model(arch, 7, shape).count_params(), flush=True)
    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]
    step = training_step(arch, int(size), int(batch), policy)
    for _ in sys.stdin:
        began = time.perf_counter()
        tf.nest.map_structure(np.asarray, step())
        print(time.perf_counter() - began, flush=True)


main()
