"""Each form of transcripts, and what is wrong with those that there are."""

import json
import subprocess
import sys
import time

import pytest

from mp3_slicer.transcripts import ENDINGS, MOST_BYTES, MOST_CUES, choose, read, read_points, snapped, within, write
from mp3_slicer.transcripts.cues import Cue

LATIN = "windows-1252"


def cues(ending: str, text: str | bytes) -> list[tuple[int, int, str, str]]:
    data = text.encode() if isinstance(text, str) else text
    return [tuple(each) for each in read(ending.encode(), data, LATIN).cues]


def flaws(ending: str, text: str | bytes, fallback: str = LATIN) -> str:
    data = text.encode() if isinstance(text, str) else text
    return " ".join(f"{each.line}: {each.detail}" for each in read(ending.encode(), data, fallback).flaws)


VTT = """WEBVTT - a title

STYLE
::cue { color: red }

NOTE this is said by nobody

1
00:00:01.000 --> 00:00:03.500 align:start
<v Roger Bingham>We are in <i>New York</i> &amp; so on

second
00:04.000 --> 00:05.000
- two
lines

NOTE
neither is this
"""


def test_vtt() -> None:
    assert cues(".vtt", VTT) == [
        (1000, 3500, "We are in New York & so on", "Roger Bingham"),
        (4000, 5000, "- two\nlines", ""),
    ]
    assert not flaws(".vtt", VTT)


@pytest.mark.parametrize(
    ("timing", "start", "end"),
    [
        ("0:00:04.080 --> 0:00:05.120", 4080, 5120),
        ("00:01,5 --> 00:02,75", 1500, 2750),
        ("0.860 --> 7.380", 860, 7380),
        ("[00:01.000 --> 00:02.000]", 1000, 2000),
        ("00:00:01.000-->00:00:02.000", 1000, 2000),
        ("  100:00:00.0 --> 100:00:01.0\r", 360_000_000, 360_001_000),
    ],
)
def test_times_as_they_are_written(timing: str, start: int, end: int) -> None:
    assert cues(".vtt", f"WEBVTT\n\n{timing}\nx\n") == [(start, end, "x", "")]


def test_srt_without_empty_lines_and_with_them_in_cues() -> None:
    text = "\ufeff1\r\n00:00:01,000 --> 00:00:02,000\r\nAnn: one\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nAnn: two\r\n\r\nthree\r\n\r\n"
    assert cues(".srt", text) == [(1000, 2000, "one", "Ann"), (3000, 4000, "two\nthree", "Ann")]


def test_a_colon_makes_no_speaker_that_speaks_once() -> None:
    text = "1\n00:01.000 --> 00:02.000\nRemember: one\n\n2\n00:03.000 --> 00:04.000\nnow: two\n\n3\n00:05.000 --> 00:06.000\nnow: three\n"
    assert [(said, who) for *_, said, who in cues(".srt", text)] == [
        ("Remember: one", ""),
        ("now: two", ""),
        ("now: three", ""),
    ]


def test_lines_that_roll_are_given_once() -> None:
    text = """WEBVTT

00:00:00.000 --> 00:00:02.000
hello<00:00:00.500><c> there</c>

00:00:02.000 --> 00:00:02.010
hello there

00:00:02.010 --> 00:00:04.000
hello there
and<00:00:02.500><c> you</c>
"""
    assert [said for *_, said, _ in cues(".vtt", text)] == ["hello there", "and you"]


def test_ends_that_are_missing_wrong_or_behind() -> None:
    text = "WEBVTT\n\n00:05.000 --> 00:05.000\nb\n\n00:01.000 --> 00:00.500\na\n\n00:09.000 --> 00:08.000\nlast\n"
    assert cues(".vtt", text) == [(1000, 5000, "a", ""), (5000, 9000, "b", ""), (9000, 11000, "last", "")]


def test_text_with_times() -> None:
    text = "Interview\n\n[00:00:05] ANN: Hello.\nAnd more.\n00:01:10 BOB: Yes.\n(1:02:03.5) ANN: No.\n00:00:99 x"
    assert cues(".txt", text) == [
        (5000, 70_000, "Hello.\nAnd more.", "ANN"),
        (70_000, 99_000, "BOB: Yes.", ""),
        (99_000, 3_723_500, "x", ""),
        (3_723_500, 3_725_500, "No.", "ANN"),
    ]
    assert cues(".txt", "[00:00:00.000 --> 00:00:02.500]   Said on a console\n") == [(0, 2500, "Said on a console", "")]
    assert "no line begins with a time" in flaws(".txt", "no times\n")


# ------------------------------------------------------------------------------------------------------------------ JSON

SAID = [(1000, 2000, "Hello there", "Ann"), (2500, 4000, "Good day", "")]
JSON = {
    "podcasting": {
        "version": "1.0.0",
        "segments": [
            {"speaker": "Ann", "startTime": 1, "endTime": 2, "body": "Hello there"},
            {"startTime": 2.5, "endTime": 4.0, "body": "Good day"},
        ],
    },
    "podlove": [
        {"start": "00:00:01.000", "start_ms": 1000, "end_ms": 2000, "speaker": "Ann", "text": "Hello there"},
        {"start": "00:00:02.500", "end": "00:00:04.000", "text": "Good day"},
    ],
    "whisper": {
        "text": "",
        "segments": [
            {"id": 0, "start": 1.0, "end": 2.0, "text": " Hello there", "speaker": "Ann"},
            {"id": 1, "start": 2.5, "end": 4.0, "text": " Good day", "words": []},
        ],
    },
    "whisperx": {
        "word_segments": [],
        "segments": [
            {"words": [{"word": "Hello", "start": 1.0}, {"word": "1"}, {"word": "there", "end": 2.0}],
             "text": "Hello there", "speaker": "Ann"},
            {"start": 2.5, "end": 4.0, "text": "Good day"},
        ],
    },
    "whisper.cpp": {
        "transcription": [
            {"timestamps": {}, "offsets": {"from": 1000, "to": 2000}, "text": " Hello there", "speaker": "Ann"},
            {"timestamps": {"from": "00:00:02,500", "to": "00:00:04,000"}, "text": "Good day"},
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("form", JSON)
def test_json(form: str) -> None:
    text = json.dumps(JSON[form])
    assert cues(".json", text) == SAID
    assert read(b".json", text.encode(), LATIN).form == (form if form != "whisper" else "whisperx")
    assert not flaws(".json", text)


def test_words_alone_become_sentences() -> None:
    words = ["one", "two", "three.", "four", "five"]
    segments = [{"startTime": n, "endTime": n + 0.9, "body": word} for n, word in enumerate(words)]
    assert cues(".json", json.dumps({"segments": segments})) == [
        (0, 2900, "one two three.", ""),
        (3000, 4900, "four five", ""),
    ]


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("{", "1: it is not JSON"),
        ("[" * 100_000, "nested too deep"),
        ("[" * 500_000, "too many values"),
        ("[1, null]", "entry 1 is no object"),
        ("3", "none of the known forms"),
        ('{"chapters": []}', "none of the known forms"),
        ('{"segments": [{"start": NaN, "end": 1e999, "text": "a"}, {"start": -1, "text": "b"}]}', "no time"),
        ('{"segments": [{"start": ' + "9" * 5000 + ', "text": "a"}]}', "it is not JSON"),
    ],
)
def test_json_that_is_broken(text: str, flaw: str) -> None:
    assert flaw in flaws(".json", text)


def test_surrogates_and_controls_are_no_text() -> None:
    (cue,) = read(b".json", b'[{"start_ms": 0, "end_ms": 9, "text": "a\\ud800\\u0000\\u202eb"}]', LATIN).cues
    assert cue.text == "a?b"


# ------------------------------------------------------------------------------------------------------------------ OHMS

OHMS = """<?xml version="1.0" encoding="UTF-8"?>
<ROOT xmlns="https://www.weareavp.com/nunncenter/ohms"><record id="1">
<sync>1:|2(2)|3(1)</sync>
<transcript>First line here
goes on and
ends so.
Last line</transcript></record></ROOT>"""


def test_ohms_with_marks() -> None:
    assert cues(".xml", OHMS) == [
        (0, 60_000, "First line here\ngoes on", ""),
        (60_000, 120_000, "and\nends", ""),
        (120_000, 122_000, "so.\nLast line", ""),
    ]


def test_ohms_with_vtt() -> None:
    text = OHMS.replace(
        "<sync>", "<vtt_transcript>WEBVTT\n\n00:01.000 --&gt; 00:02.000\nHello\n</vtt_transcript><sync>"
    )
    assert cues(".xml", text) == [(1000, 2000, "Hello", "")]


INDEX = """<ROOT xmlns="https://www.weareavp.com/nunncenter/ohms"><record id="1"><title>All of it</title><index>
<point><time>0</time><title>Childhood &lt;i&gt;in&lt;/i&gt; Kentucky &amp;amp; Ohio</title><synopsis>Long</synopsis></point>
<point><time>01:02</time><title/><gpspoints><gps>1,2</gps></gpspoints></point>
<point><time>185</time><title>War</title></point></index></record></ROOT>"""


def test_the_points_of_an_index() -> None:
    points, flaw = read_points(INDEX.encode())
    assert (points, flaw) == ([(0, "Childhood in Kentucky & Ohio"), (62_000, ""), (185_000, "War")], "")
    assert flaws(".xml", INDEX) == ""
    assert read_points(INDEX.replace(">185<", "><").encode()) == (
        points[:2],
        "1 of the points of its index have no time that can be read",
    )
    assert read_points(INDEX[:-60].encode())[0][:2] == points[:2]
    assert read_points(OHMS.encode()) == ([], "")


BOMB = """<!DOCTYPE a [<!ENTITY b "xxxxxxxxxx"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<ROOT><sync>1:|2</sync><transcript>&c;</transcript></ROOT>"""


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (BOMB, "1: it is no transcript: it declares entities"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><ROOT><transcript>&b;</transcript></ROOT>', "entities"),
        ("<a>" * 100, "nested too deep"),
        ("<ROOT><sync>1:|2</sync><transcript>one\ntwo", "not XML to its end"),
        ('<?xml version="1.0" encoding="base64"?><ROOT/>', "not XML to its end"),
        ("<ROOT/>", "no transcript"),
        ("<ROOT><transcript>words</transcript></ROOT>", "no marks"),
        ("<ROOT><sync>1:|x</sync><transcript>words</transcript></ROOT>", "names no line"),
    ],
)
def test_ohms_that_is_broken(text: str, flaw: str) -> None:
    assert flaw in flaws(".xml", text)


def test_an_index_that_is_a_bomb_or_none() -> None:
    for data in (
        INDEX.replace("<ROOT", '<!DOCTYPE a [<!ENTITY b "x">]><ROOT').encode(),
        *(b"<point>" * 100, b"", b"\xff\xfe", b" " * (MOST_BYTES + 1)),
    ):
        assert read_points(data) == ([], "")


def test_what_stands_before_a_mistake_is_read() -> None:
    assert [said for *_, said, _ in cues(".xml", "<ROOT><sync>1:|2</sync><transcript>one\ntwo<")] == ["one", "two"]


# ---------------------------------------------------------------------------------------------------- bytes and bounds


def test_encodings() -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nÄrger\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert cues(".vtt", text.encode(encoding)) == [(1000, 2000, "Ärger", "")]
    assert cues(".vtt", text.encode("latin-1")) == [(1000, 2000, "Ärger", "")]
    assert "4: it is not UTF-8; it is read as windows-1252" in flaws(".vtt", text.encode("latin-1"))
    chinese = "1\n00:01.000 --> 00:02.000\n你好\n".encode("gb2312")
    assert read(b".srt", chinese, "gb18030").cues[0].text == "你好"


def test_what_is_too_large_is_not_read() -> None:
    found = read(b".vtt", b" " * (MOST_BYTES + 1), LATIN)
    assert (found.cues, found.flaws[0].detail) == ((), "it is larger than 8 MiB")
    many = "".join(f"{n}.0 --> {n}.5\nx\n" for n in range(MOST_CUES + 7))
    found = read(b".vtt", many.encode(), LATIN)
    assert len(found.cues) == MOST_CUES
    assert found.flaws[-1].detail == f"the cues beyond the first {MOST_CUES} are left out"


@pytest.mark.parametrize("start", ["9" * 4000, "-" + "9" * 400, "NaN", "Infinity", "-1e999", "1e308"])
def test_a_number_that_is_no_time_leaves_the_other_cues(start: str) -> None:
    text = f'{{"segments": [{{"start": {start}, "end": 1, "text": "a"}}, {{"start": 1, "end": 2, "text": "b"}}]}}'
    last = read(b".json", text.encode(), LATIN).cues[-1]
    assert (last.start, last.end, last.text) == (1000, 2000, "b")


def test_flaws_are_few() -> None:
    assert len(read(b".vtt", b"999999:00:00.0 --> 1.0\nx\n" * 1000, LATIN).flaws) <= 20


CUE = "00:01.000 --> 00:02.000\n"
ASCENDING = "|".join(f"1({number})" for number in range(9999))
#: What takes long where a reader goes over it more than once: by ending, a text and how often it comes.
HOSTILE = {
    "rolling": (".vtt", CUE + "<00:00:01.000>a\n" + "".join(f"{n}\n" for n in range(50_000)) + CUE, 9),
    "voices": (".vtt", CUE + "<v" + ".a" * 1_000_000 + CUE, 1),
    "dots": (".vtt", CUE + "<v" + "." * 4_000_000 + CUE, 1),
    "blanks": (".vtt", " " * 4_000_000, 1),
    "tags": (".vtt", CUE + "<a" * 2_000_000 + CUE, 1),
    "names": (".vtt", CUE + "A" * 4_000_000 + ": b\n", 1),
    "words": (".xml", f"<R><sync>1:|{ASCENDING}</sync><transcript>" + "a " * 2_000_000 + "</transcript></R>", 1),
    "marks": (".xml", "<R><sync>1:" + "|1(9)" * 10_000 + "</sync><transcript>" + "a " * 2_000_000 + "</transcript></R>", 1),
    "joined": (".json", '{"segments": [' + ",".join(['{"start": 0, "end": 0.1, "text": "ab"}'] * 100_000) + "]}", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_takes_long(name: str) -> None:
    ending, text, times = HOSTILE[name]
    began = time.process_time()
    read(ending.encode(), (text * times).encode()[:MOST_BYTES], LATIN)
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".vtt", "'1->2\\n' * ((8 << 20) // 5)"),
        (".vtt", "'1->2\\nx\\n' * ((8 << 20) // 7)"),
        (".xml", "'<R><sync>1:|2|9</sync><transcript>' + 'ab\\n' * 2_700_000 + '</transcript></R>'"),
        (".xml", "'<R><sync>1:|2|9</sync><transcript>' + 'a\\n' * 4_000_000 + '</transcript></R>'"),
    ],
)
def test_no_file_takes_much_memory(ending: str, text: str) -> None:
    program = (
        "import resource; from mp3_slicer.transcripts import read;"
        f"read({ending.encode()!r}, ({text}).encode(), 'windows-1252');"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) < 512


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_nothing_has_nothing(ending: bytes) -> None:
    for data in (b"", b"\0" * 1000, b"\xff\xfe", b"\n" * 1000):
        assert read(ending, data, LATIN).cues == ()


# --------------------------------------------------------------------------------------------------------- what is chosen


def test_the_first_that_has_a_cue_is_chosen_and_flaws_before_it_are_named() -> None:
    good = b"1\n00:01.000 --> 00:02.000\nx\n"
    found = choose([("a.vtt", b".vtt", b"nothing"), ("a.srt", b".srt", good), ("a.json", b".json", b"{")], LATIN)
    assert found.name == "a.srt"
    assert [(name, flaw.detail) for name, flaw in found.flaws] == [("a.vtt", "no line names the times of a cue")]
    assert choose([], LATIN).name is None


# ---------------------------------------------------------------------------------------------------------------- spans

CUES = (Cue(0, 1000, "a"), Cue(1000, 5000, "b", "Ann"), Cue(2000, 3000, "c"), Cue(6000, 7000, "d"))


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (0, None, [("a", 0, 1000), ("b", 1000, 5000), ("c", 2000, 3000), ("d", 6000, 7000)]),
        (500, 1000, [("a", 0, 500)]),
        (1000, 2500, [("b", 0, 1500), ("c", 1000, 1500)]),
        (5000, 6000, []),
        (4000, None, [("b", 0, 1000), ("d", 2000, 3000)]),
    ],
)
def test_the_cues_of_a_span(start: int, end: int | None, found: list[tuple[str, int, int]]) -> None:
    assert [(cue.text, cue.start, cue.end) for cue in within(CUES, start, end)] == found


@pytest.mark.parametrize(
    ("span", "moved"),
    [((500, 700), (0, 1000)), ((2500, 6500), (1000, 7000)), ((5200, 5800), (5200, 5800)), ((2500, None), (1000, None))],
)
def test_a_span_snaps_outwards(span: tuple[int, int | None], moved: tuple[int, int | None]) -> None:
    assert snapped(CUES, *span) == moved


def test_a_span_snaps_to_cues_that_overlap_too() -> None:
    said = (Cue(1000, 11_000, "a"), Cue(10_000, 12_000, "b"), Cue(11_500, 14_000, "c"), Cue(14_000, 15_000, "d"))
    for span in ((11_200, 11_300), (13_000, 13_500), (2000, 3000)):
        assert snapped(said, *span) == (1000, 14_000)
    assert snapped(said, 12_500, None) == (1000, None)
    assert snapped(said, 14_500, 14_600) == (14_000, 15_000)
    for begin, end in ((500, 700), (2500, 6500), (11_200, 11_300)):
        start, stop = snapped(said, begin, end)
        assert snapped(said, start, stop) == (start, stop)


def test_captions_that_roll_do_not_make_a_span_the_whole() -> None:
    said = tuple(Cue(number * 2000, number * 2000 + 3000, "x") for number in range(10_000))
    assert snapped(said, 1_000_500, 1_000_600) == (998_000, 1_003_000)


@pytest.mark.parametrize("form", ["vtt", "srt", "json"])
def test_what_is_written_is_read_again(form: str) -> None:
    said = [
        Cue(0, 1000, "1 < 2 & <b> --> so", "Ann"),
        Cue(1000, 2500, "zwei\nZeilen", "Ann"),
        Cue(3_600_000, 3_600_001, "x -- y", ""),
    ]
    found = list(read(b"." + form.encode(), write(said, form), LATIN).cues)
    if form == "srt":
        said[0] = said[0]._replace(text="1 < 2 & → so")
    if form == "json":
        said[0] = said[0]._replace(text="1 < 2 & --> so")
    assert found == said


def test_text_names_a_speaker_when_another_one_speaks() -> None:
    said = [Cue(0, 1, "a", "Ann"), Cue(1, 2, "b\nc", "Ann"), Cue(2, 3, "d", "Bob")]
    assert write(said, "txt") == b"Ann: a\nb c\nBob: d\n"


@pytest.mark.parametrize("ending", [b".vtt", b".txt"])
def test_a_reference_with_more_digits_than_python_converts(ending: bytes) -> None:
    said = f"00:01.000 --> 00:02.000\nA &#{'1' * 5000}; B &#38; C &#x41;\n"
    (only,) = read(ending, said.encode(), "windows-1252").cues
    assert only.text == "A \ufffd B & C A"


# ------------------------------------------------------------------------------------------------- times that are none

GOOD = "00:01.000 --> 00:02.000\nfirst\n\n"
LAST = "00:08.000 --> 00:09.000\nlast\n"


@pytest.mark.parametrize(
    "timing",
    [
        "00:0x.000 --> 00:05.000",
        "--> 00:06.000",
        "-->",
        "-00:00:05.000 --> 00:00:06.000",
        "99999:00:00.000 --> 99999:00:01.000",
        "[never --> 00:00:06.000]",
    ],
)
@pytest.mark.parametrize("ending", [".vtt", ".srt"])
def test_a_line_whose_times_cannot_be_read_is_named_and_its_cue_left_out(ending: str, timing: str) -> None:
    text = f"{GOOD}7\n{timing}\nbroken\n\n{LAST}"
    assert cues(ending, text) == [(1000, 2000, "first", ""), (8000, 9000, "last", "")]
    assert flaws(ending, text) == "5: a cue has no time that can be read"
    text = f"WEBVTT\n\n{timing}\nbroken\n\n{LAST}"
    assert cues(ending, text) == [(8000, 9000, "last", "")]
    assert flaws(ending, text) == "3: a cue has no time that can be read"
    assert flaws(ending, f"{timing}\nbroken\n") == "1: a cue has no time that can be read"


@pytest.mark.parametrize("end", ["", "never", "99999:00:01.000", "x:06"])
def test_an_end_that_cannot_be_read_is_named_and_the_cue_ends_where_the_next_begins(end: str) -> None:
    text = f"{GOOD}7\n00:06.000 --> {end}\nopen\n\n{LAST}"
    assert cues(".vtt", text) == [(1000, 2000, "first", ""), (6000, 8000, "open", ""), (8000, 9000, "last", "")]
    assert flaws(".vtt", text) == "5: a cue has no end that can be read"


@pytest.mark.parametrize(
    "said", ["from a --> to b", "x -> y", "we go --> 5:30", "chapter 5 --> see below", "<i>-></i>"]
)
def test_an_arrow_in_what_is_said_is_said(said: str) -> None:
    text = f"1\n00:01.000 --> 00:02.000\nfirst\n{said}\n\n2\n{LAST}"
    assert len(cues(".srt", text)) == 2
    assert cues(".srt", text)[0][2].startswith("first\n")
    assert flaws(".srt", text) == ""


# ---------------------------------------------------------------------------------------------- entries without a time


@pytest.mark.parametrize("time", ["NaN", "Infinity", "1e308", '"x"', "true", "null", "[1]", "-1", "-7.5"])
@pytest.mark.parametrize("names", [("start", "end"), ("startTime", "endTime"), ("start_ms", "end_ms")])
def test_an_entry_with_an_unusable_time_is_named_and_left_out(names: tuple[str, str], time: str) -> None:
    start, end = names
    unit = 1000 if start == "start_ms" else 1
    text = (
        f'{{"segments": [{{"{start}": {unit}, "{end}": {2 * unit}, "text": "one here"}},'
        f' {{"{start}": {time}, "{end}": {3 * unit}, "text": "two here"}}, {{"text": "three here"}}]}}'
    )
    made = cues(".json", text)
    if time == "null":
        # As if it were not there.
        assert [said for *_, said, _ in made] == ["one here", "two here", "three here"]
        return
    assert [said for *_, said, _ in made] == ["one here", "three here"]
    assert made[1][0] == 2000
    assert "entry 2 has no time that can be read" in flaws(".json", text)


def test_an_unusable_time_of_a_word_is_named_too() -> None:
    text = '[{"start": 0, "end": 1, "text": "a"}, {"start": "x", "end": 2, "text": "b"}, {"start": 2, "end": 3, "text": "c"}]'
    assert [said for *_, said, _ in cues(".json", text)] == ["a", "c"]
    assert "entry 2 has no time" in flaws(".json", text)


# ------------------------------------------------------------------------------------------------------ ends of lines


@pytest.mark.parametrize(
    ("said", "clean"),
    [
        ("portside<br>starboard<br/>bow<BR />stern", "portside\nstarboard\nbow\nstern"),
        ("<p>one</p><p>two</p><div>three</div>four", "one\ntwo\nthree\nfour"),
        ("a\vb\fc\x1cd\x1de\x1ef\x85g\u2028h\u2029i", "a\nb\nc\nd\ne\nf\ng\nh\ni"),
        (r"{\i1}one\Ntwo\hthree{\i0}", "one\ntwo three"),
        ("<i>New</i> Y<b>or</b>k<c.red>s</c>", "New Yorks"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_what_ends_a_line_glues_no_words(said: str, clean: str) -> None:
    text = json.dumps({"segments": [{"startTime": 1, "endTime": 2, "body": said}]})
    assert cues(".json", text) == [(1000, 2000, clean, "")]
