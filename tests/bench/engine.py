"""`make bench-engine`: what a cut and an index cost, against the ways people cut MP3 from Python today. Ratios of one run."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from report import Report

from mp3_slicer.mp3 import SECOND, FileReader, build_whole_index, cut
from support.material import long_file

ROUNDS = 3
CUTS = 2000
START, LENGTH = 3000, 10


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Warm:
    """A file, open and indexed."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self.reader = FileReader(self.fd)
        self.index = build_whole_index(self.reader)

    def cut(self, start: int) -> bytes:
        return cut(self.reader, self.index.locate(start * SECOND, (start + LENGTH) * SECOND)).read(self.reader)

    def seconds(self, start: int) -> float:
        """The median of many cuts at one place, bytes read included."""
        return statistics.median(timed(lambda: self.cut(start)) for _ in range(CUTS))


def naive_pydub(path: str, out: str) -> None:
    from pydub import AudioSegment

    AudioSegment.from_file(path)[START * 1000 : (START + LENGTH) * 1000].export(out, format="mp3")


def seeking_pydub(path: str, out: str) -> None:
    from pydub import AudioSegment

    AudioSegment.from_file(path, start_second=START, duration=LENGTH).export(out, format="mp3")


def ffmpeg_copy(path: str, out: str) -> None:
    command = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-y",
        "-ss",
        str(START),
        "-i",
        path,
        "-t",
        str(LENGTH),
        "-c",
        "copy",
        out,
    ]
    subprocess.run(command, check=True)


def walk(path: str) -> float:
    fd = os.open(path, os.O_RDONLY)
    try:
        return timed(lambda: build_whole_index(FileReader(fd)))
    finally:
        os.close(fd)


def read_only(path: str) -> float:
    """Reading the same bytes through one buffer and doing nothing with them: the least a walk can cost."""
    fd = os.open(path, os.O_RDONLY)
    buffer = bytearray(1 << 17)
    try:

        def read() -> None:
            place = 0
            while got := os.preadv(fd, [buffer], place):
                place += got

        return timed(read)
    finally:
        os.close(fd)


def peak_memory(path: str) -> float:
    """Mebibytes that a process of its own needs to index the file, Python included."""
    code = (
        "import os,sys; from mp3_slicer.mp3 import FileReader, build_whole_index; "
        "index = build_whole_index(FileReader(os.open(sys.argv[1], os.O_RDONLY))); "
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    return (
        int(subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout)
        / 1024
    )


def main() -> None:
    report = Report("engine")
    with tempfile.TemporaryDirectory(prefix="slicer-bench-") as folder:
        minute, hour, ten = (long_file(folder, minutes) for minutes in (1, 60, 600))
        vbr = long_file(folder, 60, "mpeg1-44-joint-vbr2")
        warm = Warm(hour)
        out = os.path.join(folder, "out.mp3")
        others = {"naive pydub": naive_pydub, "pydub start_second": seeking_pydub, "ffmpeg -ss -c copy": ffmpeg_copy}
        wanted = {"naive pydub": "≥ 90,000", "pydub start_second": "≥ 27,000", "ffmpeg -ss -c copy": "≥ 1,300"}
        cuts: list[float] = []
        ratios: dict[str, list[float]] = {name: [] for name in others}
        for _ in range(ROUNDS):
            for name, work in others.items():
                taken = timed(lambda work=work: work(hour, out))
                cuts.append(warm.seconds(START))
                ratios[name].append(taken / cuts[-1])
        report.row("cut 10 s at 50:00 of 1 h, index warm, bytes read", [1e6 * value for value in cuts], "µs")
        for name, values in ratios.items():
            report.row(f"times faster than {name}", values, "×", wanted[name])
        reads = [
            statistics.median(timed(lambda: os.pread(warm.fd, 161_000, 48_000_000)) for _ in range(CUTS))
            for _ in range(ROUNDS)
        ]
        report.row("reading the clip's bytes alone", [1e6 * value for value in reads], "µs")
        report.row("same cut, variable bitrate", [1e6 * Warm(vbr).seconds(START) for _ in range(ROUNDS)], "µs")
        big, small = Warm(ten), Warm(minute)
        pairs = [big.seconds(35_400) / small.seconds(30) for _ in range(2 * ROUNDS)]
        report.row("cut in a 10 h file against a 1 min file", pairs, "×", "≤ 1.2")
        for path, name in ((hour, "1 h, 128 kbit/s"), (vbr, "1 h, variable"), (ten, "10 h, 128 kbit/s")):
            taken = [walk(path) for _ in range(2 * ROUNDS + 1)]
            report.row(f"index of {name}", [1e3 * value for value in taken], "ms", "≤ 20" if path == hour else "")
            report.row(f"index of {name}", [os.path.getsize(path) / value / 1e9 for value in taken], "GB/s", "≥ 3")
            pairs = [walk(path) / read_only(path) for _ in range(2 * ROUNDS + 1)]
            report.row(f"index of {name} against reading its bytes alone", pairs, "×")
        report.row("memory to index 10 h, whole process", [peak_memory(ten) for _ in range(ROUNDS)], "MiB", "< 40")
    report.write()


if __name__ == "__main__":
    main()
