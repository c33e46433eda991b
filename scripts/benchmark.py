"""Measure images per second on this machine.

python scripts/benchmark.py training
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["benchmark", *sys.argv[1:]]))
