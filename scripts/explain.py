"""Show where a model looks, or what its wavelets learned.

python scripts/explain.py face.jpg --model runs/<run>
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["explain", *sys.argv[1:]]))
