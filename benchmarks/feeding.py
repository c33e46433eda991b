"""How a training's steps are called and fed, on Keras' backend of this process.

    KERAS_BACKEND=jax python benchmarks/feeding.py --out feeding.csv

Epochs of one model are timed in turns, with `light` augmentation: batches that
are gathered when they are needed, and ahead, by two threads; on TensorFlow also
several steps a call by Keras' `steps_per_execution`; on JAX several a call with
the images on the device (`kerafer.datasets.device` chooses how many).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from kerafer.datasets.augmentation import make_augmentation
from kerafer.datasets.pipeline import TrainingBatches
from kerafer.engine import backend_name, load_backend
from kerafer.files import write_text
from kerafer.models import create_model
from kerafer.timing import interleaved_median
from kerafer.training.config import TrainingConfig
from kerafer.training.objective import make_objective
from kerafer.training.optimizer import make_optimizer
from kerafer.training.precision import resolve_precision
from kerafer.training.scope import training_settings
from kerafer.training.speed import random_images
from kerafer.training.trainer import Trainer
from kerafer.versions import versions

# Of different images; an epoch shows them again and again.
IMAGES = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--arch", default="kerafer_edge")
    parser.add_argument("--image-size", type=int, default=48)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument(
        "--together",
        default="1,8,32,128",
        help="how many steps a call; PyTorch takes one",
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="", help="told in the CSV")
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    load_backend()
    precision = resolve_precision("auto")
    with training_settings(0, False, precision):
        seconds = interleaved_median(_epochs(parsed), parsed.repeats, warm_up=1)
    images = parsed.steps * parsed.batch_size
    table = pd.DataFrame(
        {
            "fed": list(seconds),
            "images_per_second": [
                round(images / one, 1) for one in seconds.values()
            ],
        }
    ).assign(
        backend=backend_name(),
        model=parsed.arch,
        image_size=parsed.image_size,
        batch_size=parsed.batch_size,
        steps=parsed.steps,
        repeats=parsed.repeats,
        precision=precision,
        **versions(),
        device=parsed.device or None,
    )
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    print(table[["fed", "images_per_second"]].to_string(index=False))


def _epochs(parsed: argparse.Namespace) -> dict[str, Callable[[], object]]:
    images, labels = random_images(IMAGES, parsed.image_size)
    targets = np.eye(7, dtype=np.float32)[labels]
    rows = np.resize(np.arange(IMAGES), parsed.steps * parsed.batch_size)
    config = TrainingConfig(arch=parsed.arch, image_size=parsed.image_size)

    def epoch(workers: int, held: bool, together: int) -> Callable[[], object]:
        trainer = Trainer(
            create_model(parsed.arch, 7, images.shape[1:]),
            make_objective(config),
            augmentation=make_augmentation("light"),
            held=images if held else None,
        )
        # Held images' steps are joined by the batches.
        trainer.compile(
            optimizer=make_optimizer(config, 1),
            steps_per_execution=1 if held else together,
        )
        batches = TrainingBatches(
            images,
            targets,
            parsed.batch_size,
            0,
            rows,
            by_row=held,
            together=together if held else 1,
        )
        batches.workers = workers
        return lambda: trainer.fit(batches, shuffle=False, verbose=0).epoch

    backend = keras.backend.backend()
    epochs = {
        "gathered when needed": epoch(1, False, 1),
        "gathered ahead by two threads": epoch(2, False, 1),
    }
    for count in map(int, parsed.together.split(",")):
        if backend == "jax":
            name = f"images on the device, {count} steps a call"
            epochs[name] = epoch(1, True, count)
        elif backend == "tensorflow" and count > 1:
            epochs[f"{count} steps a call"] = epoch(1, False, count)
    return epochs


if __name__ == "__main__":
    main()
