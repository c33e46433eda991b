"""Two versions of kerafer export the same trained models, side by side.

    git worktree add OLD 046968b
    python benchmarks/export_routes.py runs/* --old OLD \
        --out docs/results/export_routes.csv

For when the way that files are made changes: each run is exported by either
version, all files of a run are timed in turn in one process, and what either
manifest says of size and agreement is set beside it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kerafer.export.predictors import predictor
from kerafer.files import write_text
from kerafer.versions import versions

FORMATS = "float32,float16,dynamic,int8,integer,onnx"
THREADS = 2
ROUTES = ("old", "new")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--old", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="keeps the exports here")
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    roots = {
        "old": parsed.old.resolve(),
        "new": Path(__file__).resolve().parents[1],
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = parsed.folder or Path(temporary)
        rows = []
        for run in parsed.runs:
            exports = {
                route: _exported(run, root, folder / route / run.name)
                for route, root in roots.items()
            }
            rows += _compare(run.name, exports, parsed.rounds)
            table = pd.DataFrame(rows)
            write_text(
                parsed.out, table.to_csv(index=False, lineterminator="\n")
            )
    print(_markdown(table))


def _exported(run: Path, root: Path, out: Path) -> Path:
    if not out.exists():
        subprocess.run(
            f"{sys.executable} -P -m kerafer export --model {run} --out {out} "
            f"--formats {FORMATS} --allow-drop".split(),
            check=False,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
    return out


def _compare(
    name: str, exports: dict[str, Path], rounds: int
) -> list[dict[str, Any]]:
    manifests = {
        route: json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        for route, out in exports.items()
    }
    names = list(manifests["new"]["files"])
    names += [n for n in manifests["old"]["files"] if n not in names]
    rows = []
    for file in names:
        both = [r for r in ROUTES if file in manifests[r]["files"]]
        times = _times({r: exports[r] for r in both}, file, rounds)
        row: dict[str, Any] = {"model": name, "file": file}
        for route in both:
            facts = manifests[route]["files"][file]
            row |= {
                f"{route}_megabytes": round(facts["bytes"] / 1e6, 3),
                f"{route}_operations": sum(facts["operators"].values()) or None,
                f"{route}_ms": round(times[route], 3),
                f"{route}_agreement": facts["agreement"],
                f"{route}_points_lost": round(facts["accuracy_lost"], 3),
                f"{route}_mean_difference": facts["mean_difference"],
                f"{route}_float_tensors": facts["float_tensors"],
            }
        new = manifests["new"]
        rows.append(
            {
                **row,
                "pixels": new["input"]["shape"][1],
                "test_pictures": new["test"]["pictures"],
                "rounds": rounds,
                "threads": THREADS,
                **versions(),
            }
        )
    return rows


def _markdown(table: pd.DataFrame) -> str:
    """The table, the old and the new beside each other."""
    lines = [
        "| model | file | MB | operations | ms | ms, new to old "
        "| same class as Keras, % | points lost |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]

    def both(row: Any, name: str, form: str, times: float = 1) -> str:
        told = [
            format(times * getattr(row, f"{route}_{name}"), form)
            for route in ROUTES
        ]
        return " → ".join(told if told[0] != told[1] else told[:1])

    for row in table.itertuples():
        lite = row.file.endswith(".tflite")
        operations = both(row, "operations", ".0f") if lite else ""
        lines.append(
            f"| `{row.model}` | `{row.file}` | {both(row, 'megabytes', '.2f')} "
            f"| {operations} | {both(row, 'ms', '.2f')} "
            f"| {row.new_ms / row.old_ms:.2f} "
            f"| {both(row, 'agreement', '.1f', 100)} "
            f"| {both(row, 'points_lost', '.2f')} |"
        )
    ratios = pd.DataFrame(
        {
            "file": table["file"],
            "ms": table["new_ms"] / table["old_ms"],
            "MB": table["new_megabytes"] / table["old_megabytes"],
        }
    )
    lines += ["", "| file | ms | MB |", "|---|---:|---:|"]
    lines += [
        f"| `{row.Index}` | {row.ms:.2f} | {row.MB:.2f} |"
        for row in ratios.groupby("file").median().itertuples()
    ]
    return "\n".join(lines)


def _times(
    folders: dict[str, Path], file: str, rounds: int
) -> dict[str, float]:
    """Median milliseconds for one image, the routes in turn."""
    predict, images = {}, {}
    for route, folder in folders.items():
        predict[route] = predictor(folder / file, THREADS)
        images[route] = np.load(folder / "golden.npz")["images"][0]
        for _ in range(3):
            predict[route](images[route])
    taken: dict[str, list[float]] = {route: [] for route in folders}
    for number in range(rounds):
        # Whoever is first has the colder caches.
        order = list(folders) if number % 2 else list(folders)[::-1]
        for route in order:
            start = time.perf_counter()
            for _ in range(3):
                predict[route](images[route])
            taken[route].append((time.perf_counter() - start) / 3)
    return {r: 1e3 * statistics.median(t) for r, t in taken.items()}


if __name__ == "__main__":
    main()
