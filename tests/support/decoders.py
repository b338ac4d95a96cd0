"""Two decoders for many files: ffmpeg with many files at a time, and libmpg123 within this process.

Both read files, for ffmpeg ignores the padding of what comes through a pipe, and give interleaved 32-bit floats.
"""

import ctypes
import ctypes.util
import os
import subprocess
import tempfile
from array import array
from collections.abc import Sequence

#: Files that one ffmpeg decodes: its start costs as much as ten short clips.
_AT_ONCE = 96
_OK, _NEW_FORMAT = 0, -11
_ADD_FLAGS, _REMOVE_FLAGS = 2, 13  # of enum mpg123_parms
_QUIET, _FORCE_FLOAT, _GAPLESS = 0x20, 0x400, 0x40
_FLOATS = 1 << 15


def ffmpeg(paths: Sequence[str], *, gapless: bool = True) -> list["array[float]"]:
    """Decode files at their own rates and channels; an empty array where ffmpeg finds no audio. Without `gapless` nothing is trimmed."""
    found: list[array[float]] = []
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        for start in range(0, len(paths), _AT_ONCE):
            found += _ffmpeg(paths[start : start + _AT_ONCE], folder, gapless)
    return found


def _ffmpeg(paths: Sequence[str], folder: str, gapless: bool) -> list["array[float]"]:
    outs = [os.path.join(folder, f"{number}.f32") for number in range(len(paths))]
    command = ["ffmpeg", "-nostdin", "-v", "quiet", "-y"]
    for path in paths:
        command += ["-threads", "1", *(() if gapless else ("-flags2", "+skip_manual")), "-i", path]
    for number, out in enumerate(outs):
        command += ["-map", f"{number}:a:0", "-c:a", "pcm_f32le", "-f", "f32le", out]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode and len(paths) > 1:  # one that is no audio stops them all
        half = len(paths) // 2
        return _ffmpeg(paths[:half], folder, gapless) + _ffmpeg(paths[half:], folder, gapless)
    return [_floats(out) for out in outs]


def _floats(path: str) -> "array[float]":
    samples = array("f")
    if os.path.exists(path):
        with open(path, "rb") as file:
            data = file.read()
        samples.frombytes(data[: len(data) // 4 * 4])
        os.unlink(path)
    return samples


def memory() -> str | None:
    """Return a folder that lies in memory, where there is one: these files live for a moment."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Mpg123:
    """One libmpg123 decoder, for one file after another. Raises OSError where the library is missing.

    Its samples are 32-bit floats, or 16-bit numbers without `floats`, and `gapless` trims as tags say.
    """

    def __init__(self, *, gapless: bool = True, floats: bool = True) -> None:
        name = ctypes.util.find_library("mpg123") or "libmpg123.so.0"
        self._library = library = ctypes.CDLL(name)
        library.mpg123_new.restype = ctypes.c_void_p
        library.mpg123_new.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)]
        library.mpg123_param.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_double]
        library.mpg123_open.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        library.mpg123_close.argtypes = [ctypes.c_void_p]
        library.mpg123_delete.argtypes = [ctypes.c_void_p]
        library.mpg123_read.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.POINTER(ctypes.c_size_t),
        ]
        library.mpg123_init()
        self._handle = library.mpg123_new(None, None)
        if not self._handle:
            raise OSError("no decoder of libmpg123")
        library.mpg123_param(self._handle, _ADD_FLAGS, _QUIET | (_FORCE_FLOAT if floats else 0), 0.0)
        if not gapless:
            library.mpg123_param(self._handle, _REMOVE_FLAGS, _GAPLESS, 0.0)
        self._buffer = (ctypes.c_float * _FLOATS)()
        self._type = "f" if floats else "h"

    def __call__(self, path: str) -> "array[float]":
        """Decode a file up to its end, or to where the decoder gives up."""
        samples: array[float] = array(self._type)
        done = ctypes.c_size_t()
        if self._library.mpg123_open(self._handle, path.encode()) != _OK:
            return samples
        try:
            while True:
                state = self._library.mpg123_read(
                    self._handle, self._buffer, ctypes.sizeof(self._buffer), ctypes.byref(done)
                )
                samples.frombytes(ctypes.string_at(self._buffer, done.value))
                if state not in {_OK, _NEW_FORMAT}:
                    return samples
        finally:
            self._library.mpg123_close(self._handle)

    def close(self) -> None:
        """Give the decoder back."""
        if self._handle:
            self._library.mpg123_delete(self._handle)
            self._handle = None
