"""Make the article's tables and figures again, ours beside its.

python scripts/reproduce.py --tables 8
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["reproduce", *sys.argv[1:]]))
