"""The query of a URL as options: each name known, none twice, every value text."""

from urllib.parse import unquote_to_bytes

from mp3_slicer.signing import NAMES
from mp3_slicer.web.problems import Problem
from mp3_slicer.web.request import Request
from mp3_slicer.web.routes import Route

_MAX_QUERY = 4096


def read_options(request: Request, route: Route) -> None:
    """Read the options of a request's query, and on routes of media those of a signature. Raises Problem."""
    if route.options is None:
        return
    if not route.is_media:
        request.options = parse_pairs(request.query, route.options, route.repeatable)
        return
    pairs = parse_pairs(request.query, route.options | NAMES, route.repeatable)
    request.options = [pair for pair in pairs if pair[0] not in NAMES]
    if len(request.options) < len(pairs):
        request.credentials = [pair for pair in pairs if pair[0] in NAMES]


def parse_pairs(query: str, allowed: frozenset[str], repeatable: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """The options in a query string in their order. Bytes that are no UTF-8 are kept as surrogates, as file names have them.

    Raises Problem 400, naming the option, on one that is not among `allowed`, or comes twice and is not `repeatable`.
    """
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    if len(query) > _MAX_QUERY:
        raise Problem(400, "query-too-long", f"the query is longer than {_MAX_QUERY} characters")
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        name, value = _text(name), _text(value)
        if name not in allowed:
            raise Problem(
                400,
                "option-unknown",
                f"there is no option {name[:50]!r} here",
                {"option": name[:50], "allowed": sorted(allowed)},
            )
        if name in seen and name not in repeatable:
            raise Problem(400, "option-repeated", f"the option {name!r} is given more than once", {"option": name})
        seen.add(name)
        pairs.append((name, value))
    return pairs


def _text(raw: str) -> str:
    if "%" not in raw and "+" not in raw and raw.isascii():
        return raw
    # WSGI has the query as latin-1 characters (PEP 3333).
    return unquote_to_bytes(raw.replace("+", " ").encode("latin-1")).decode("utf-8", "surrogateescape")
