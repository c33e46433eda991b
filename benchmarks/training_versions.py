"""Two versions of kerafer train the same models, in turns.

    git worktree add OLD bdb780f
    python benchmarks/training_versions.py --old OLD \
        --out docs/results/training_versions.csv

For when the way to train changes: whole runs of `kerafer train` on synthetic
faces, each version in a process of its own, and what their histories say of
images a second from the second epoch on. bdb780f is the last version whose
images were changed beside the training step, by tf.data.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from kerafer.files import write_text
from kerafer.versions import versions

RUNS = {
    "kerafer_edge 48 light": (
        *("--arch", "kerafer_edge", "--image-size", "48", "--people", "40"),
        *("--augment", "light", "--batch-size", "64", "--epochs", "5"),
    ),
    "wca_mcnn 224 none": (
        *("--arch", "wca_mcnn", "--image-size", "224", "--people", "10"),
        *("--augment", "none", "--batch-size", "32", "--epochs", "3"),
    ),
    "wca_mcnn 224 light": (
        *("--arch", "wca_mcnn", "--image-size", "224", "--people", "10"),
        *("--augment", "light", "--batch-size", "32", "--epochs", "3"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--old", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    here = Path(__file__).resolve().parents[1]
    roots = {"old": parsed.old.resolve(), "new": here}
    speeds: dict[tuple[str, str], list[float]] = {}
    for _ in range(parsed.rounds):
        for name, words in RUNS.items():
            for version, root in roots.items():
                speed = _speed(root, words)
                speeds.setdefault((name, version), []).append(speed)
                print(f"{name}, {version}: {speed:.1f} images/s", flush=True)
    rows = [
        {
            "run": name,
            "version": version,
            "images_per_second": round(statistics.median(found), 1),
            "of_old": round(
                statistics.median(found)
                / statistics.median(speeds[name, "old"]),
                3,
            ),
            "rounds": parsed.rounds,
            **versions(),
        }
        for (name, version), found in speeds.items()
    ]
    table = pd.DataFrame(rows)
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    shown = ["run", "version", "images_per_second", "of_old"]
    print(table[shown].to_string(index=False))


def _speed(root: Path, words: tuple[str, ...]) -> float:
    """The median of the epochs but the first, in which graphs are made."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "kerafer", "train", *words]
        command += ["--dataset", "synthetic", "--angles", "S"]
        subprocess.run(
            [*command, "--out", str(run)],
            env={**os.environ, "PYTHONPATH": str(root)},
            cwd=folder,
            check=True,
            capture_output=True,
        )
        history = pd.read_csv(run / "history.csv")
        return float(history["images_per_second"].iloc[1:].median())


if __name__ == "__main__":
    main()
