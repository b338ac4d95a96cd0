"""The application that every server runs: Slicer's own, with clips that are cheap and renders that keep a CPU busy."""

import os

from mp3_slicer.settings import Settings
from mp3_slicer.web.app import create_app

application = create_app(Settings.from_environ(os.environ))
