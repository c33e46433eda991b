"""`python -m kerafer`."""

from kerafer.cli import main

raise SystemExit(main())
