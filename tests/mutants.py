"""Whether the tests notice when a line of the package is another.

    make mutants
    python tests/mutants.py --sample 30 kerafer/export/compare.py

Each module is changed at one point after the other by cosmic-ray, and its
tests run. Prints how many changes were noticed, and the others as diffs:
whoever reads them says of each whether it has an effect at all.
"""

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The tests that must notice a change of a module.
TESTS = {
    "kerafer/export/compare.py": "tests/export/test_gates.py",
    "kerafer/training/callbacks.py": "tests/training/test_early_stopping.py",
    "kerafer/evaluation/calibration.py": "tests/evaluation",
    "kerafer/evaluation/classification.py": "tests/evaluation",
    "kerafer/evaluation/bootstrap.py": "tests/evaluation",
    "kerafer/evaluation/comparison.py": "tests/evaluation",
    "kerafer/datasets/splits.py": "tests/datasets/test_splits.py "
    "tests/datasets/test_limits.py",
    "kerafer/layers/morlet.py": "tests/layers",
    "kerafer/layers/multi_scale_conv2d.py": "tests/layers",
    "kerafer/runtime/tracker.py": "tests/runtime",
}
CONFIG = """\
[cosmic-ray]
module-path = "{module}"
timeout = {timeout}
excluded-modules = []
test-command = "{python} -m pytest -x -q -p no:randomly -m 'not slow' {tests}"

[cosmic-ray.distributor]
name = "local"
"""


def survivors(
    module: str, folder: Path, sample: int | None
) -> tuple[int, list[str]]:
    """How many changes were tried, and the diffs that no test noticed."""
    config, session = folder / "config.toml", folder / "session.sqlite"
    session.unlink(missing_ok=True)
    config.write_text(
        CONFIG.format(
            module=module,
            timeout=300,
            python=sys.executable,
            tests=TESTS[module],
        )
    )
    for step in ("init", "exec"):
        words = ["cosmic-ray", step, str(config), str(session)]
        subprocess.run(words, cwd=ROOT, check=True)
        if step == "init":
            _keep(session, sample)
    told = subprocess.run(
        ["cosmic-ray", "dump", str(session)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return _read(told)


def _keep(session: Path, sample: int | None) -> None:
    """Leave so many changes, the same each time.

    Those of `|` go: here it stands in annotations, which nothing computes.
    """
    with sqlite3.connect(session) as database:
        query = (
            "SELECT job_id, operator_name FROM mutation_specs ORDER BY "
            "start_pos_row, start_pos_col, operator_name, occurrence"
        )
        found = list(database.execute(query))
        jobs = [job for job, operator in found if "_BitOr_" not in operator]
        random.Random(0).shuffle(jobs)
        kept = set(jobs[:sample])
        for job, _ in found:
            if job in kept:
                continue
            for table in ("mutation_specs", "work_items"):
                database.execute(f"DELETE FROM {table} WHERE job_id=?", (job,))


def _read(told: str) -> tuple[int, list[str]]:
    count, lived = 0, []
    for line in told.splitlines():
        _, result = json.loads(line)
        if result is None:
            continue
        count += 1
        if result["test_outcome"] == "survived":
            lived.append(result["diff"])
    return count, lived


def main() -> int:
    """Change the modules that are named, or all; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=list(TESTS))
    parser.add_argument("--sample", type=int, help="changes of each module")
    parsed = parser.parse_args()
    total = noticed = 0
    for module in parsed.modules:
        with tempfile.TemporaryDirectory() as folder:
            count, lived = survivors(module, Path(folder), parsed.sample)
        total += count
        noticed += count - len(lived)
        print(f"{module}: {count - len(lived)} of {count} noticed", flush=True)
        for diff in lived:
            print(diff)
    print(f"{noticed} of {total} noticed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
