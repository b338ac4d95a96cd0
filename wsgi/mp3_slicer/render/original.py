"""An open source of results."""

from collections.abc import Callable
from dataclasses import dataclass

from mp3_slicer.media.source import Source
from mp3_slicer.mp3 import Index
from mp3_slicer.render.version import Version


@dataclass(frozen=True, slots=True)
class Original:
    """An open source of a result."""

    path: bytes  #: from the media folder
    source: Source
    index: Index
    check: Callable[[], None]  #: raises SourceChangedError if it was written to since it was opened

    @property
    def version(self) -> Version:
        """Its version."""
        return Version.of(self.path, self.source.identity, self.index)
