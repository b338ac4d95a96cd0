"""Remove a site's entries from Nginx's cache: purge_cache.py FOLDER [PATH [T]] prints how many.

FOLDER is nginx_cache_path with the site's name; the folders of its other kinds of entries lie beside it. PATH is a file's, as in the URL of
its clips but decoded, or a folder's, with a slash at its end; T is the canonical span of one clip, as in `t`. Nginx takes an entry whose
file is gone for a miss. It may keep a file open for a minute, until it is reloaded.
"""

import os
import re
import stat
import sys

#: A file of the cache begins with binary numbers and the key in a line of its own, within nginx's proxy_buffer_size.
_HEAD_BYTES = 8192
_KEY = re.compile(rb"\nKEY: ([^\n]*)\n")
#: An entry's path: by way of a signed or open location, the kind, and the path in the media folder with the suffix of a form.
_PATH = re.compile(rb"(?:/\.[a-z]+)?/[a-z]+/(.*)", re.DOTALL)


def key_of(path: str) -> bytes:
    """The key of a file of the cache; empty where it has none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = _KEY.search(os.read(file, _HEAD_BYTES)) if stat.S_ISREG(os.fstat(file).st_mode) else None
        finally:
            os.close(file)
    except OSError:
        return b""
    return found[1] if found else b""


def is_meant(key: bytes, wanted: bytes, span: bytes) -> bool:
    """Whether a key, which is the query, a blank and the path, is of a file, or of one in a folder, or of one of its clips."""
    query, _, path = key.partition(b" /")
    found = _PATH.fullmatch(b"/" + path)
    if found is None:
        return False
    if span and b"t=" + span not in query.split(b" ")[-1].split(b"&"):
        return False
    if not wanted or wanted.endswith(b"/"):
        return found[1].startswith(wanted)
    # /renders/show.flac is of show.mp3, too.
    stem = wanted.rpartition(b".")[0]
    return found[1] == wanted or (stem != b"" and found[1].rpartition(b".")[0] == stem)


def main() -> int:
    """Remove what is named, and print how many entries that were."""
    folder, *more = sys.argv[1:]
    wanted, span = (os.fsencode(each) for each in [*more, "", ""][:2])
    parent, name = os.path.split(folder.rstrip("/"))
    count = 0
    for each in os.listdir(parent):
        if (each != name and not each.startswith(name + ".")) or os.path.islink(os.path.join(parent, each)):
            continue
        for place, _, files in os.walk(os.path.join(parent, each)):
            for file in files:
                path = os.path.join(place, file)
                if not (wanted or span) or is_meant(key_of(path), wanted.lstrip(b"/"), span):
                    try:
                        os.unlink(path)
                    except FileNotFoundError:
                        continue
                    count += 1
    print(count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
