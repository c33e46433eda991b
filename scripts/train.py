"""Train a model on a data set and test it.

python scripts/train.py --arch wca_mcnn --dataset kdef
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["train", *sys.argv[1:]]))
