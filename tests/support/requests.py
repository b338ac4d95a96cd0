"""Requests as the views of the application get them, without a server."""

from mp3_slicer.settings import Settings
from mp3_slicer.web.ledger import Record
from mp3_slicer.web.request import Clients, Request


def request_of(path: str = "/", **fields: str) -> Request:
    """A GET, or another method, of a path; `fields` are WSGI's."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", **fields}
    return Request(environ, Record(environ, "name"), Clients(Settings(media="/")))
