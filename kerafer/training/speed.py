"""How many images a second this machine trains on, and where time goes."""

from __future__ import annotations

import contextlib
import math
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.datasets.augmentation import Augmentation, make_augmentation
from kerafer.datasets.cores import available_cores
from kerafer.datasets.device import fits_on_device, steps_together
from kerafer.datasets.pipeline import Batches, TrainingBatches
from kerafer.layers import MultiScaleConv2D
from kerafer.models import create_model
from kerafer.timing import interleaved_median
from kerafer.training.config import TrainingConfig
from kerafer.training.objective import make_objective
from kerafer.training.optimizer import make_optimizer
from kerafer.training.scope import training_settings
from kerafer.training.trainer import Trainer

# An epoch that is timed lasts about as long, so that its start hardly counts.
_SECONDS = 1.0

Functions = tuple[Callable[[], object], Callable[[], object]]


def training_step(
    arch: str,
    image_size: int,
    batch_size: int,
    precision: str,
    options: dict[str, object] | None = None,
) -> Callable[[], object]:
    """One step of a training on a batch that is in memory already.

    Args:
        arch: A model's name.
        image_size: Pixels.
        batch_size: Images.
        precision: A Keras dtype policy.
        options: Of the model's builder. Defaults to none.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        shape = (image_size, image_size, 3)
        model = create_model(arch, 7, shape, **(options or {}))
        config = TrainingConfig(arch=arch)
        trainer = Trainer(model, make_objective(config))
        trainer.compile(optimizer=make_optimizer(config, 1))
    finally:
        keras.config.set_dtype_policy(before)
    images, labels = random_images(batch_size, image_size)
    x = ops.convert_to_tensor(images)
    y = ops.one_hot(labels, 7)
    return lambda: trainer.train_on_batch(x, y)


def step_parts(
    arch: str, image_size: int, batch_size: int, precision: str, repeats: int
) -> list[dict[str, object]]:
    """Time a training of `kerafer train`, with light augmentation, by parts.

    Whole epochs of `fit` and `evaluate` on random images are timed in turns;
    parts are differences between their medians. On an accelerator that can
    hold the images they lie there, as in a training.

    Args:
        arch: A model's name.
        image_size: Pixels.
        batch_size: Images a step.
        precision: A Keras dtype policy.
        repeats: Timed epochs of each kind.

    Returns:
        A row each for the step and its parts: `what`, `images_per_second` (of
        the step alone), `milliseconds_per_image`, `share` of the step and
        `utilisation` (of the step alone), both percent. What brings the
        images is measured alone; in a training it happens beside the rest.
    """
    busy = []
    with training_settings(0, False, precision):
        timed = _Timed(arch, image_size, batch_size)

        def step_watched() -> None:
            with _utilisation() as seen:
                timed.fit_augmented()
            busy.append(seen())

        epochs: dict[str, Callable[[], object]] = {
            "step": step_watched,
            "plain": timed.fit_plain,
            "forward": timed.evaluate,
            "images": timed.bring,
        }
        seconds = interleaved_median(epochs, repeats, warm_up=0)
    taken = {name: one / timed.images for name, one in seconds.items()}
    step = taken["step"]
    parts = {
        "forward": taken["forward"],
        "gradients and update": taken["plain"] - taken["forward"],
        "augmentation": step - taken["plain"],
        "bringing images, beside it": taken["images"],
    }
    first = _part(f"{arch} {precision}", step, step)
    first["images_per_second"] = round(1.0 / step, 1)
    first["utilisation"] = round(100.0 * statistics.median(busy))
    return [
        first,
        *(_part(f"  {name}", one, step) for name, one in parts.items()),
    ]


def _part(name: str, seconds: float, whole: float) -> dict[str, object]:
    return {
        "what": name,
        "images_per_second": None,
        "milliseconds_per_image": round(1000.0 * seconds, 4),
        "share": round(100.0 * seconds / whole),
        "utilisation": None,
    }


class _Timed:
    """Epochs of one model."""

    def __init__(self, arch: str, image_size: int, batch_size: int) -> None:
        config = TrainingConfig(
            arch=arch, image_size=image_size, batch_size=batch_size
        )
        images, labels = random_images(batch_size, image_size)
        targets = np.eye(7, dtype=np.float32)[labels]
        held = fits_on_device(images.nbytes)
        together = steps_together() if held else 1
        model = create_model(arch, 7, images.shape[1:])

        def trainer(change: Augmentation | None) -> Trainer:
            made = Trainer(
                model,
                make_objective(config),
                augmentation=change,
                held=images if held else None,
            )
            made.compile(optimizer=make_optimizer(config, 1))
            return made

        def training(steps: int) -> TrainingBatches:
            rows = np.resize(np.arange(batch_size), steps * batch_size)
            return TrainingBatches(
                images,
                targets,
                batch_size,
                0,
                rows,
                by_row=held,
                together=together,
            )

        self._augmented = trainer(make_augmentation("light"))
        self._plain = trainer(None)
        few = training(together)
        for made in (self._augmented, self._plain):
            made.fit(few, epochs=2, verbose=0)
        began = time.perf_counter()
        self._augmented.fit(few, verbose=0)
        seconds = (time.perf_counter() - began) / together
        steps = min(max(1, math.ceil(_SECONDS / seconds)), 256)
        steps += -steps % together
        self.images = steps * batch_size
        self._batches = training(steps)
        self._validation = Batches(
            images, targets, batch_size, self._batches.rows, by_row=held
        )
        self.evaluate()

    def fit_augmented(self) -> None:
        self._augmented.fit(self._batches, shuffle=False, verbose=0)

    def fit_plain(self) -> None:
        self._plain.fit(self._batches, shuffle=False, verbose=0)

    def evaluate(self) -> None:
        self._plain.evaluate(self._validation, verbose=0)

    def bring(self) -> None:
        for at in range(len(self._batches)):
            # One number of it is what all of it waits for.
            first = ops.convert_to_tensor(self._batches[at][0])
            ops.convert_to_numpy(ops.max(first))


@contextlib.contextmanager
def _utilisation() -> Iterator[Callable[[], float]]:
    """How busy the first GPU was inside, or the cores that may be used.

    Yields:
        A function to call afterwards; it returns a share, 0 to 1.
    """
    seen: list[float] = []
    over = threading.Event()
    command = shutil.which("nvidia-smi")

    def watch(command: str) -> None:
        words = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not over.wait(0.1):
            told = subprocess.run(
                [command, *words], capture_output=True, text=True, check=False
            ).stdout.split()
            if told and told[0].isdecimal():
                seen.append(int(told[0]) / 100.0)

    watcher = threading.Thread(target=watch, args=(command,), daemon=True)
    if command:
        watcher.start()
    began, spent = time.perf_counter(), time.process_time()
    ended: list[float] = []
    try:
        yield lambda: statistics.mean(seen) if seen else ended[0]
    finally:
        seconds = time.perf_counter() - began
        spent = time.process_time() - spent
        ended.append(spent / seconds / available_cores())
        over.set()
        if command:
            watcher.join()


def stem_steps(
    strides: int, image_size: int, batch_size: int
) -> dict[str, Callable[[], object]]:
    """Forward and gradient of the article's stem, fused and in branches.

    Args:
        strides: Of the stem, computed by Keras' backend of this process.
        image_size: Pixels.
        batch_size: Images.
    """
    images, _ = random_images(batch_size, image_size)
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
    import tensorflow as tf

    def gradient() -> list[Any]:
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


def random_images(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of shape `(count, size, size, 3)`, uint8, and labels 0 to 6."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, size, size, 3), np.uint8)
    return images, np.arange(count) % 7
