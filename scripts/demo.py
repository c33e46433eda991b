"""Serve a page on this machine where a model runs in the browser.

python scripts/demo.py --model exported/my-run
"""

import sys

from kerafer.cli import main

raise SystemExit(main(["demo", *sys.argv[1:]]))
