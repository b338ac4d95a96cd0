"""The Content-Disposition of a download (RFC 6266, with the extended notation of RFC 8187)."""

import os
import re
from urllib.parse import quote

_MAX_NAME = 150
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\ufffd\ud800-\udfff]+')


def attachment(name: str, path: bytes, span: str, suffix: str = ".mp3") -> str:
    """The header's value for a file called `name`; without one, called after `path`, which ends in `suffix`, and the span.

    Characters that file systems refuse become underscores, and the suffix is that of its kind.
    """
    if not name:
        stem = os.path.basename(path).decode("utf-8", "replace")[: -len(suffix)]
        name = f"{stem}_{span.replace(',', '-')}"
    name = _UNSAFE.sub("_", name).strip(" .")[:_MAX_NAME] or "clip"
    if not name.lower().endswith(suffix):
        name += suffix
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    value = f'attachment; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"
