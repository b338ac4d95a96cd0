"""Slicer with one more answer: a constant body with the headers of a clip, to measure the server's own cost by."""
import os

from mp3_slicer.settings import Settings
from mp3_slicer.web.app import create_app

slicer = create_app(Settings.from_environ(os.environ))
length = int(os.environ["SLICER_BENCH_LENGTH"])
body = [bytes(length)]
headers = [
    ("Content-Type", "audio/mpeg"),
    ("Accept-Ranges", "bytes"),
    ("Cache-Control", "public, max-age=86400"),
    ("Content-Location", "/clips/000.mp3?t=3000,3010"),
    ("ETag", '"ce2f36d27e50271cb23f-1ce-7e2bce0-7e97788"'),
    ("Last-Modified", "Sat, 21 Nov 2026 02:01:28 GMT"),
    ("Content-Length", str(length)),
    ("X-Clip-Span", "first=132300000, end=132741000, total=158836464, rate=44100"),
]


def application(environ, start_response):
    if environ["PATH_INFO"].startswith("/constant"):
        start_response("200 OK", headers)
        return body
    return slicer(environ, start_response)
