"""Tags of MP3 files: title, artist, album, date and chapters. Bytes in, values out; nothing here opens a file."""

from mp3_slicer.tags.chapters import MOST_CHAPTERS, Chapter, chapter_of, read_chapters_json, write_chapters
from mp3_slicer.tags.id3 import Names, Tags, in_blocks, read_tags

__all__ = [
    "MOST_CHAPTERS",
    "Chapter",
    "Names",
    "Tags",
    "chapter_of",
    "in_blocks",
    "read_chapters_json",
    "read_tags",
    "write_chapters",
]
