"""Training steps of kerafer and of PyTorch, in turns on one machine.

    python benchmarks/training_against_torch.py --torch-python \
        build/torch/bin/python --out docs/results/training_against_torch.csv

Every engine, model and precision is a process of its own that waits while
another computes; a turn is one step of each. The table gives medians.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd

from kerafer.files import write_text
from kerafer.training.precision import resolve_precision
from kerafer.versions import versions

HERE = Path(__file__).parent
# How many steps of each are timed.
STEPS = {"wca_mcnn": 40, "msc_wca_resnet18": 5}


class Engine:
    """A process that makes a training step when asked."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.parameters = int(self.process.stdout.readline())
        self.seconds: list[float] = []

    def step(self) -> None:
        """Make one, and keep how long it took."""
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        self.seconds.append(float(self.process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--models", default=",".join(STEPS))
    parser.add_argument("--precisions", default=",".join(_precisions()))
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out")
    parsed = parser.parse_args()
    rows = []
    for arch in parsed.models.split(","):
        for precision in parsed.precisions.split(","):
            rows += _measure(arch, precision, parsed)
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    if parsed.out:
        for name, value in versions().items():
            table[name] = value
        write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))


def _precisions() -> list[str]:
    """bfloat16 too, where the processor computes in it."""
    if resolve_precision("auto") == "mixed_bfloat16":
        return ["float32", "bfloat16"]
    return ["float32"]


def _measure(
    arch: str, precision: str, parsed: argparse.Namespace
) -> list[dict[str, object]]:
    asked = [
        arch,
        precision,
        *map(str, (parsed.batch_size, parsed.image_size, parsed.threads)),
    ]
    torch = [parsed.torch_python, str(HERE / "torch_steps.py"), *asked]
    engines = {
        "kerafer": Engine(
            [sys.executable, str(HERE / "keras_steps.py"), *asked]
        ),
        "torch, branches": Engine([*torch, "branches"]),
        "torch, fused stem": Engine([*torch, "fused"]),
    }
    # The first steps trace, allocate and choose kernels.
    steps = STEPS[arch]
    warm_up = max(2, steps // 10)
    for _ in range(warm_up + steps):
        for engine in engines.values():
            engine.step()
    medians = {
        name: statistics.median(engine.seconds[warm_up:])
        for name, engine in engines.items()
    }
    for engine in engines.values():
        engine.close()
    best = min(medians[name] for name in engines if name != "kerafer")
    return [
        {
            "model": arch,
            "precision": precision,
            "engine": name,
            "parameters": engine.parameters,
            "images_per_second": round(parsed.batch_size / medians[name], 2),
            "times_torchs_best": round(best / medians[name], 3),
            "steps": steps,
            "batch_size": parsed.batch_size,
            "image_size": parsed.image_size,
            "threads": parsed.threads,
        }
        for name, engine in engines.items()
    ]


if __name__ == "__main__":
    main()
