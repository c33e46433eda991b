"""Tell the expressions on images, videos and from a camera.

python scripts/predict.py people.jpg
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["predict", *sys.argv[1:]]))
