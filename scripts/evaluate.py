"""Score a model on images, or two models against each other.

python scripts/evaluate.py --model runs/<run>
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["evaluate", *sys.argv[1:]]))
