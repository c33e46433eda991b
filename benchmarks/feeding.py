"""How a training's steps are called and fed, on Keras' backend of this process.

    KERAS_BACKEND=jax python benchmarks/feeding.py --out feeding.csv

Epochs of one model are timed in turns. On JAX, with the images on the device:
1 to 128 steps in one call (`kerafer.training.device` chooses). On every
backend, with the images in memory: batches that are gathered when they are
needed, and ahead, by threads. On TensorFlow also Keras' own
`steps_per_execution`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from kerafer.data.augmentation import make_augmentation
from kerafer.data.pipeline import TrainingBatches
from kerafer.engine import backend_name, load_backend
from kerafer.files import write_text
from kerafer.models import create_model
from kerafer.timing import interleaved_median
from kerafer.training.config import TrainingConfig
from kerafer.training.objective import make_objective
from kerafer.training.optimizer import make_optimizer
from kerafer.training.precision import resolve_precision
from kerafer.training.scope import training_settings
from kerafer.training.trainer import Trainer
from kerafer.versions import versions

TOGETHER = (1, 4, 16, 32, 64, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--arch", default="kerafer_edge")
    parser.add_argument("--image-size", type=int, default=48)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="", help="told in the CSV")
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    load_backend()
    precision = resolve_precision("auto")
    with training_settings(0, False, precision):
        epochs = _epochs(parsed)
        seconds = interleaved_median(epochs, parsed.repeats, warm_up=1)
    images = parsed.steps * parsed.batch_size
    facts = {
        "backend": backend_name(),
        "model": parsed.arch,
        "image_size": parsed.image_size,
        "batch_size": parsed.batch_size,
        "steps": parsed.steps,
        "precision": precision,
    }
    found = pd.DataFrame(
        [
            facts | {"fed": name, "images_per_second": round(images / one, 1)}
            for name, one in seconds.items()
        ]
    )
    found = found.assign(**versions(), device=parsed.device)
    write_text(parsed.out, found.to_csv(index=False, lineterminator="\n"))
    print(found[["fed", "images_per_second"]].to_string(index=False))


def _epochs(parsed: argparse.Namespace) -> dict:
    shape = (parsed.image_size, parsed.image_size, 1)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (4096, *shape), np.uint8)
    targets = np.eye(7, dtype=np.float32)[np.arange(len(images)) % 7]
    rows = np.resize(np.arange(len(images)), parsed.steps * parsed.batch_size)
    config = TrainingConfig(arch=parsed.arch, image_size=parsed.image_size)

    def epoch(
        held: bool, together: int, ahead: bool, execution: int = 1
    ) -> Callable[[], object]:
        trainer = Trainer(
            create_model(parsed.arch, 7, shape),
            make_objective(config),
            augmentation=make_augmentation("light"),
            held=images if held else None,
        )
        trainer.compile(
            optimizer=make_optimizer(config, 1), steps_per_execution=execution
        )
        batches = TrainingBatches(
            images,
            targets,
            parsed.batch_size,
            0,
            rows,
            by_row=held,
            together=together,
        )
        batches.workers = 2 if ahead else 1
        return lambda: trainer.fit(batches, shuffle=False, verbose=0).epoch

    epochs = {
        "gathered when needed": epoch(False, 1, False),
        "gathered ahead, two threads": epoch(False, 1, True),
    }
    if keras.backend.backend() == "tensorflow":
        for count in (8, 32):
            name = f"steps_per_execution {count}"
            epochs[name] = epoch(False, 1, False, count)
    if keras.backend.backend() == "jax":
        for count in TOGETHER:
            name = f"on the device, {count} steps a call"
            epochs[name] = epoch(True, count, False)
    return epochs


if __name__ == "__main__":
    main()
