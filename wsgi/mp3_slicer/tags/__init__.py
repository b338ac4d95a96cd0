"""Tags of MP3 files: title, artist, album, date and chapters. Bytes in, values out; nothing here opens a file."""

from mp3_slicer.tags.chapters import MOST_CHAPTERS, Chapter, chapter_of, read_chapters_json, write_chapters
from mp3_slicer.tags.cover import COVER_ENDINGS, MOST_COVER, SNIFFED, Cover, content_type_of, has_cover, read_cover
from mp3_slicer.tags.id3 import Names, Tags, in_blocks, read_tags

__all__ = [
    "COVER_ENDINGS",
    "MOST_CHAPTERS",
    "MOST_COVER",
    "SNIFFED",
    "Chapter",
    "Cover",
    "Names",
    "Tags",
    "chapter_of",
    "content_type_of",
    "has_cover",
    "in_blocks",
    "read_chapters_json",
    "read_cover",
    "read_tags",
    "write_chapters",
]
