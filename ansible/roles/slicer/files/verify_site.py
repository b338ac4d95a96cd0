"""Asks a site of this machine for a clip, which must be what `slicer cut` makes, a render, and a job if it has jobs and workers.

    python verify_site.py SITE USER [workers]

Runs as root with a release's Python. Prints one line of JSON: the target of the clip and its SHA-256, both empty where the media folder
has no file. The exit status is 1 where something is wrong, with a line that says what.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from itertools import pairwise
from typing import Any, NoReturn
from urllib.parse import quote

from mp3_slicer.doctor.host import ETC, environment
from mp3_slicer.signing import signed_url
from mp3_slicer.signing.keys import read_keys

#: Seconds for which a file is looked for, for each request, until a job must have ended, and for which a signature is right.
FIND_SECONDS, WAIT_SECONDS, JOB_SECONDS, SIGNED_SECONDS = 20, 90, 180, 600
#: Of a file that lasts for two seconds at any bit rate.
LONG_ENOUGH = "+100k"


def fail(text: str) -> NoReturn:
    """End with what is wrong."""
    print(text)
    sys.exit(1)


def run_as(user: str, *command: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a program as the site's user."""
    return subprocess.run(["runuser", "-u", user, "--", *command], capture_output=True, check=False, cwd="/")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Site:
    """A site, as its unit is given it."""

    def __init__(self, name: str, user: str, workers: str = "") -> None:
        self.user = user
        settings = environment(f"{ETC}/{name}.env")
        if "SLICER_MEDIA" not in settings:
            fail(f"{ETC}/{name}.env is missing, or cannot be read: run as root")
        words = settings.get("SERVE_OPTIONS", "").split()
        options = dict(pairwise(words))
        host = options.get("--host", "127.0.0.1")
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{options.get('--port')}"
        self.media = settings.get("SLICER_MEDIA", "")
        self.has_jobs = bool(settings.get("SLICER_JOBS_BROKER") and workers)
        self._folders = [text.rstrip("/") + "/" for text in settings.get("SLICER_SIGNED", "").split(",") if text]
        self._key = read_keys(settings["SLICER_SIGNING_KEYS"]).newest if self._folders else None
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects()).open

    def find(self) -> str:
        """A file of the media, by its path from there; empty where there is none."""
        found = run_as(
            self.user,
            *("timeout", str(FIND_SECONDS), "find", self.media, "-maxdepth", "6", "-type", "f", "-readable"),
            *("-name", "*.mp3", "!", "-path", "*/.*", "-size", LONG_ENOUGH, "-print", "-quit"),
        )
        return os.path.relpath(os.fsdecode(found.stdout.rstrip(b"\n")), self.media) if found.stdout else ""

    def target(self, room: str, path: str, t: str) -> str:
        """The path and query of a URL, signed where its folder needs that."""
        whole = os.fsencode(f"/{room}/{path}")
        if self._key is None or not any(f"/{path}".startswith(folder) for folder in self._folders):
            return f"{quote(whole)}?t={t}"
        return signed_url(whole, [("t", t)], self._key, int(time.time()) + SIGNED_SECONDS)

    def ask(self, target: str, data: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, and body. A busy server is asked again for a while."""
        end = time.monotonic() + WAIT_SECONDS
        headers = {"Host": "localhost", **({"Content-Type": "application/json"} if data else {})}
        while True:
            try:
                with self._open(urllib.request.Request(self.url + target, data, headers), timeout=WAIT_SECONDS) as got:
                    return got.status, {name.lower(): text for name, text in got.headers.items()}, got.read()
            except urllib.error.HTTPError as error:
                if error.code not in {429, 503, 504} or time.monotonic() > end:
                    return error.code, {name.lower(): text for name, text in error.headers.items()}, error.read()
            except OSError as error:
                fail(f"{self.url}: {getattr(error, 'reason', error)}")
            time.sleep(1)


def expect(what: str, answer: tuple[int, dict[str, str], bytes], *statuses: int) -> tuple[dict[str, str], bytes]:
    """The headers and the body of an answer of these statuses; else this is the end."""
    status, headers, body = answer
    if status not in statuses:
        fail(f"{what}: {status} {body[:300].decode(errors='replace').strip()}")
    return headers, body


def end_of(site: Site, job: str) -> None:
    """Wait until a job has ended well."""
    end = time.monotonic() + JOB_SECONDS
    while True:
        status, _, body = site.ask(job)
        if status == 303:
            return
        if status != 200 or json.loads(body)["state"] in {"failed", "cancelled"}:
            fail(f"the job {job}: {status} {body[:300].decode(errors='replace').strip()}")
        if time.monotonic() > end:
            fail(
                f"the job {job} has not ended in {JOB_SECONDS} s: {json.loads(body)['state']}. Check the workers of this site"
            )
        time.sleep(0.5)


def verify(site: Site) -> dict[str, str]:
    """Ask for all of it; the target of the clip and its sum."""
    path = site.find()
    if not path:
        return {"target": "", "sha256": ""}
    # Another span each time, so that it is made and not found.
    start = time.time_ns() // 1_000_000 % 1000 / 1000
    t, bare = f"{start:.3f},{start + 1:.3f}", path.removesuffix(".mp3")
    clip = site.target("clips", path, t)
    _, body = expect(f"the clip of {path}", site.ask(clip), 200)
    made = run_as(site.user, sys.executable, "-m", "mp3_slicer", "cut", f"{site.media}/{path}", "--t", t, "-o", "-")
    if made.returncode or made.stdout != body:
        said = made.stderr.decode(errors="replace").strip() or "the server's has other bytes"
        fail(f"the clip {t} of {path} is not the one that `slicer cut` makes: {said}")
    headers, body = expect(f"a render of {path}", site.ask(site.target("renders", f"{bare}.wav", t)), 200)
    if headers["content-type"] != "audio/wav" or body[:4] != b"RIFF":
        fail(f"a render of {path} is {headers['content-type']} and no WAV")
    if site.has_jobs:
        order = json.dumps({"request": site.target("renders", f"{bare}.flac", t)}).encode()
        headers, _ = expect(f"a job of {path}", site.ask("/jobs", order), 202, 303)
        if headers["location"].startswith("/jobs/"):
            end_of(site, headers["location"])
    return {"target": clip, "sha256": hashlib.sha256(expect(path, site.ask(clip), 200)[1]).hexdigest()}


if __name__ == "__main__":
    print(json.dumps(verify(Site(*sys.argv[1:]))))
