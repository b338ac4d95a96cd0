"""Chapters: those of a tag or of a sidecar of Podcasting 2.0 (JSON chapters 1.2), in order, each with a name of its own."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mp3_slicer.encoded import decoded, told

#: Chapters that are read, and characters of a title and of a URL.
MOST_CHAPTERS, MOST_TITLE, MOST_URL = 1000, 500, 2000
#: Bytes of a sidecar.
MOST_BYTES = 1 << 20
CONTENT_TYPE = "application/json+chapters"
#: Seconds that a time may be: a thousand hours.
_MOST_SECONDS = 3_600_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]+")


class Chapter(NamedTuple):
    """A chapter. Times are milliseconds from the first sample."""

    start: int
    end: int | None  #: after the start; None where nobody says, and nothing follows
    title: str
    url: str = ""
    element: str = ""  #: what its tag calls it


def ordered(chapters: Iterable[Chapter]) -> tuple[Chapter, ...]:
    """Chapters in order of their starts; where an end is missing or wrong, the next start is it."""
    found = sorted(chapters, key=lambda each: each.start)[:MOST_CHAPTERS]
    made = []
    for number, each in enumerate(found):
        end = each.end
        if end is None or end <= each.start:
            end = next((other.start for other in found[number + 1 :] if other.start > each.start), None)
        made.append(each._replace(end=end))
    return tuple(made)


def chapter_of(chapters: Sequence[Chapter], name: str) -> Chapter | None:
    """The chapter that a URL's `id` names: chapter-1 is the first one, and what its tag calls it is right too."""
    prefix, _, number = name.partition("-")
    if prefix == "chapter" and re.fullmatch("[1-9][0-9]{0,4}", number, re.ASCII) and int(number) <= len(chapters):
        return chapters[int(number) - 1]
    return next((each for each in chapters if each.element and each.element == name), None)


def plain(text: str, most: int) -> str:
    """Text without control characters, as one line of at most so many characters."""
    text = (
        _CONTROL.sub(" ", text.encode("utf-8", "replace").decode()) if not text.isascii() else _CONTROL.sub(" ", text)
    )
    return " ".join(text.split())[:most]


def read_chapters_json(data: bytes, fallback: str) -> tuple[tuple[Chapter, ...], str]:
    """The chapters of a sidecar, and what is wrong with it, empty for nothing. `fallback` is the encoding of what is not UTF-8.

    Whatever the bytes are, this returns.
    """
    if len(data) > MOST_BYTES:
        return (), f"it is larger than {MOST_BYTES >> 20} MiB"
    text, line = decoded(data, fallback)
    chapters, flaw = _chapters(text)
    return chapters, "; ".join(filter(None, (told(fallback) if line is not None else "", flaw)))


def _chapters(text: str) -> tuple[tuple[Chapter, ...], str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return (), "it is not JSON"
    entries = document.get("chapters") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        return (), "it has no list of chapters"
    chapters = [chapter for each in entries if (chapter := _chapter(each)) is not None]
    if len(chapters) > MOST_CHAPTERS:
        return ordered(chapters), f"it has more than {MOST_CHAPTERS} chapters"
    missing = len(entries) - len(chapters)
    return ordered(chapters), f"{missing} of its chapters have no time that can be read" if missing else ""


def _chapter(entry: Any) -> Chapter | None:
    if not isinstance(entry, dict):
        return None
    start, end = (_milliseconds(entry.get(name)) for name in ("startTime", "endTime"))
    if start is None:
        return None
    title, url = (entry[name] if isinstance(entry.get(name), str) else "" for name in ("title", "url"))
    url = plain(url, MOST_URL)
    return Chapter(start, end, plain(title, MOST_TITLE), url if url.startswith(("https://", "http://")) else "")


def _milliseconds(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_SECONDS:
        return None
    return round(value * 1000) if math.isfinite(value) else None


def write_chapters(chapters: Sequence[Chapter]) -> bytes:
    """JSON chapters 1.2 of Podcasting 2.0, with the name that a clip's `id` has beside each."""
    entries = [
        {
            "startTime": each.start / 1000,
            **({"endTime": each.end / 1000} if each.end is not None else {}),
            "title": each.title,
            **({"url": each.url} if each.url else {}),
            "id": f"chapter-{number}",
        }
        for number, each in enumerate(chapters, 1)
    ]
    return (json.dumps({"version": "1.2.0", "chapters": entries}, ensure_ascii=False) + "\n").encode()
