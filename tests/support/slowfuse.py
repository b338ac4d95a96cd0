"""A file system that shows a folder and takes its time for some of its files, for tests: python slowfuse.py FOLDER PLACE CONTROL

Files whose names begin with "slow" give nothing for as many seconds as the file CONTROL says, or until it says fewer. It ends by itself
when PLACE is unmounted.
"""

import errno
import os
import sys
import time

import mfusepy

#: No read takes longer, whatever CONTROL says: nothing but its end lets go of a process that waits for it.
LONGEST_SECONDS = 120
LOOK_SECONDS = 0.02
NAMES = (
    *("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size"),
    *("st_atime_ns", "st_mtime_ns", "st_ctime_ns"),
)


class Slow(mfusepy.Operations):
    """Passes on what readers of media ask for."""

    use_ns = True

    def __init__(self, folder: str, control: str) -> None:
        self._folder = folder
        self._control = control

    def _path(self, path: str) -> str:
        return self._folder + path

    def getattr(self, path, fh=None):
        status = os.lstat(self._path(path))
        return {name.removesuffix("_ns"): getattr(status, name) for name in NAMES}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self._path(path))]

    def access(self, path, amode):
        if not os.access(self._path(path), amode):
            raise mfusepy.FuseOSError(errno.EACCES)
        return 0

    def open(self, path, flags):
        return os.open(self._path(path), os.O_RDONLY | os.O_CLOEXEC)

    def read(self, path, size, offset, fh):
        if os.path.basename(path).startswith("slow"):
            began = time.monotonic()
            while time.monotonic() - began < self._seconds():
                time.sleep(LOOK_SECONDS)
        return os.pread(fh, size, offset)

    def release(self, path, fh):
        os.close(fh)
        return 0

    def _seconds(self) -> float:
        with open(self._control, encoding="ascii") as file:
            return min(float(file.read()), LONGEST_SECONDS)


if __name__ == "__main__":
    own, place, control = sys.argv[1:]
    # What root mounts is for the server's user too. Nothing is kept in memory, so that every read is one here.
    others = {"allow_other": True} if os.geteuid() == 0 else {}
    mfusepy.FUSE(
        Slow(own, control),
        place,
        foreground=True,
        max_threads=64,
        use_ino=True,
        direct_io=True,
        fsname="slow",
        **others,
    )
