"""How long a start on a folder of many images takes, and a second one.

    python benchmarks/many_files.py --files 100000 \
        --out docs/results/many_files.csv

What is timed is what every command does first: list the files, look whether
each can be decoded, and make the array of decoded images. The files are drawn
noise, 48 x 48 pixels.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from kerafer.files import write_text
from kerafer.versions import versions

START = """
import json, resource, sys, time
began = time.perf_counter()
from kerafer.datasets import load
from kerafer.datasets.decoded import decode
images = decode(load("folder", sys.argv[1]), 48, 1)
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([len(images), time.perf_counter() - began, most]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "faces"
        _write(root, parsed.files)
        for start in ("first", "second"):
            done = subprocess.run(
                [sys.executable, "-c", START, root],
                env={**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"},
                capture_output=True,
                text=True,
                check=True,
            )
            count, seconds, most = json.loads(done.stdout.splitlines()[-1])
            row = {
                "start": start,
                "files": count,
                "seconds": round(seconds, 1),
                "peak_megabytes": round(most),
            }
            print(row, flush=True)
            rows.append(row | versions())
    table = pd.DataFrame(rows)
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))


def _write(root: Path, count: int) -> None:
    generator = np.random.default_rng(0)
    # Written long enough ago not to be looked at again.
    then = 1_700_000_000
    for index in range(count):
        folder = root / f"class {index % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        face = generator.integers(0, 256, (48, 48), np.uint8)
        file = folder / f"{index:06}.png"
        cv2.imwrite(str(file), face)
        os.utime(file, (then, then))


if __name__ == "__main__":
    main()
