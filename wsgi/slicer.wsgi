"""What mod_wsgi loads: the application, with its settings read once from the environment."""
import os

from slicer.settings import Settings
from slicer.web.app import create_app

application = create_app(Settings.from_environ(os.environ))
