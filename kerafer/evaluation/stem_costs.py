"""What the forms of the multi-scale stem cost, counted and measured."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import keras

from kerafer.engine import load_tensorflow
from kerafer.evaluation.complexity import complexity
from kerafer.models import create_model, fuse
from kerafer.timing import interleaved_median

# Options of a model's builder, by the name of the form.
STEMS: dict[str, dict[str, Any]] = {
    "full": {},
    "dilated": {"kernel_sizes": (3, 3, 3), "dilation_rates": (1, 2, 3)},
    "depthwise": {"groups": 3},
    "one scale": {"kernel_sizes": 7},
    "stride_2": {"stem": "stride_2"},
}

MODELS = {
    "mcnn": ("full", "dilated", "depthwise", "one scale"),
    "msc_resnet18": tuple(STEMS),
}


def stem_costs(
    image_size: int, batch_size: int, repeats: int, threads: int = 2
) -> list[dict[str, object]]:
    """Count and time two models with every form of their stem.

    Each model is measured in a process of its own; within it the forms take
    turns. Colour images of noise, float32, TensorFlow.

    Args:
        image_size: Pixels.
        batch_size: Images of a training step.
        repeats: Timed runs of each.
        threads: That TensorFlow computes with. Defaults to 2.

    Returns:
        A row for each of `MODELS` and each of its forms, and for `fused`, the
        full one by `kerafer.models.fuse`: `arch`, `stem`, `parameters`
        (trainable), `stem_macs` (of all up to the first pooling) and `macs`
        by the article's counting, `inference_ms` (median of one image in a
        compiled function), `training_ms` (median of a step; none for `fused`,
        which nobody trains) and `threads`.
    """
    rows = []
    # A fresh process has no memory of others, and may set its threads.
    context = multiprocessing.get_context("spawn")
    for arch in MODELS:
        with context.Pool(1, initializer=load_tensorflow) as pool:
            rows += pool.apply(
                _measure, (arch, image_size, batch_size, repeats, threads)
            )
    return rows


def _measure(
    arch: str, image_size: int, batch_size: int, repeats: int, threads: int
) -> list[dict[str, object]]:
    import tensorflow as tf

    from kerafer.training.speed import training_step

    # One function a form is no retracing of one function.
    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    shape = (image_size, image_size, 3)
    models = {
        name: create_model(arch, 7, shape, **STEMS[name])
        for name in MODELS[arch]
    }
    models["fused"] = fuse(models["full"])
    counts = {name: count_stem(model) for name, model in models.items()}
    answering = interleaved_median(
        {name: _inference(model) for name, model in models.items()}, repeats
    )
    del models
    training = interleaved_median(
        {
            name: training_step(
                arch, image_size, batch_size, "float32", STEMS[name]
            )
            for name in MODELS[arch]
        },
        repeats,
        warm_up=2,
    )
    return [
        {
            "arch": arch,
            "stem": name,
            **counts[name],
            "inference_ms": round(1e3 * answering[name], 2),
            "training_ms": round(1e3 * training[name], 1)
            if name in training
            else None,
            "threads": threads,
        }
        for name in counts
    ]


def count_stem(model: keras.Model) -> dict[str, int]:
    """`parameters`, `stem_macs` and `macs` as in `stem_costs`."""
    names = [layer.name for layer in model.layers]
    last = "stem_scales" if "stem_scales" in names else "pool_1"
    stem = keras.Model(model.input, model.get_layer(last).output)
    whole = complexity(model)
    return {
        "parameters": whole.parameters,
        "stem_macs": complexity(stem).macs,
        "macs": whole.macs,
    }


def _inference(model: keras.Model) -> Callable[[], object]:
    import tensorflow as tf

    from kerafer.training.speed import random_images

    images, _ = random_images(1, model.input_shape[1])
    image = tf.constant(images, tf.float32)
    function = tf.function(lambda batch: model(batch, training=False))
    return lambda: function(image)
