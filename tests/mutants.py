"""Whether the tests notice when a line of the package is another.

    make mutants
    python tests/mutants.py kerafer/export/gates.py

Each module is changed at one point after the other by cosmic-ray, and its
tests run. Prints how many changes were noticed, and the others as diffs:
whoever reads them says of each whether it has an effect at all.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The tests that a module answers to.
TESTS = {
    "kerafer/export/gates.py": "tests/test_boundaries.py",
    "kerafer/training/early_stopping.py": "tests/test_boundaries.py",
    "kerafer/evaluation/calibration.py": "tests/test_boundaries.py "
    "tests/test_evaluation.py",
    "kerafer/evaluation/classification.py": "tests/test_boundaries.py "
    "tests/test_evaluation.py",
    "kerafer/evaluation/bootstrap.py": "tests/test_boundaries.py "
    "tests/test_evaluation.py",
    "kerafer/data/splits.py": "tests/test_boundaries.py tests/test_splits.py",
    "kerafer/layers/morlet.py": "tests/test_boundaries.py tests/test_layers.py",
    "kerafer/layers/multi_scale_conv2d.py": "tests/test_boundaries.py "
    "tests/test_layers.py",
    "kerafer/runtime/face_tracker.py": "tests/test_boundaries.py "
    "tests/test_runtime.py",
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


def survivors(module: str, folder: Path) -> tuple[int, list[str]]:
    """How many changes there were, and the diffs that no test noticed."""
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
    for words in (["init", config, session], ["exec", config, session]):
        subprocess.run(["cosmic-ray", *map(str, words)], cwd=ROOT, check=True)
    told = subprocess.run(
        ["cosmic-ray", "dump", str(session)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return _read(told)


def _read(told: str) -> tuple[int, list[str]]:
    import json

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
    modules = sys.argv[1:] or list(TESTS)
    total = noticed = 0
    for module in modules:
        with tempfile.TemporaryDirectory() as folder:
            count, lived = survivors(module, Path(folder))
        total += count
        noticed += count - len(lived)
        print(f"{module}: {count - len(lived)} of {count} noticed", flush=True)
        for diff in lived:
            print(diff)
    print(f"{noticed} of {total} noticed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
