"""`python -m slicer`."""

import sys

from slicer.cli.main import main

sys.exit(main())
