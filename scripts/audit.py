"""Look for what makes a data set or its division misleading.

python scripts/audit.py --dataset folder --data-dir faces
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["audit", *sys.argv[1:]]))
