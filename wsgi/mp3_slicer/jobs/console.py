"""The application for Celery's own commands, as in `celery -A mp3_slicer.jobs.console inspect active`: of the settings in the environment.

Nothing of Slicer imports this. Raises SettingsError where a setting is wrong.
"""

import os

from mp3_slicer.jobs.celery_app import make_app
from mp3_slicer.settings import Settings

app = make_app(Settings.from_environ(os.environ))
