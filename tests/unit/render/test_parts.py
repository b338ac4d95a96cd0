"""Waveforms in parts: byte for byte what is drawn at once, whoever draws the parts, in whatever order."""

import random
import shutil
from array import array
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from mp3_slicer.media.source import open_file
from mp3_slicer.mp3 import FileReader
from mp3_slicer.render import Limits, OptionError, PeaksRequest, PeaksTimeoutError, Results
from mp3_slicer.render.audio.decode import SpanPcm
from mp3_slicer.render.drawing import PARTS_FROM
from mp3_slicer.render.limits import Deadline
from mp3_slicer.render.options import PARTS
from mp3_slicer.render.original import Original
from mp3_slicer.render.peaks import cut, join, peaks
from mp3_slicer.render.produce import Producer, Result
from support import streams
from support.cutting import index_of, opened

LIMITS = Limits(work_seconds=Fraction(120))
KINDS = ["mpeg1-44-stereo-cbr128", "mpeg1-32-mono-cbr64", "mpeg2-22-joint-cbr64"]


def at_once(path: str, request: PeaksRequest) -> bytes:
    with opened(path) as fd:
        return peaks(request, FileReader(fd), index_of(path), LIMITS).encode(request.form, request.bits)


def damaged(path: str, out: Path, seed: int) -> str:
    """A copy with some bytes in a hundred places overwritten, which no decoder reads as it was."""
    data, chosen = bytearray(Path(path).read_bytes()), random.Random(seed)
    for _ in range(100):
        at = chosen.randrange(2000, len(data) - 2000)
        data[at : at + 6] = chosen.randbytes(6)
    out.write_bytes(data)
    return str(out)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_has_the_samples_of_the_whole(kind: str, stream: Callable[[str], str], tmp_path: Path) -> None:
    chosen = random.Random(kind)
    for path in (stream(kind), damaged(stream(kind), tmp_path / "damaged.mp3", 1)):
        index = index_of(path)
        span = index.locate(0, None)
        length = span.last - span.first
        with opened(path) as fd:
            whole = SpanPcm(FileReader(fd), span, Deadline(120))
            samples = b"".join(whole.blocks())
            # At the ends, at the borders of pieces, and anywhere.
            pieces = -(-length // (1 << 17))
            marks = sorted({0, length, *(length * number // pieces for number in range(pieces))})
            windows = [(low, high) for low in marks for high in marks if low <= high]
            windows += [tuple(sorted(chosen.sample(range(length + 1), 2))) for _ in range(12)]  # type: ignore[misc]
            for first, last in chosen.sample(windows, 24):
                window = SpanPcm(FileReader(fd), span, Deadline(120), (first, last))
                wanted = samples[first * whole.frame_bytes : last * whole.frame_bytes]
                assert b"".join(window.blocks()) == wanted, (first, last)
                assert window.frames == last - first


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [("pixels", "15"), ("zoom", "777")])
def test_parts_are_together_what_is_drawn_at_once(
    kind: str, width: tuple[str, str], stream: Callable[[str], str], tmp_path: Path
) -> None:
    forms = [("json", "16"), ("dat", "8")]
    # What is damaged is decoded by a program of its own for each part: either form is enough, since both are drawn from the same samples.
    broken = damaged(stream(kind), tmp_path / "damaged.mp3", 2)
    cases = [*((stream(kind), each) for each in forms), (broken, forms[width[0] == "zoom"])]
    for path, (form, bits) in cases:
        whole = PeaksRequest.parse(form, [("t", "0.7,18.3"), width, ("bits", bits)])
        wanted, parts = at_once(path, whole), [at_once(path, part) for part in whole.parts]
        assert len(parts) == PARTS
        assert join(whole.form, parts) == wanted
        if form == "dat":
            assert [cut(wanted, part) for part in whole.parts] == parts


def test_a_part_goes_on_from_where_the_time_was_up(cbr: str) -> None:
    request = PeaksRequest.parse("dat", [("zoom", "100"), ("part", "9")])
    wanted, begun, rounds = at_once(cbr, request), b"", 0
    while True:
        try:
            with opened(cbr) as fd:
                limits = Limits(work_seconds=Fraction(1, 1000))
                found = peaks(request, FileReader(fd), index_of(cbr), limits, partial=begun)
            break
        except PeaksTimeoutError as pause:
            assert 0 <= pause.progress < 1
            begun, rounds = pause.partial, rounds + 1
        # A block is drawn in each round, once the machine lets it begin in time.
        assert rounds < 10_000
    assert found.encode("dat", 8) == wanted


@pytest.mark.parametrize(
    "pairs",
    [[("part", "0")], [("part", str(PARTS + 1))], [("part", "1.5")], [("part", "1"), ("coarse", "1")]],
)
def test_refused_by_name(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(OptionError) as caught:
        PeaksRequest.parse("dat", pairs)
    assert caught.value.option == "part"


class Archive:
    """A long file, and a producer with a store of its own."""

    def __init__(self, path: str, folder: Path, room: int = 1 << 24) -> None:
        self.path, self.folder = path, folder / "results"
        self.source, self.index = open_file(path), index_of(path)
        self.original = Original(b"long.mp3", self.source, self.index, self.source.check)
        self.results = Results(str(self.folder), max_bytes=room)
        self.producer = Producer(self.results, str(folder / "scratch"))
        self.results.prepare()
        self.producer.prepare_scratch()

    def draw(self, request: PeaksRequest, seconds: float = 120, **more: Callable[[float], None]) -> Result:
        limits = Limits(work_seconds=Fraction(seconds))
        return self.producer.waveform(request, self.original, lambda: limits, **more)

    def read(self, request: PeaksRequest, seconds: float = 120) -> bytes:
        result = self.draw(request, seconds)
        data = b"".join(result.content.pieces())
        result.content.close()
        return data

    @property
    def stored(self) -> set[str]:
        return {each.name for each in self.folder.iterdir()} - {"account"}

    def key(self, request: PeaksRequest) -> str:
        return request.key(self.original.version)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file that is long enough to be drawn by its parts, as small as can be."""
    folder = tmp_path_factory.mktemp("long")
    minute = Path(streams.make("mpeg2-22-joint-cbr64", str(folder), seconds=20)).read_bytes()
    path = folder / "long.mp3"
    path.write_bytes(minute * (PARTS_FROM // 20 + 2))
    return str(path)


@pytest.fixture
def archive(long: str, tmp_path: Path) -> Iterator[Archive]:
    made = Archive(long, tmp_path)
    yield made
    made.source.close()


WHOLE = PeaksRequest.parse("dat", [("pixels", "20000")])


@pytest.fixture(scope="module")
def drawn(long: str) -> bytes:
    """Its waveform, drawn at once."""
    return at_once(long, WHOLE)


def test_the_last_part_makes_the_whole_of_all(archive: Archive, drawn: bytes) -> None:
    parts = WHOLE.parts
    random.Random(3).shuffle(parts)
    for number, part in enumerate(parts, 1):
        assert archive.read(part) == cut(drawn, part)
        assert len(archive.stored) == (number if number < PARTS else 1)
    assert archive.stored == {archive.key(WHOLE)}
    whole = archive.draw(WHOLE)
    assert (whole.was_made, whole.is_stored) == (False, True)
    whole.content.close()
    assert archive.read(WHOLE) == drawn
    # A part is cut from it, and not stored again; a job's is, for it is found by its name only.
    again = archive.draw(parts[0])
    assert (again.was_made, b"".join(again.content.pieces())) == (False, cut(drawn, parts[0]))
    assert len(archive.stored) == 1
    archive.draw(parts[0], progress=lambda _: None).content.close()
    assert archive.stored == {archive.key(WHOLE), archive.key(parts[0])}
    found = archive.producer.find(archive.key(parts[0]))
    assert found is not None
    assert found.etag == again.etag
    found.content.close()


def test_parts_whose_process_was_killed_become_the_whole(archive: Archive, drawn: bytes) -> None:
    for part in WHOLE.parts:
        stored = archive.results.put(archive.key(part), {"etag": '"x"'}, [cut(drawn, part)])
        assert stored is not None
        stored.close()
    assert archive.read(WHOLE.parts[-1]) == cut(drawn, WHOLE.parts[-1])
    assert archive.stored == {archive.key(WHOLE)}
    assert archive.read(WHOLE) == drawn


def test_the_whole_takes_the_parts_that_are_there(archive: Archive, drawn: bytes) -> None:
    other = PeaksRequest.parse("dat", [("pixels", "20000"), ("t", "100")]).parts[4]
    mark = at_once(archive.path, other)
    stored = archive.results.put(archive.key(WHOLE.parts[4]), {"etag": '"x"'}, [mark])
    assert stored is not None
    stored.close()
    wanted = [cut(drawn, part) for part in WHOLE.parts]
    assert archive.read(WHOLE) == join("dat", [*wanted[:4], mark, *wanted[5:]])
    assert archive.stored == {archive.key(WHOLE)}


@pytest.mark.parametrize("form", ["dat", "json"])
def test_the_whole_goes_on_from_where_the_time_was_up(form: str, archive: Archive) -> None:
    whole = PeaksRequest.parse(form, [("pixels", "5000")])
    progress: list[float] = []
    for _ in range(1000):
        try:
            data = archive.read(whole, 0.03)
            break
        except PeaksTimeoutError as pause:
            assert pause.is_stored
            progress.append(pause.progress)
    assert data == at_once(archive.path, whole)
    assert progress == sorted(progress)
    assert len(progress) > 1
    assert archive.stored == {archive.key(whole)}


def test_a_job_tells_how_far_it_is(archive: Archive, drawn: bytes) -> None:
    told: list[float] = []
    archive.draw(WHOLE, progress=told.append).content.close()
    assert len(told) >= PARTS
    assert told == sorted(told)
    assert told[-1] == 1
    assert archive.read(WHOLE) == drawn


def test_without_room_all_is_drawn_all_the_same(long: str, drawn: bytes, tmp_path: Path) -> None:
    archive = Archive(long, tmp_path, room=0)
    for request in (WHOLE, *WHOLE.parts[3:5]):
        result = archive.draw(request)
        assert (result.was_made, result.is_stored) == (True, False)
        assert b"".join(result.content.pieces()) == (drawn if request == WHOLE else cut(drawn, request))
    assert archive.stored == set()
    archive.source.close()


def test_a_short_file_is_drawn_at_once(cbr: str, tmp_path: Path) -> None:
    copy = shutil.copy(cbr, tmp_path / "short.mp3")
    archive = Archive(str(copy), tmp_path)
    told: list[float] = []
    archive.draw(WHOLE, progress=told.append).content.close()
    assert told == []
    assert archive.read(WHOLE) == at_once(cbr, WHOLE)
    values = array("b", archive.read(WHOLE)[24:])
    assert any(values)
    archive.source.close()
