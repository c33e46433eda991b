"""`kerafer train` on a GPU, on JAX, and PyTorch beside it, in bfloat16.

    KERAS_BACKEND=jax python benchmarks/training_on_gpu.py --ferplus DIR \\
        --out docs/results/training_on_gpu.csv
    python benchmarks/training_on_gpu.py \\
        --table docs/results/training_on_gpu.csv

The first writes a row for every epoch, and for PyTorch, eager and compiled, the
median of its rounds on one batch that lies on the GPU; the second prints the
table of medians without each training's first epoch, which compiles.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from kerafer.files import write_text
from kerafer.versions import versions

NOISE = 14_000
# Model, pixels, channels, batch, augmentation, data set.
TRAININGS = (
    ("wca_mcnn", 224, 3, 256, "none", "folder"),
    ("wca_mcnn", 224, 3, 256, "light", "folder"),
    ("msc_wca_resnet18", 224, 3, 128, "none", "folder"),
    ("msc_wca_resnet18", 48, 1, 128, "light", "ferplus"),
)
SETTING = ["model", "image_size", "channels", "batch_size", "augment"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ferplus", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=NOISE, help="of noise")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path)
    parsed = parser.parse_args()
    if parsed.table:
        print(_markdown(pd.read_csv(parsed.table)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        noise = Path(folder) / "noise"
        _draw_noise(noise, parsed.images)
        places = {"folder": noise, "ferplus": parsed.ferplus}
        for number, training in enumerate(TRAININGS):
            if places[training[-1]] is not None:
                run = Path(folder) / str(number)
                rows += _train(training, places[training[-1]], run, parsed)
    rows += _pytorch()
    # PyTorch's rows have no epoch; others' stay whole numbers.
    table = pd.DataFrame(rows).convert_dtypes()
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    print(_markdown(pd.read_csv(parsed.out)))


def _draw_noise(folder: Path, count: int) -> None:
    import cv2

    for index in range(count):
        generator = np.random.default_rng(index)
        coarse = generator.integers(0, 256, (28, 28, 3), np.uint8)
        place = folder / f"c{index % 7}"
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(
            str(place / f"{index}.jpg"),
            cv2.resize(coarse, (224, 224)),
            [cv2.IMWRITE_JPEG_QUALITY, 80],
        )


def _train(
    training: tuple, data: Path, run: Path, parsed: argparse.Namespace
) -> list[dict[str, object]]:
    arch, size, channels, batch, augment, dataset = training
    subprocess.run(
        [
            *(sys.executable, "-m", "kerafer", "train", "--arch", arch),
            *("--dataset", dataset, "--data-dir", str(data), "--augment"),
            *(augment, "--image-size", str(size), "--channels", str(channels)),
            *("--batch-size", str(batch), "--epochs", str(parsed.epochs)),
            *("--precision", "mixed_bfloat16", "--out", str(run)),
        ],
        check=True,
    )
    facts = versions()
    history = pd.read_csv(run / "history.csv")
    return [
        {
            "engine": f"kerafer train, {os.environ['KERAS_BACKEND']}",
            **dict(zip(SETTING, training, strict=False)),
            "data": f"noise, {parsed.images:,} images"
            if dataset == "folder"
            else dataset,
            "epoch": epoch,
            "images_per_second": round(speed),
            "precision": "mixed_bfloat16",
            "seed": 0,
            "versions": "; ".join(
                f"{name} {facts[name]}"
                for name in ("kerafer", "keras", "jax", "python")
                if name in facts
            ),
            "device": _device(),
        }
        for epoch, speed in enumerate(history["images_per_second"], 1)
    ]


def _device() -> str:
    import torch

    name = "no GPU"
    if torch.cuda.is_available():
        name = f"one {torch.cuda.get_device_name()}"
    return f"{name}, {os.cpu_count()} cores"


def _pytorch(steps: int = 50, rounds: int = 5) -> list[dict[str, object]]:
    import torch
    from torch_steps import make_step

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    rows = []
    for training in TRAININGS:
        arch, size, channels, batch, augment, _ = training
        if channels != 3 or augment != "none":
            continue
        for engine in ("eager", "compiled"):
            _, step = make_step(
                *(arch, "bfloat16", batch, size, "fused", device),
                engine == "compiled",
            )
            for _ in range(10):
                step().item()
            taken = []
            for _ in range(rounds):
                began = time.perf_counter()
                for _ in range(steps):
                    loss = step()
                # All steps before it are over when it is there.
                loss.item()
                taken.append((time.perf_counter() - began) / steps)
            speed = round(batch / statistics.median(taken))
            rows.append(
                {
                    "engine": f"PyTorch {engine}",
                    **dict(zip(SETTING, training, strict=False)),
                    "data": "one batch of noise",
                    "images_per_second": speed,
                    "precision": "autocast bfloat16",
                    "versions": f"torch {torch.__version__}",
                    "device": _device(),
                }
            )
    return rows


def _markdown(table: pd.DataFrame) -> str:
    """Medians of the trainings, PyTorch's beside those without changes."""
    medians = (
        table[table["epoch"] != 1]
        .groupby([*SETTING, "engine"])["images_per_second"]
        .median()
        .unstack()
    )
    (ours,) = (name for name in medians if name.startswith("kerafer"))
    lines = [
        "| model | pixels | channels | batch | `--augment` | images/s "
        "| PyTorch eager | compiled |",
        "|---|---:|---:|---:|---|---:|---:|---:|",
    ]
    for setting, row in medians.iterrows():
        model, *others = setting
        cells = [f"`{model}`", *map(str, others), f"{row[ours]:,.0f}"]
        for engine in ("PyTorch eager", "PyTorch compiled"):
            speed = row.get(engine)
            cells.append(
                ""
                if pd.isna(speed)
                else f"{speed:,.0f} ({row[ours] / speed:.2f} times)"
            )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
