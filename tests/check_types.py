"""Compare what mypy finds in the package with what is known.

    python tests/check_types.py PYTHON [--write]

PYTHON is the interpreter whose packages count. The known numbers are in
`types_baseline.csv`, a line a file; `--write` makes it anew, which is for
when there is less.
"""

import collections
import csv
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
KNOWN = Path(__file__).with_name("types_baseline.csv")


def main() -> int:
    """Run mypy, compare, and tell; 1 where a file has more than is known."""
    python, *flags = sys.argv[1:]
    words = ["--python-executable", python, "--ignore-missing-imports"]
    words += ["--cache-dir", "build/mypy"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, "kerafer"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    lines = re.findall(r"^(\S+?):\d+: error: .*$", done.stdout, re.M)
    if done.returncode not in (0, 1):
        print(done.stdout, done.stderr, file=sys.stderr)
        return 2
    found = collections.Counter(lines)
    if "--write" in flags:
        rows = "".join(f"{name},{n}\n" for name, n in sorted(found.items()))
        KNOWN.write_text(f"file,errors\n{rows}", encoding="utf-8")
    with KNOWN.open(encoding="utf-8") as stream:
        known = {r["file"]: int(r["errors"]) for r in csv.DictReader(stream)}
    more = [name for name in found if found[name] > known.get(name, 0)]
    for name in more:
        print(
            *re.findall(rf"^{re.escape(name)}:.*$", done.stdout, re.M), sep="\n"
        )
    less = sum(known.values()) - sum(found.values())
    print(f"mypy: {sum(found.values())} errors, {sum(known.values())} known.")
    if not more and less > 0:
        print("There are fewer than known: --write keeps it so.")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
