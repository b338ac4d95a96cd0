"""What a job is to make: a canonical request on one version of one source. Its name follows from nothing else."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Literal, Self
from urllib.parse import quote, unquote_to_bytes

from slicer.media.library import is_safe

#: How a job's name looks.
ID = re.compile(r"[0-9a-f]{40}", re.ASCII)

#: By kind: the first part of its URL.
_ROOMS = {"render": "renders", "peaks": "peaks"}
_FORM = re.compile(r"[a-z0-9]{1,10}", re.ASCII)
_QUERY = re.compile(r"[!-~]{1,8190}", re.ASCII)
#: Of what a source's name ends in.
_SUFFIX_BYTES = len(".mp3")
_MOST_SECONDS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One piece of work, complete: whoever has the media folder can do it."""

    kind: Literal["render", "peaks"]
    path: bytes  #: of the source, from the media folder
    form: str  #: the name of a format, or json or dat
    query: str  #: canonical
    key: str  #: the name of the result in the store of results, 40 hexadecimal digits; another one for another version of the source
    url: str  #: where the result is found, canonical
    work_seconds: float  #: of CPU, nearly

    @property
    def id(self) -> str:
        """The job's name, 40 hexadecimal digits: asked for twice it is one job, and a source that was replaced makes it another one."""
        return hashlib.blake2b(repr((self.path, self.key)).encode(), digest_size=20).hexdigest()

    def to_json(self) -> str:
        """As text for Redis."""
        return json.dumps({**asdict(self), "path": quote(self.path)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From that text. Raises ValueError, TypeError or KeyError where it is none, or leads elsewhere than its source and result are."""
        fields = json.loads(text)
        order = cls(**{**fields, "path": unquote_to_bytes(fields["path"])})
        if not (
            order.kind in _ROOMS
            and is_safe(order.path)
            and _FORM.fullmatch(order.form)
            and _QUERY.fullmatch(order.query)
            and ID.fullmatch(order.key)
            and order.url == url_of(order.kind, order.path, order.form, order.query)
            and 0 <= float(order.work_seconds) < _MOST_SECONDS
        ):
            raise ValueError("it is no order")
        return order


def url_of(kind: str, path: bytes, form: str, query: str) -> str:
    """Where the result of an order is found: its canonical URL."""
    return f"/{_ROOMS[kind]}/{quote(path[:-_SUFFIX_BYTES])}.{form}?{query}"
