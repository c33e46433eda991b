"""How many images a second this machine trains on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerafer.layers import MultiScaleConv2D
from kerafer.models import create_model
from kerafer.training.fused_adam import FusedAdam

Functions = tuple[Callable[[], object], Callable[[], object]]


def median_seconds(
    functions: dict[str, Callable[[], object]], repeats: int, warm_up: int = 3
) -> dict[str, float]:
    """Time functions in turns, so that a slow minute falls on all of them.

    Args:
        functions: By name; each returns what is to be waited for.
        repeats: Of each.
        warm_up: Runs of each that do not count. Defaults to 3.

    Returns:
        Median seconds of each.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warm_up + repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            tf.nest.map_structure(np.asarray, function())
            if turn >= warm_up:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


def training_step(
    arch: str,
    image_size: int,
    batch_size: int,
    precision: str,
    options: dict[str, object] | None = None,
) -> Callable[[], object]:
    """One step of `model.fit` on a batch that is in memory already.

    Args:
        arch: A model's name.
        image_size: Pixels.
        batch_size: Pictures.
        precision: A Keras dtype policy.
        options: Of the model's builder. Defaults to none.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        shape = (image_size, image_size, 3)
        model = create_model(arch, 7, shape, **(options or {}))
        model.compile(FusedAdam(1e-4), "categorical_crossentropy")
    finally:
        keras.config.set_dtype_policy(before)
    images, labels = random_pictures(batch_size, image_size)
    batch = (tf.constant(images, tf.float32), tf.one_hot(labels, 7))
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    model.make_train_function()
    return lambda: model.train_function(batches)


def stem_steps(
    strides: int, image_size: int, batch_size: int
) -> dict[str, Callable[[], object]]:
    """Forward and gradient of the article's stem, fused and in branches.

    Args:
        strides: Of the stem, computed by Keras' backend of this process.
        image_size: Pixels.
        batch_size: Pictures.
    """
    images, _ = random_pictures(batch_size, image_size)
    inputs = keras.ops.convert_to_tensor(images, "float32")
    steps: dict[str, Callable[[], object]] = {}
    for name, fused in (("fused", True), ("branches", False)):
        layer = MultiScaleConv2D(64, strides=strides, fused=fused)
        layer.build(inputs.shape)
        forward, gradient = _FUNCTIONS[keras.backend.backend()](layer, inputs)
        steps[f"{name} forward"] = forward
        steps[f"{name} forward and gradient"] = gradient
    return steps


def _in_tensorflow(layer: keras.layers.Layer, inputs: Any) -> Functions:
    def gradient() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer(inputs)))
        weights = [v.value for v in layer.trainable_variables]
        return tape.gradient(loss, weights)

    return tf.function(lambda: tf.reduce_sum(layer(inputs))), tf.function(
        gradient
    )


def _in_jax(layer: keras.layers.Layer, inputs: Any) -> Functions:
    import jax

    def outputs(weights: list) -> Any:
        return layer.stateless_call(weights, [], inputs)[0]

    weights = [v.value for v in layer.trainable_variables]
    forward = jax.jit(lambda w: outputs(w).sum())
    gradient = jax.jit(jax.grad(lambda w: (outputs(w) ** 2).sum()))
    return lambda: forward(weights), lambda: gradient(weights)


def _in_torch(layer: keras.layers.Layer, inputs: Any) -> Functions:
    import torch

    weights = [v.value for v in layer.trainable_variables]

    def forward() -> Any:
        with torch.no_grad():
            return layer(inputs).sum()

    def gradient() -> Any:
        loss = (layer(inputs) ** 2).sum()
        return torch.autograd.grad(loss, weights)

    return forward, gradient


_FUNCTIONS = {
    "tensorflow": _in_tensorflow,
    "jax": _in_jax,
    "torch": _in_torch,
}


def random_pictures(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of shape `(count, size, size, 3)`, uint8, and labels 0 to 6."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, size, size, 3), np.uint8)
    return images, np.arange(count) % 7
