"""`slicer doctor`: a look at this machine, or at one that the Ansible roles set up."""

import argparse
import os

from mp3_slicer.cli.errors import UsageError
from mp3_slicer.cli.options import add_media_folder, settings_of
from mp3_slicer.doctor import install
from mp3_slicer.server.checks import Check
from mp3_slicer.settings import CACHES, PREFIX, default_dir, is_remote

#: The modules of the extra `objects`.
OBJECTS_MODULES = ("urllib3", "botocore")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_media_folder(parser)
    parser.add_argument("--host", action="store_true", help="look at a machine that the Ansible roles set up (as root)")


def run(options: argparse.Namespace) -> int:
    """Print what was found; returns 1 where something is not well."""
    if options.host:
        return _look_at_host(options.folder)
    media = options.folder or os.environ.get(f"{PREFIX}MEDIA") or None
    folders = {
        PREFIX + name.upper(): os.environ.get(PREFIX + name.upper()) or default_dir(name, os.environ) for name in CACHES
    }
    in_folder = media is None or not is_remote(media)
    found = install.checks(media=media if in_folder else None, folders=folders, environ=os.environ)
    if media and (not in_folder or os.environ.get(f"{PREFIX}SHARED_RESULTS", "").strip()):
        found += [install.objects(OBJECTS_MODULES), *_look_at_store(media)]
    return install.report(found)


def _look_at_store(media: str) -> list[Check]:
    try:
        # Its packages are loaded where there is a store alone.
        from mp3_slicer.objects.inspect import inspect

        return [Check(*each) for each in inspect(settings_of(media))]
    except ImportError:
        return []


def _look_at_host(folder: str | None) -> int:
    # It asks sites over HTTP, for which Python loads much.
    from mp3_slicer.doctor import host

    if folder:
        raise UsageError("--host looks at the folders of the machine's own sites: name none")
    found = host.checks()
    status = install.report(found)
    print(host.summary(found))
    return status
