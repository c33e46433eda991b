"""Seconds from a command to its first result, each in a new process.

    python benchmarks/start_up.py --out docs/results/start_up.csv

`first step` is `kerafer train --arch wca_mcnn --dataset synthetic` until its
first training step at 224 pixels is done; the images were decoded before.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from kerafer.files import write_text
from kerafer.versions import versions

FIRST_STEP = "train --arch wca_mcnn --dataset synthetic --subjects 20 --out"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out")
    parsed = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "import kerafer": ["-c", "import kerafer"],
            "kerafer --help": ["-m", "kerafer", "--help"],
            "first step": [__file__, "first-step", folder],
        }
        # The first of each is not counted: it fills caches.
        seconds = [
            {name: _seconds(words) for name, words in commands.items()}
            for _ in range(parsed.repeats + 1)
        ][1:]
    for name in commands:
        rows.append(
            {
                "what": name,
                "seconds": round(
                    statistics.median(s[name] for s in seconds), 3
                ),
                "repeats": parsed.repeats,
                "threads": len(os.sched_getaffinity(0)),
                **versions(),
            }
        )
    table = pd.DataFrame(rows)
    print(table[["what", "seconds"]].to_string(index=False))
    if parsed.out:
        write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))


def _seconds(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - start


def first_step(folder: str) -> None:
    """Train, and end the process behind the first step."""
    from kerafer.cli import main as kerafer
    from kerafer.engine import load_tensorflow

    load_tensorflow()
    import keras

    class End(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            os._exit(0)

    fit = keras.Model.fit

    def fit_one(self: keras.Model, *args: object, **kwargs: object) -> object:
        kwargs["callbacks"] = [*kwargs["callbacks"], End()]
        return fit(self, *args, **kwargs)

    keras.Model.fit = fit_one
    run = Path(tempfile.mkdtemp(dir=folder)) / "run"
    sys.exit(kerafer([*FIRST_STEP.split(), str(run)]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["first-step"]:
        first_step(sys.argv[2])
    else:
        main()
