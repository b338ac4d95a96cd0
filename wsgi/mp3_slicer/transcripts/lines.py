"""VTT, SRT, and text with times in front of what is said: read line by line, whatever else is wrong with them.

A line with --> and two times begins a cue, which goes on to the next such line (WebVTT, W3C Candidate Recommendation, section 4.1, is
stricter than the files that there are).
"""

import re
from collections import Counter
from io import StringIO

from mp3_slicer.transcripts.cues import MOST_CUES, Collector, Transcript
from mp3_slicer.transcripts.times import TIME, milliseconds

_TIMING = re.compile(rf"[\s\[(]*({TIME})\s*-{{1,2}}>\s*({TIME})(?![0-9]*:[0-9])[\])]?(.*)", re.ASCII)
#: What is meant to be a time: without blanks, or of digits alone.
_TIMELIKE = re.compile(r"[-+\u2212]?[0-9](?:\w*(?:[:.,;]\w*)+|[0-9:.,; ]*[:;][0-9:.,; ]*)")
#: Characters in front of an arrow at most that are looked at for one.
_MOST_BEFORE = 40
#: A time alone in front of what is said.
_MARK = re.compile(
    r"\s*[\[(<]?((?:[0-9]{1,4}:)?[0-9]{1,4}:[0-9]{2}(?:[.,][0-9]{1,9})?)[\])>]?(?:\s*[-–|]\s+|\s+|$)(.*)", re.ASCII
)
_BLOCK = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_NUMBER = re.compile(r"\s*[0-9]{1,9}\s*", re.ASCII)
_VOICE = re.compile(r"<v(?:\.[^\s<>.]{0,50}){0,8}\s{1,9}([^<>]{1,200})>")
_NAME = re.compile(r"([^\W_][^:\n<>]{0,48}):\s+(?=\S)")
#: Times within a cue: made by a program that repeats the line before in each cue.
_ROLLING = re.compile(r"<[0-9]{1,4}:[0-9:.]{4,12}>")
_MOST_WORDS = 4


def read_cues(text: str, form: str) -> Transcript:
    """Read VTT or SRT."""
    collector = Collector()
    found: list[tuple[int, str, str, list[str]]] = []
    # Line by line: a list of all would be many times as large as the file.
    for number, line in enumerate((each.rstrip("\n") for each in StringIO(text, newline=None)), 1):
        match = _TIMING.match(line) if "->" in line else None
        start = _meant(line) if match is None and "-->" in line else None
        if match is None and start is None:
            if found:
                found[-1][3].append(line)
            continue
        if found:
            _without_identifier(found[-1][3])
        if len(found) == MOST_CUES:
            collector.flaw(f"the cues beyond the first {MOST_CUES} are left out", number)
            break
        if match is None:
            found.append((number, start or "", "", []))
            continue
        said = match[3].strip()
        # Behind the times of VTT stand settings, behind those of a console what is said.
        found.append((number, match[1], match[2], [said] if line.lstrip().startswith(("[", "(")) else []))
    bodies = [_without_blocks(lines) for *_, lines in found]
    if _ROLLING.search(text):
        bodies = _unrolled(bodies)
    said_by = _speakers(bodies)
    if not found and text.strip():
        collector.flaw("no line names the times of a cue")
    for (number, start, end, _), body in zip(found, bodies, strict=True):
        begin = milliseconds(start)
        if begin is None:
            collector.flaw("a cue has no time that can be read", number)
            continue
        if not end:
            collector.flaw("a cue has no end that can be read", number)
        speaker, said = _voice("\n".join(body), said_by)
        collector.add(begin, milliseconds(end), said, speaker, number)
    return collector.transcript(form)


def _meant(line: str) -> str | None:
    """The start of a cue in a line that is meant to name its times, and does not; None for a line that is said."""
    before, _, after = line.partition("-->")
    if len(before) > _MOST_BEFORE:
        return None
    before = before.strip(" \t[(")
    first = after[:_MOST_BEFORE].split()[:1]
    ends = not first or _TIMELIKE.match(first[0]) is not None
    if _TIMELIKE.fullmatch(before) or (not before and ends) or (first and ends and len(before.split()) == 1):
        return before
    return None


def read_marks(text: str) -> Transcript:
    """Read text whose lines begin with a time; lines without one go on with what the line before says."""
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        match = _MARK.match(line)
        if match:
            found.append((number, match[1], [match[2]]))
        elif found:
            found[-1][2].append(line)
    said_by = _speakers([body for *_, body in found])
    collector = Collector()
    if not found and text.strip():
        collector.flaw("no line begins with a time")
    for number, start, body in found:
        speaker, said = _voice("\n".join(body), said_by)
        collector.add(milliseconds(start), None, said, speaker, number)
    return collector.transcript("txt")


def _without_identifier(lines: list[str]) -> None:
    """Take away what names the next cue: a line behind an empty one, or a number."""
    if lines and lines[-1].strip() and (_NUMBER.fullmatch(lines[-1]) or (len(lines) > 1 and not lines[-2].strip())):
        del lines[-1]


def _without_blocks(lines: list[str]) -> list[str]:
    """The lines of a cue without empty ones, and without notes and styles behind it."""
    kept: list[str] = []
    after_empty = skipping = False
    for line in lines:
        if not line.strip():
            after_empty, skipping = True, False
            continue
        skipping = skipping or (after_empty and _BLOCK.match(line) is not None)
        after_empty = False
        if not skipping:
            kept.append(line)
    return kept


def _unrolled(bodies: list[list[str]]) -> list[list[str]]:
    """The lines of each cue without those that were said in the cue before."""
    before: frozenset[str] = frozenset()
    made = []
    for body in bodies:
        plain = [re.sub(r"<[^<>]{0,300}>", "", line).strip() for line in body]
        made.append([line for line, bare in zip(body, plain, strict=True) if bare not in before])
        before = frozenset(plain)
    return made


def _speakers(bodies: list[list[str]]) -> frozenset[str]:
    """The names that stand with a colon in front of what is said, in more than one cue."""
    found = Counter(
        match[1].strip() for body in bodies if body and (match := _NAME.match(body[0].lstrip("-–> "))) is not None
    )
    return frozenset(name for name, count in found.items() if count > 1 and _is_name(name))


def _is_name(text: str) -> bool:
    words = text.split()
    return 1 <= len(words) <= _MOST_WORDS and all(not word[0].islower() for word in words)


def _voice(text: str, names: frozenset[str]) -> tuple[str, str]:
    """The speaker of a cue, empty where none is named, and what is said."""
    voice = _VOICE.search(text)
    if voice is not None:
        return voice[1].strip(), text
    said = text.lstrip("-–> ") if names else text
    match = _NAME.match(said)
    if match is not None and match[1].strip() in names:
        return match[1].strip(), said[match.end() :]
    return "", text
