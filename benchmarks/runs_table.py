"""Runs that no table of `kerafer reproduce` has, one by one.

    python benchmarks/runs_table.py runs/one runs/two \
        --out docs/results/distillation.csv

The table is that of `kerafer reproduce`, and the name of every run's folder.
"""

import argparse
from pathlib import Path

from kerafer.files import write_text
from kerafer.reproduction.plan import Training
from kerafer.reproduction.tables import run_table
from kerafer.training.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--out", required=True)
    parsed = parser.parse_args()
    trainings = []
    for run in parsed.runs:
        found = Run.open(run)
        trainings.append(Training(found.config, found.path))
    table = run_table(trainings)
    table["run"] = [Path(run).name for run in parsed.runs]
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    main()
