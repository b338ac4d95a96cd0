"""Cross-origin reading (the Fetch standard's CORS protocol), for the origins in the settings."""

from collections.abc import Mapping
from typing import Any

#: Headers that scripts on other origins may read.
EXPOSED = "Accept-Ranges, Content-Length, Content-Location, Content-Range, ETag, Location, Preference-Applied, Retry-After, X-Clip-Span"
_ALLOWED = "Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since, Prefer, Range"


class Cors:
    """Adds the headers. With one origin or `*` they are always the same, so that caches need no Vary."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origins)
        self._fixed = "*" if "*" in origins else origins[0] if len(origins) == 1 else None

    def headers(self, fields: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The headers of any response to a request with these fields."""
        if not self._origins:
            return []
        headers = [("Access-Control-Expose-Headers", EXPOSED)]
        if self._fixed:
            return [("Access-Control-Allow-Origin", self._fixed), *headers]
        origin = fields.get("HTTP_ORIGIN", "")
        if origin in self._origins:
            headers.append(("Access-Control-Allow-Origin", origin))
        return [*headers, ("Vary", "Origin")]

    def preflight(self, methods: str) -> list[tuple[str, str]]:
        """The further headers of an answer to OPTIONS, where these methods are possible."""
        if not self._origins:
            return []
        return [
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", _ALLOWED),
            ("Access-Control-Max-Age", "86400"),
        ]
