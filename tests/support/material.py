"""Long files for the benchmarks: a minute, an hour and ten hours of one 128 kbit/s stream, with 1.2 MB of cover art in front."""

import os
import subprocess

from support import streams

COVER_BYTES = 1_200_000


def long_file(folder: str, minutes: int, kind: str = "mpeg1-44-stereo-cbr128") -> str:
    """Make a file of so many minutes, if it is not there yet, and return its path."""
    path = os.path.join(folder, f"{kind}-{minutes}min.mp3")
    if not os.path.exists(path):
        minute = streams.make(kind, folder, seconds=60)
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-stream_loop", str(minutes - 1), "-i", minute]
        subprocess.run([*command, "-c", "copy", "-f", "mp3", path + ".part"], check=True)
        with open(path + ".part", "rb") as plain, open(path + ".tagged", "wb") as tagged:
            tagged.write(streams.with_id3v2(b"", COVER_BYTES))
            while block := plain.read(1 << 20):
                tagged.write(block)
        os.unlink(path + ".part")
        os.replace(path + ".tagged", path)
    return path
