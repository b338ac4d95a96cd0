"""The HTTP API of a running Slicer, asked with what schemathesis makes of its OpenAPI description, and held to it."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fuzz.mutate import CORPUS
from support.edge import edge_of, site
from support.jobs import broker_of, place_of
from support.server import folder, serving

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OF_ALL = [not_a_server_error, content_type_conformance]
#: Sources by name: what chance would never find.
SOURCES = ("show.mp3", "low.mp3", "text.mp3")
#: Spans that there are in sources of a second, and some that there are not.
SPANS = ("0,0.5", ",0.3", "0.25,0.75", "npt:0:00:00.1,0:00:00.9", "0.5", "5,6", "0.1,0.10001", "0,9", "1,0", "x")
OPTIONS: dict[str, tuple[object, ...]] = {
    "fade": ("0.1,0.1", "0,0", "60,60", "1"),
    "gain": (-3, 24, 25, "nan"),
    "normalize": ("peak", "peak:-3", "ebu", "ebu:-40"),
    "channels": (1, 2, 3),
    "rate": (8000, 44100, 1),
    "speed": (0.5, 1.25, 3),
    "trim": (-50, -20, 0),
    "crossfade": (0.1, 11),
    "bitrate": (64, 320, 7),
    "pixels": (1, 10, 1000000, 0),
    "zoom": (2, 256, 1),
    "bits": (8, 16, 9),
    "limit": (1, 1000, 0),
    "download": ("", "ü\n.mp3", 'a"b'),
}
HEADERS = {
    "Range": ("bytes=0-99", "bytes=-1", "bytes=99999999-", "bytes=5-1", "x"),
    "If-None-Match": ("*", '"x"', 'W/"x"'),
    "If-Match": ("*", '"x"'),
    "If-Modified-Since": ("Sat, 29 Oct 1994 19:43:31 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "x"),
    "Prefer": ("respond-async", "wait=1", "respond-async, wait=0", "="),
}
#: What may be answered beside what an operation names, from in front of Slicer: Apache's and Nginx's own problems. To HEAD they
#: have no body that would tell.
_OWN = re.compile(rb'"type":\s*"about:blank"')
_OWN_TO_HEAD = {400, 414, 431}
#: Schemathesis does not ask for the description itself.
UNASKED = {"GET /openapi.json"}


class Stack(NamedTuple):
    """A running Slicer with jobs and what is in front of it."""

    url: str  #: of Slicer itself
    edge: str  #: of Nginx


@dataclass
class Report:
    """How often each operation was asked and answered in which way, and by a failure: a request that shows it."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    findings: dict[tuple[str, str], str] = field(default_factory=dict)


@contextlib.contextmanager
def stack() -> Iterator[Stack]:
    """`slicer serve` with renders, a catalogue, Redis, a worker, and Nginx."""
    media = folder()
    try:
        shutil.copy(CORPUS / "mpeg1-44-joint-vbr2.mp3", f"{media}/show.mp3")
        shutil.copy(CORPUS / "mpeg25-11-mono-cbr40.mp3", f"{media}/low.mp3")
        pathlib.Path(media, "text.mp3").write_text("nothing to hear\n" * 100)
        pathlib.Path(media, "show.srt").write_text("00:00.100 --> 00:00.900\nA harbour\n", encoding="ascii")
        chapters = '{"chapters": [{"startTime": 0, "endTime": 1, "title": "One"}]}'
        pathlib.Path(media, "show.chapters.json").write_text(chapters, encoding="ascii")
        with broker_of() as broker, place_of(media, broker) as place, serving(media, environ=place.environ) as server:
            # Its exit status tells of the file that is none.
            command = [sys.executable, "-m", "mp3_slicer", "index", media, "--jobs", "1"]
            subprocess.run(command, env={**os.environ, **place.environ}, capture_output=True, check=False, timeout=300)
            place.worker("--short", "1", "--long", "1")
            with edge_of([site(server.port)]) as edge:
                yield Stack(server.url, edge.url)
    finally:
        shutil.rmtree(media, ignore_errors=True)


def run(
    url: str,
    examples: int,
    number: int,
    *,
    seconds: float = float("inf"),
    only: str = "",
    report: Report | None = None,
) -> Report:
    """Ask every operation `examples` times with valid and with invalid requests, `number` deciding which.

    After `seconds` no other operation is begun. `only` is the beginning of the paths that are asked. `report` gets what is found as
    soon as it is.
    """
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    schema.config.update(base_url=url)
    report = Report() if report is None else report
    jobs = [_job(url, text) for text in ("/renders/show.ogg?t=0,0.5", "/peaks/show.json")]
    end = time.monotonic() + seconds
    with requests.Session() as session:
        for result in schema.get_all_operations():
            operation = result.ok()
            if operation.path.startswith(only) and time.monotonic() < end:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    _ask(operation, mode, examples, number, jobs, session, report)
    return report


def _job(url: str, request: str) -> str:
    answer = requests.post(f"{url}/jobs", json={"request": request}, timeout=60, allow_redirects=False)
    return str(answer.json()["id"])


def _ask(
    operation: Any, mode: Any, examples: int, number: int, jobs: list[str], session: requests.Session, report: Report
) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seed(number)
    @given(case=operation.as_strategy(generation_mode=mode), rng=st.randoms(use_true_random=False))
    def ask(case: Any, rng: Any) -> None:
        _sensible(case, rng, jobs)
        label = operation.label
        response = case.call(session=session, timeout=60, allow_redirects=False)
        report.answers[label, response.status_code] += 1
        named = str(response.status_code) in operation.definition.raw["responses"]
        own = response.status_code in _OWN_TO_HEAD if case.method == "HEAD" else _OWN.search(response.content)
        if not named and not own:
            report.findings.setdefault((label, f"undocumented {response.status_code}"), _curl(case))
        try:
            # Their own problems have not every header that Slicer's have.
            case.validate_response(response, checks=OF_ALL if own else CHECKS)
        except (Failure, FailureGroup) as error:
            failures = error.exceptions if isinstance(error, FailureGroup) else [error]
            for failure in failures:
                report.findings.setdefault(
                    (label, type(failure).__name__ + str(response.status_code)), f"{str(failure)[:2000]}\n{_curl(case)}"
                )

    # Where a parameter takes any text, nothing is invalid.
    with contextlib.suppress(Unsatisfiable):
        ask()


def _curl(case: Any) -> str:
    return str(case.as_curl_command())[:2000]


def _sensible(case: Any, rng: Any, jobs: list[str]) -> None:
    """Put what there is in the place of what chance made, most of the time: else nearly all answers were 404."""
    parameters = case.path_parameters
    if "path" in parameters and rng.random() < 0.8:
        suffixes = {"renders": ("ogg", "wav", "mp3", "flac", "xyz"), "peaks": ("json", "dat", "mp3"), "studio": ("js",)}
        room = case.path.split("/")[1]
        stem = rng.choice(SOURCES)[:-4] if room != "studio" else "main"
        parameters["path"] = f"{stem}.{rng.choice(suffixes.get(room, ('mp3',)))}"
    if "id" in parameters and rng.random() < 0.7:
        parameters["id"] = rng.choice(jobs)
    query = case.query
    for name in list(query or {}):
        if name == "t" and rng.random() < 0.8:
            query["t"] = (
                rng.sample(SPANS, rng.choice((1, 1, 1, 2))) if isinstance(query["t"], list) else rng.choice(SPANS)
            )
        elif name in OPTIONS and rng.random() < 0.5:
            query[name] = rng.choice(OPTIONS[name])
        elif rng.random() < 0.5:
            del query[name]
    for name in list(case.headers or {}):
        if name in HEADERS and rng.random() < 0.6:
            case.headers[name] = rng.choice(HEADERS[name])
    if case.operation.path == "/jobs" and rng.random() < 0.6:
        options = f"t={rng.choice(SPANS)}&gain={rng.choice(OPTIONS['gain'])}"
        case.body = {
            "request": rng.choice((f"/renders/show.ogg?{options}", "/peaks/low.json", f"/renders/text.wav?{options}"))
        }


def text_of(report: Report) -> str:
    """The findings, for people."""
    return "\n\n".join(f"{label}: {kind}\n{text}" for (label, kind), text in sorted(report.findings.items()))


def operations(url: str) -> set[str]:
    """The label of every operation."""
    document = json.loads(requests.get(f"{url}/openapi.json", timeout=60).content)
    methods = {"get", "head", "post", "delete", "options"}
    return {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item if method in methods
    }
