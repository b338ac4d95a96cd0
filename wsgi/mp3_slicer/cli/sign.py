"""`slicer sign`: a signed URL, or a key to sign with."""

import argparse
import os
import time

from mp3_slicer.cli import values
from mp3_slicer.cli.errors import UsageError
from mp3_slicer.server import privileges
from mp3_slicer.settings import PREFIX
from mp3_slicer.signing import Key, add_key, read_keys, signed_url, split_url
from mp3_slicer.signing.signature import MOST_EXPIRES
from mp3_slicer.timespan import ALLOWED, TimeSpan, TimeSpanError

#: Paths that may need a signature.
_SIGNED_PREFIXES = ("/clips/", "/renders/", "/peaks/", "/transcripts/", "/chapters/", "/covers/", "/info/")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", metavar="URL", help="the URL, or its path and query, to sign")
    parser.add_argument(
        "--key-file", required=True, metavar="FILE", help="the keys that the server has in " + PREFIX + "SIGNING_KEYS"
    )
    parser.add_argument(
        "--expires",
        type=values.seconds,
        default=3600,
        metavar="TIME",
        help="until when, like 90s, 30m, 1h or 7d (default: 1h)",
    )
    parser.add_argument("--key", metavar="NAME", help="the key to sign with (default: the last in the file)")
    parser.add_argument("--new-key", metavar="NAME", help="add a new key to the file, which is made if missing")


def run(options: argparse.Namespace) -> int:
    """Print the signed URL, or add the new key."""
    if (options.new_key is None) == (options.url is None):
        raise UsageError("slicer sign names a URL to sign, or --new-key and the name of a key to make")
    if options.new_key is not None:
        # Root makes it for others to read, and may do so in a folder of theirs: no link of theirs is followed.
        add_key(options.key_file, options.new_key, privileges.open_as_root if os.geteuid() == 0 else os.open)
        return 0
    url = split_url(options.url)
    if not url.path.startswith(tuple(prefix.encode() for prefix in _SIGNED_PREFIXES)):
        raise UsageError(
            f"{options.url[:100]!r} is no URL below {', '.join(_SIGNED_PREFIXES)}: nothing else needs a signature"
        )
    _check_options(url.pairs)
    key = _key(options.key_file, options.key)
    expires = min(int(time.time()) + options.expires, MOST_EXPIRES)
    print(url.origin + signed_url(url.path, url.pairs, key, expires))
    return 0


def _check_options(pairs: list[tuple[str, str]]) -> None:
    """Raise UsageError where the server would refuse the URL's options."""
    for text in (value for name, value in pairs if name == "t"):
        try:
            TimeSpan.parse(text)
        except TimeSpanError as error:
            raise UsageError(f"t={text[:100]!r}: {error} (allowed: {ALLOWED})") from None
    for name in {name for name, _ in pairs} - {"t"}:
        if sum(name == each for each, _ in pairs) > 1:
            raise UsageError(f"the option {name[:50]!r} is given more than once")


def _key(path: str, name: str | None) -> Key:
    """Return the key of that name in a file, None for the last one. Raises UsageError, KeysError."""
    keys = read_keys(path)
    key = keys.newest if name is None else keys.get(name)
    if key is None:
        raise UsageError(f"{path} has no key {(name or '')[:40]!r}")
    return key
