"""`python -m mp3_slicer`."""

import sys

from mp3_slicer.cli.main import main

sys.exit(main())
