"""The Prefer field (RFC 7240): optional wishes of a client."""

import re
from collections.abc import Mapping
from typing import NamedTuple

#: One preference: a token, and its value as a token or a quoted string; parameters are ignored.
_CHARACTER = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_PREFERENCE = re.compile(
    rf"""[ \t]*({_CHARACTER}+)(?:[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|{_CHARACTER}*))?[ \t]*(?:;[^,]*)?(?=,|$)""", re.ASCII
)
_SECONDS = re.compile(r"[0-9]{1,6}", re.ASCII)
_MAX_TEXT = 1000


class Preferred(NamedTuple):
    """The preferences that are understood."""

    respond_async: bool  #: it takes a 202 and asks later (section 4.1)
    wait: int | None  #: seconds it would wait for an answer (section 4.3)

    @property
    def applied(self) -> tuple[str, str]:
        """The header that says which of them were followed (section 3)."""
        parts = ["respond-async"] if self.respond_async else []
        if self.wait is not None:
            parts.append(f"wait={self.wait}")
        return "Preference-Applied", ", ".join(parts)

    def __bool__(self) -> bool:
        return self.respond_async or self.wait is not None


def preferred(fields: Mapping[str, str]) -> Preferred:
    """Return the preferences of a request. Others are ignored, and of one that is given twice the first counts (section 2)."""
    found: dict[str, str] = {}
    text = fields.get("HTTP_PREFER", "")
    if len(text) > _MAX_TEXT:
        text = ""
    offset = 0
    while offset < len(text):
        match = _PREFERENCE.match(text, offset)
        end = text.find(",", match.end() if match else offset)
        if match:
            found.setdefault(match.group(1).lower(), (match.group(2) or "").strip('"'))
        offset = len(text) if end < 0 else end + 1
    wait = found.get("wait", "")
    return Preferred("respond-async" in found, int(wait) if _SECONDS.fullmatch(wait) else None)
