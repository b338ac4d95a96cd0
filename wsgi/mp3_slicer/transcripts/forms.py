"""Transcripts in JSON: Podcasting 2.0, Podlove, Whisper, WhisperX and whisper.cpp.

Each is a list of things that are said, under one name or another. What belongs to which is told by the names.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from mp3_slicer.transcripts.cues import MOST_TIME, Collector, Transcript
from mp3_slicer.transcripts.times import of_milliseconds, of_seconds

#: Brackets and commas of a file at most: Python takes some sixty bytes for the shortest value.
MOST_CONTAINERS, MOST_VALUES = 400_000, 1_500_000
#: Words that are a cue each are put together up to so many milliseconds, so long a pause, or so many characters.
_LONGEST, _PAUSE, _MOST_JOINED = 6000, 700, 300
_SENTENCE = re.compile(r"[.!?。！？…][\"'”’)]*\Z")
#: A cue in which one word is said.
_WORD = re.compile(r"\S+")


def read_json(text: str) -> Transcript:
    """Read any of them."""
    collector = Collector()
    if text.count("[") + text.count("{") > MOST_CONTAINERS or text.count(",") > MOST_VALUES:
        collector.flaw("it is no transcript: it has too many values")
        return collector.transcript("json")
    try:
        document = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", None)
        collector.flaw(f"it is not JSON: {getattr(error, 'msg', 'a number is too long')}", line)
        return collector.transcript("json")
    except RecursionError:
        collector.flaw("it is no transcript: it is nested too deep")
        return collector.transcript("json")
    form, items = _items(document)
    if items is None:
        collector.flaw("it is JSON, and none of the known forms of transcripts")
        return collector.transcript("json")
    said = []
    for number, item in enumerate(items):
        if isinstance(item, dict):
            entry = _said(item)
            if entry[0] is None or 0 <= entry[0] <= MOST_TIME:
                said.append(entry)
            elif entry[2].strip():
                collector.flaw(f"entry {number + 1} has no time that can be read")
        else:
            collector.flaw(f"entry {number + 1} is no object")
    for start, end, body, speaker in _joined(said) if _are_words(said) else said:
        # Without a time it comes right behind what comes before it.
        collector.add(collector.last_end if start is None else start, end, body, speaker)
    return collector.transcript(form)


def _items(document: Any) -> tuple[str, list[Any] | None]:
    """Which form it is, and the list in it."""
    if isinstance(document, list):
        return "podlove", document
    if not isinstance(document, dict):
        return "json", None
    for name, form in (("transcription", "whisper.cpp"), ("transcripts", "podlove"), ("segments", "whisper")):
        found = document.get(name)
        if not isinstance(found, list):
            continue
        if form == "whisper":
            first = next((each for each in found if isinstance(each, dict)), {})
            if "body" in first or "startTime" in first:
                form = "podcasting"
            elif "word_segments" in document or "speaker" in first:
                form = "whisperx"
        return form, found
    return "json", None


_Said = tuple[int | None, int | None, str, str]
#: Of an edge that is there and is no time. One that is not there is None.
_BAD = -1
_UNKNOWN = (None, _BAD)


def _said(item: dict[str, Any]) -> _Said:
    """Start, end, text and speaker of an entry, by any of their names."""
    start, end = (_time(item, edge, other) for edge, other in (("start", "from"), ("end", "to")))
    words = item.get("words")
    if (start in _UNKNOWN or end in _UNKNOWN) and isinstance(words, list):
        # WhisperX gives no time to words of digits: the others tell.
        timed = [each for each in words if isinstance(each, dict)]
        if start in _UNKNOWN:
            start = next((time for each in timed if (time := of_seconds(each.get("start"))) is not None), start)
        if end in _UNKNOWN:
            end = next((time for each in reversed(timed) if (time := of_seconds(each.get("end"))) is not None), end)
    body = next((item[name] for name in ("body", "text") if isinstance(item.get(name), str)), "")
    speaker = next((item[name] for name in ("speaker", "voice") if isinstance(item.get(name), str | int)), "")
    return start, end, body, "" if isinstance(speaker, bool) else str(speaker)


def _time(item: dict[str, Any], edge: str, other: str) -> int | None:
    """An edge of an entry by the first of its names that has a time."""
    found = [
        (item.get(f"{edge}_ms"), of_milliseconds),
        (item.get(f"{edge}Time"), of_seconds),
        (item.get(edge), of_seconds),
    ]
    for name in ("offsets", "timestamps"):
        times = item.get(name)
        found.append((times.get(other) if isinstance(times, dict) else None, of_milliseconds))
    there = [(value, read) for value, read in found if value is not None]
    return next((time for value, read in there if (time := read(value)) is not None), _BAD if there else None)


def _are_words(said: list[_Said]) -> bool:
    """Return whether most entries are a word each."""
    bodies = [body for *_, body, _ in said if body.strip()]
    return len(bodies) > 1 and sum(len(_WORD.findall(body)) == 1 for body in bodies) * 10 > 9 * len(bodies)


def _joined(said: list[_Said]) -> Iterator[_Said]:
    """Words put together to what can be read: up to a pause, the end of a sentence, or another speaker."""
    held: _Said | None = None
    for start, end, body, speaker in said:
        if held is not None:
            begun, stopped, text, who = held
            goes_on = (
                who == speaker
                and None not in (begun, stopped, start, end)
                and (start or 0) - (stopped or 0) < _PAUSE
                and (end or 0) - (begun or 0) < _LONGEST
                and len(text) < _MOST_JOINED
                and not _SENTENCE.search(text)
            )
            if goes_on:
                held = (begun, end, f"{text} {body.strip()}".strip(), who)
                continue
            yield held
        held = (start, end, body.strip(), speaker)
    if held is not None:
        yield held
