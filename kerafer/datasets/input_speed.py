"""How many images a second the input delivers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops
from PIL import Image

from kerafer.console import console
from kerafer.datasets.augmentation import POLICIES, make_augmentation
from kerafer.datasets.cores import available_cores
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.decoded import decode
from kerafer.datasets.pipeline import TrainingBatches
from kerafer.datasets.synthetic import load_synthetic
from kerafer.images import read_image, resize
from kerafer.timing import interleaved_median

# Height and width of KDEF's images.
_HEIGHT, _WIDTH = 762, 562


def input_speed(
    image_size: int = 224,
    batch_size: int = 32,
    repeats: int = 5,
    count: int = 128,
) -> list[dict[str, object]]:
    """Time decoding, cropping and the training batches, in turns.

    What is decoded are synthetic faces, JPEG files of KDEF's 562 x 762 pixels;
    a training does it once and keeps the result. The batches are made of
    decoded images in every epoch, with each policy of augmentation.

    Args:
        image_size: Height and width of the result, pixels. Defaults to 224.
        batch_size: Images a batch. Defaults to 32.
        repeats: Timed runs of each, after one that does not count; the median
            counts. Defaults to 5.
        count: In a run of each. Defaults to 128.

    Returns:
        A row each: `what`, `images_per_second`, `milliseconds_per_image`,
        `threads` (the cores that this process may use).
    """
    # Their progress is not what one wants to see.
    with tempfile.TemporaryDirectory() as folder, console.capture():
        dataset = _photographs(Path(folder), count)
        box = (_WIDTH // 4, _HEIGHT // 4, _WIDTH // 2, _HEIGHT // 2)
        images = decode(dataset, image_size)
        runs: dict[str, Callable[[], object]] = {
            "decode": lambda: decode(dataset, image_size),
            "decode and crop": lambda: decode(
                dataset, image_size, boxes=[box] * count
            ),
        }
        for policy in POLICIES:
            runs[f"augment {policy}"] = _epoch(images, batch_size, policy)
        taken = interleaved_median(runs, repeats, warm_up=1)
    return [
        {
            "what": name,
            "images_per_second": round(count / seconds, 1),
            "milliseconds_per_image": round(1000 * seconds / count, 3),
            "threads": available_cores(),
        }
        for name, seconds in taken.items()
    ]


def _photographs(folder: Path, count: int) -> Dataset:
    """Files without a fingerprint, which `decode` decodes every time."""
    drawn = load_synthetic(people=1, image_size=_WIDTH)
    paths = drawn.manifest["path"].tolist()
    names = [f"{index}.jpg" for index in range(count)]
    for index, name in enumerate(names[: len(paths)]):
        face = resize(drawn.read_image(paths[index]), (_HEIGHT, _WIDTH))
        Image.fromarray(face).save(folder / name, quality=90)
    manifest = pd.DataFrame({"path": names, "label": "face"})
    return Dataset(
        "drawn",
        manifest,
        ("face",),
        read=lambda name: read_image(
            folder / f"{int(name.removesuffix('.jpg')) % len(paths)}.jpg"
        ),
    )


def _epoch(
    images: np.ndarray, batch_size: int, policy: str
) -> Callable[[], object]:
    targets = np.ones((len(images), 1), np.float32)
    batches = TrainingBatches(images, targets, batch_size, 0)
    change = make_augmentation(policy)
    random = keras.random.SeedGenerator(0)

    def changed(images: Any) -> Any:
        return images if change is None else change(images, random)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        changed = tf.function(changed)

    def epoch() -> list[object]:
        # The last is what all others wait for.
        return [
            ops.convert_to_numpy(changed(ops.convert_to_tensor(images)))[0, 0]
            for images, _ in (batches[i] for i in range(len(batches)))
        ]

    return epoch
