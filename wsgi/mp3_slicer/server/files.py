"""The files that Apache is started with: in the installed package, or beside it in a checkout."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Files:
    """The folder `apache` (slicer.conf, rewrite.conf, errors/) and the WSGI entry point, as absolute paths."""

    apache: str
    entry_point: str


def find(package: str | None = None) -> Files:
    """The files that belong to the package folder `package` (default: this one's).

    An installed Slicer carries them as mp3_slicer/apache; an editable one uses the checkout's. Raises FileNotFoundError.
    """
    package = package or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = os.path.join(package, "apache")
    checkout = os.path.join(package, "..", "..", "apache")
    for apache, entry_point in (
        (installed, os.path.join(installed, "slicer.wsgi")),
        (checkout, os.path.join(package, "..", "slicer.wsgi")),
    ):
        if os.path.isfile(os.path.join(apache, "slicer.conf")) and os.path.isfile(entry_point):
            return Files(os.path.abspath(apache), os.path.abspath(entry_point))
    raise FileNotFoundError(f"no Apache files in {installed} or {os.path.abspath(checkout)}: install slicer again")
