"""The files beside a source, and its tags: transcript, chapters and names, or nothing where there is none."""

from collections.abc import Collection
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from mp3_slicer.errors import parsed
from mp3_slicer.media.shelf import Opened
from mp3_slicer.media.sidecars import Sidecars
from mp3_slicer.mp3 import SECOND
from mp3_slicer.pictures import Pictured, Pictures
from mp3_slicer.tags import (
    COVER_ENDINGS,
    Chapter,
    Names,
    Tags,
    in_blocks,
    read_chapters_json,
    read_tags,
)
from mp3_slicer.tags.chapters import MOST_BYTES as MOST_CHAPTER_BYTES
from mp3_slicer.tags.chapters import MOST_TITLE, ordered, plain
from mp3_slicer.tags.id3 import Read
from mp3_slicer.transcripts import ENDINGS, MOST_BYTES, Choice, Point, choose, read_points
from mp3_slicer.web.request import Request

#: What the sidecar of chapters adds to its source's path.
CHAPTERS = b".chapters.json"


class Words(NamedTuple):
    """The transcript of a source."""

    choice: Choice
    modified: int  #: the time of the file that was chosen, or of the source, in seconds since 1970


class Chaptered(NamedTuple):
    """The chapters of a source."""

    chapters: tuple[Chapter, ...]
    modified: int  #: as for a transcript
    flaws: tuple[tuple[str, str], ...] = ()  #: the file, and what is wrong with it


class Beside:
    """One object for all threads; it holds nothing that changes."""

    def __init__(self, sidecars: Sidecars, encoding: str) -> None:
        """`encoding` is that of transcripts and chapters which are not UTF-8."""
        self._sidecars = sidecars
        self._pictures = Pictures(sidecars)
        self._encoding = encoding

    def there(self, opened: Opened) -> Collection[bytes]:
        """The paths of all sidecars of a source, as far as they are known without opening them."""
        return self._sidecars.there(opened.name, (*ENDINGS, CHAPTERS, *COVER_ENDINGS))

    def words(self, opened: Opened, request: Request, there: Collection[bytes] | None = None) -> Words:
        """The transcript of an open source; without cues where there is none. `there` are its sidecars where they are known."""
        times: dict[str, int] = {}

        def each() -> Any:
            for found in self._sidecars.read(opened.name, ENDINGS, request.permit, MOST_BYTES, there):
                times[found.name] = found.mtime_ns // SECOND
                yield found.name, found.ending, found.data

        choice = choose(each(), self._encoding)
        return Words(choice, times[choice.name] if choice.name is not None else _modified(opened))

    def chapters(
        self, opened: Opened, request: Request, tags: Tags | None = None, there: Collection[bytes] | None = None
    ) -> Chaptered:
        """The chapters of an open source: of a sidecar, or else of its tag, which is read unless it is given."""
        flaws = []
        there = self.there(opened) if there is None else there
        for found in self._sidecars.read(opened.name, (CHAPTERS,), request.permit, MOST_CHAPTER_BYTES, there):
            nothing: tuple[tuple[Chapter, ...], str] = ((), "")
            (chapters, flaw), reason = parsed(partial(read_chapters_json, found.data, self._encoding), nothing)
            if flaw or reason:
                flaws.append((found.name, flaw or reason))
            if chapters:
                return Chaptered(chapters, found.mtime_ns // SECOND, tuple(flaws))
        for found in self._sidecars.read(opened.name, (b".xml",), request.permit, MOST_BYTES, there):
            unread: tuple[list[Point], str] = ([], "")
            (points, flaw), reason = parsed(partial(read_points, found.data), unread)
            if flaw or reason:
                flaws.append((found.name, flaw or reason))
            if points:
                chapters = ordered(Chapter(each.start, None, plain(each.title, MOST_TITLE)) for each in points)
                return Chaptered(chapters, found.mtime_ns // SECOND, tuple(flaws))
        return Chaptered((tags or self.tags(opened)[0]).chapters, _modified(opened), tuple(flaws))

    def tags(self, opened: Opened, read: Read | None = None) -> tuple[Tags, str]:
        """The tags of an open source, and why they cannot be read; empty where they can."""
        get = read or in_blocks(opened.source.read)
        return parsed(lambda: read_tags(get, opened.source.identity.size), Tags(Names(), ()))

    def cover(self, opened: Opened, request: Request) -> Pictured | None:
        """The picture of an open source; None where it has none."""
        return self._pictures.read(opened.name, opened.source, request.permit)

    def describe(self, opened: Opened, request: Request) -> tuple[dict[str, Any], int]:
        """The members of a source's description that are known from tags and sidecars, and when the last of them changed."""
        # For a store that is one request.
        there = self.there(opened)
        read = in_blocks(opened.source.read)
        pictured = self._pictures.look(opened.name, opened.source, request.permit, read, there)
        tags, reason = self.tags(opened, read)
        words, chaptered = self.words(opened, request, there), self.chapters(opened, request, tags, there)
        choice = words.choice
        flaws = [{"file": name, "line": flaw.line, "detail": flaw.detail} for name, flaw in choice.flaws]
        own = opened.name.rpartition(b"/")[2].decode("utf-8", "replace")
        flaws += [
            {"file": name, "line": None, "detail": detail}
            for name, detail in (*chaptered.flaws, *([(own, reason)] if reason else ()))
        ]
        transcript = None
        if choice.name is not None:
            cues = choice.transcript.cues
            transcript = {"file": choice.name, "form": choice.transcript.form, "cues": len(cues)}
        members = {
            **tags.names._asdict(),
            "chapters": len(chaptered.chapters),
            "cover": f"/covers/{quote(opened.name)}" if pictured is not None else None,
            "transcript": transcript,
            "unreadable": flaws,
        }
        return members, max(
            _modified(opened), words.modified, chaptered.modified, pictured.mtime_ns // SECOND if pictured else 0
        )


def _modified(opened: Opened) -> int:
    return opened.source.identity.mtime_ns // SECOND
