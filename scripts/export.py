"""Export a trained model to files for other machines.

python scripts/export.py --model runs/<run>
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["export", *sys.argv[1:]]))
