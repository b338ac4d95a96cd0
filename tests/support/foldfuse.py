"""A file system that shows a folder and ignores case, for tests: python foldfuse.py FOLDER PLACE

Names on disk are in lower case. It ends by itself when PLACE is unmounted.
"""

import os
import sys

import mfusepy

NAMES = (
    *("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size"),
    *("st_atime_ns", "st_mtime_ns", "st_ctime_ns"),
)


class Folding(mfusepy.Operations):
    """Passes on what readers of media ask for, whatever the case of the names."""

    use_ns = True

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def _path(self, path: str) -> str:
        return self._folder + path.lower()

    def getattr(self, path, fh=None):
        try:
            status = os.lstat(self._path(path))
        except OSError as error:
            raise mfusepy.FuseOSError(error.errno) from None
        return {name.removesuffix("_ns"): getattr(status, name) for name in NAMES}

    def readdir(self, path, fh):
        # With their numbers: a name without one is left out by the C library.
        for name in os.listdir(self._path(path)):
            yield name, self.getattr(os.path.join(path, name)), 0

    def open(self, path, flags):
        return os.open(self._path(path), os.O_RDONLY | os.O_CLOEXEC)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def release(self, path, fh):
        os.close(fh)
        return 0


if __name__ == "__main__":
    own, place = sys.argv[1:]
    others = {"allow_other": True} if os.geteuid() == 0 else {}
    mfusepy.FUSE(Folding(own), place, foreground=True, use_ino=True, fsname="fold", **others)
