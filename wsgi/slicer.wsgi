"""What mod_wsgi loads: the application, with its settings read once from the environment."""
import os

from mp3_slicer.settings import Settings
from mp3_slicer.web.app import create_app

application = create_app(Settings.from_environ(os.environ), os.path.join(os.path.dirname(__file__), "counts"))

# Open from now on and for as long as the process lives: so `slicer drain` sees that the application is loaded.
os.open(os.path.join(os.path.dirname(__file__), "loaded"), os.O_RDONLY | os.O_CLOEXEC)
