"""The application that every server runs: Slicer's own, with clips that are cheap and renders that keep a CPU busy."""

import os

from slicer.settings import Settings
from slicer.web.app import create_app

application = create_app(Settings.from_environ(os.environ))
