"""Write the synthetic faces out as files, named like KDEF's.

python scripts/synthesize.py --out data/kdef-drawn
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["synthesize", *sys.argv[1:]]))
