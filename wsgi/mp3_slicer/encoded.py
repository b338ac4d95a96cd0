"""Text of the files beside a source: UTF-8, UTF-16 with a byte order mark, or the encoding that an operator names."""

import codecs

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decoded(data: bytes, fallback: str) -> tuple[str, int | None]:
    """The text, and the line of the first byte that is not UTF-8 where `fallback` is read instead; None where it is not needed."""
    if data.startswith(_UTF16):
        return data.decode("utf-16", "replace"), None
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        return data.decode(fallback, "replace"), data.count(b"\n", 0, error.start) + 1


def told(fallback: str) -> str:
    """What is said of a file that is read in the fallback."""
    return f"it is not UTF-8; it is read as {fallback}"
