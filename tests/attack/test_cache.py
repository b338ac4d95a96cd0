"""How cheaply one client can push out of the cache what the others want."""

import contextlib
import itertools
import os
import re
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import jinja2
import pytest

from support.edge import NGINX, ROLE, Edge, site
from support.server import free_port, until
from support.stub import Say, Stub, stub_of

MIB = 1 << 20
ORIGINS = ["https://a.test", "https://b.test"]
FOR_A_DAY = "public, max-age=86400"


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    """A server all of whose answers may be kept; a long clip has 1 MiB."""

    def answer(target: str) -> Say:
        return Say(200, FOR_A_DAY, b"x" * (MIB if "long" in target else 100), (("Vary", "Origin"),))

    with stub_of(answer) as stub:
        yield stub


def room(edge: Edge, name: str) -> int:
    """Bytes that a zone's entries take. Nginx removes some while this looks."""
    taken = 0
    for path in zone(edge, name):
        with contextlib.suppress(FileNotFoundError):
            taken += os.path.getsize(path)
    return taken


def zone(edge: Edge, name: str) -> list[str]:
    return [path for path in edge.entries() if path.startswith(os.path.join(edge.cache, name, ""))]


def test_each_kind_has_room_of_its_own(front: Callable[..., Edge], stub: Stub) -> None:
    """Long clips are kept, and push out long clips only; so do documents, of which there is one for each query that somebody makes up."""
    edge = front(site(stub.port, cache_mib=16))
    assert edge.get("/clips/a.mp3?t=10,20").cache == "MISS"
    for number in range(30):
        # Two hours, and to the end of the file, in both of which a length can be.
        assert edge.get(f"/clips/long.mp3?t={number},{7200 + number}").status == 200
        assert edge.get(f"/renders/long.wav?t={number},{7200 + number}").status == 200
        assert edge.get(f"/clips/long.mp3?t={number}").status == 200
        edge.get(f"/library?prefix=long{number}")
    # Nginx's own process for it looks every so often.
    until(lambda: room(edge, "slicer_main.long") <= 8 * MIB, 30, "long clips have their part")
    until(lambda: room(edge, "slicer_main.documents") <= 3 * MIB, 30, "documents have theirs")
    assert edge.get("/clips/a.mp3?t=10,20").cache == "HIT"
    assert len(zone(edge, "slicer_main")) == 1
    assert edge.get("/clips/long.mp3?t=29").cache == "HIT"


#: Names that nobody has: more than twice as many as the clips' part has room for keys.
MADE_UP = 20_000
MISSES = {"nginx_client_misses": 60 * MADE_UP, "nginx_client_misses_burst": MADE_UP}


def pipelined(edge: Edge, targets: Iterable[str]) -> Counter[bytes]:
    """The statuses of requests that one client sends without waiting for answers, some hundreds on each connection."""
    statuses: Counter[bytes] = Counter()
    rest = iter(targets)
    while batch := list(itertools.islice(rest, 500)):
        with socket.create_connection(("127.0.0.1", edge.port), timeout=60) as connection:
            heads = [f"GET {target} HTTP/1.1\r\nHost: x\r\n" for target in batch]
            sender = threading.Thread(
                target=connection.sendall,
                args=("\r\n".join([*heads[:-1], heads[-1] + "Connection: close\r\n", ""]).encode(),),
            )
            sender.start()
            with connection.makefile("rb") as file:
                text = file.read()
            sender.join()
        statuses.update(re.findall(rb"HTTP/1[.]1 ([0-9]{3}) ", text))
    return statuses


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that has one clip, and says of all others that they are not there; it is another Nginx, for they are many."""
    work, port = tmp_path_factory.mktemp("quick"), free_port()
    text = f"""
        pid {work}/pid; error_log {work}/log; daemon off;
        events {{ worker_connections 512; }}
        http {{
            access_log off; default_type application/json;
            server {{
                listen 127.0.0.1:{port} backlog=511;
                location = /clips/warm.mp3 {{ add_header Cache-Control "public, max-age=86400"; return 200 "warm"; }}
                location / {{ add_header Cache-Control "public, max-age=10" always; return 404 "missing"; }}
            }}
        }}
    """
    (work / "conf").write_text(text)
    with subprocess.Popen(
        [NGINX, "-p", work, "-e", work / "log", "-c", work / "conf"], stdin=subprocess.DEVNULL
    ) as process:
        try:

            def listens() -> bool:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    return True
                return False

            until(listens, 30, "it listens")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def test_names_that_are_made_up_push_out_no_clip(front: Callable[..., Edge], quick: int) -> None:
    """Neither its key nor its bytes: the clips' part has 8,000 keys."""
    edge = front(site(quick), **MISSES, nginx_misses_listen=f"127.0.0.1:{free_port()}")
    warm = "/clips/warm.mp3?t=1,2"
    assert edge.get(warm).cache == "MISS"
    kinds = ("clips", "clips", "renders")
    made_up = (f"/{kinds[number % 3]}/none-{number}.mp3?t=1,{10 ** (number % 4 + 1)}" for number in range(MADE_UP))
    assert pipelined(edge, made_up) == {b"404": MADE_UP}
    assert edge.get(warm).cache == "HIT"
    assert len(zone(edge, "slicer_main")) == 1
    assert zone(edge, "slicer_main.long") == []


def test_what_is_missing_is_asked_for_once_in_a_while(front: Callable[..., Edge]) -> None:
    """Errors are kept for as long as they say, apart from clips, and none is there that is a clip or depends on the client."""
    say = {"missing": Say(404, "public, max-age=60", b"{}"), "mine": Say(403, "public, max-age=60", b"{}")}

    def answer(target: str) -> Say:
        return say.get(target.partition("?")[0].rpartition("/")[2], Say(200, FOR_A_DAY, b"clip"))

    with stub_of(answer) as stub:
        sites = [
            site(stub.port, name, server_names=[f"{name}.test"], signed=name == "signed")
            for name in ("plain", "signed")
        ]
        edge = front(*sites, **MISSES, nginx_misses_listen=f"127.0.0.1:{free_port()}")
        for name in ("plain", "signed"):
            for target, status, times in (("missing", 404, 1), ("mine", 403, 4), ("clip", 200, 1)):
                stub.seen.clear()
                url = f"/clips/{target}?t=1,2"
                assert [edge.get(url, Host=f"{name}.test").status for _ in range(4)] == [status] * 4
                assert len([fields for _, fields in stub.seen if "x-slicer-checks" not in fields]) == times, (
                    name,
                    target,
                )
            assert len(zone(edge, f"slicer_{name}")) == len(zone(edge, f"slicer_{name}.errors")) == 1
            # Who would rather have a job is asked for, whatever was said to others.
            stub.seen.clear()
            edge.get("/renders/missing?t=1,2", Host=f"{name}.test")
            edge.get("/renders/missing?t=1,2", Host=f"{name}.test", Prefer="respond-async")
            assert stub.seen[-1][1].get("prefer") == "respond-async" or name == "signed"


def test_all_who_ask_for_one_missing_clip_are_answered(front: Callable[..., Edge]) -> None:
    with stub_of(lambda _: Say(404, "public, max-age=60", b"{}")) as stub:
        edge = front(site(stub.port), **MISSES, nginx_misses_listen=f"127.0.0.1:{free_port()}")
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: edge.get("/clips/missing.mp3?t=1,2").status, range(16)))
        assert answers == [404] * 16
        assert len(stub.seen) == 1


def macros() -> object:
    return jinja2.Environment().from_string((ROLE / "templates" / "macros.j2").read_text()).module


@pytest.mark.parametrize(
    ("span", "short"),
    [
        ("0,10", True), ("1.5,99.25", True), ("50,150", True), ("99,199.5", True), ("0,200", False), ("50,250", False),
        ("100,199", True), ("3000,3010", True), ("3050,3149", True), ("3000,3200", False), ("3000,4000", False), ("0", False),
        ("3000", False),
        ("1950,2050", True), ("950,1050", True), ("8950,9049", True), ("1999.999,2000", True), ("1900,2100", False), ("950,1150", False),
        ("1950,3050", False), ("0,7200", False), ("100,1000", False), ("100,10000", False), ("1050,105000", False), ("12345,12399", True),
        ("30,3000", False), ("1,1000", False), ("10,1999", False), ("3010,3000", True), ("900,1000", True), ("10900,11000", True),
    ],
)  # fmt: skip
def test_a_span_is_long_by_its_digits(span: str, short: bool) -> None:
    """None of 200 s or more counts as short, whatever its digits."""
    names = macros()
    query = f"t={span}"
    assert re.fullmatch(names.span, query)  # type: ignore[attr-defined]
    expression = re.sub(r"\\g\{(\d)\}", r"(?:\\\1)", names.short)  # type: ignore[attr-defined]
    assert bool(re.fullmatch(expression, query)) == short
    assert bool(re.fullmatch(expression, query + "&fade=1,2&gain=-3")) == short
    assert not re.fullmatch(expression, query + "&t=0,7200")


def test_no_span_that_counts_as_short_is_long() -> None:
    names = macros()
    expression = re.compile(re.sub(r"\\g\{(\d)\}", r"(?:\\\1)", names.short))  # type: ignore[attr-defined]
    for start in (*range(0, 1200, 7), *range(8900, 11200, 13), *range(98_900, 101_000, 31)):
        for length in (*range(200, 2500, 37), 10_000, 100_000, 7200):
            assert not expression.fullmatch(f"t={start},{start + length}"), (start, length)


def test_origins_that_nobody_configured_make_no_entries(front: Callable[..., Edge], stub: Stub) -> None:
    edge = front(site(stub.port, origins=ORIGINS))
    url = "/clips/a.mp3?t=10,20"
    assert edge.get(url).cache == "MISS"
    for number in range(20):
        assert edge.get(url, Origin=f"https://{number}.evil.test").cache == "HIT"
    for origin in ORIGINS:
        assert [edge.get(url, Origin=origin).cache for _ in range(2)] == ["MISS", "HIT"]
    for origin in (ORIGINS[0].upper(), "null", ORIGINS[0] + " " + ORIGINS[1], ORIGINS[0] + "/", "https://a.test:443"):
        assert edge.get(url, Origin=origin).cache == "HIT"
    assert len(zone(edge, "slicer_main")) == 3
    stub.seen.clear()
    edge.get("/clips/b.mp3?t=10,20", Origin="https://evil.test")
    assert "origin" not in stub.seen[0][1]


def test_only_preferences_that_slicer_knows_pass_by_the_cache(front: Callable[..., Edge], stub: Stub) -> None:
    edge = front(site(stub.port))
    url = "/renders/a.wav?t=10,20"
    assert edge.get(url).cache == "MISS"
    for prefer in ("x", "return=minimal", "handling=lenient", "respond", "respond-asynchronous", "xrespond-async", "wait", "wait=",
                   "wait=x", "wait=1x", "waiting=5", "x=respond-async", 'x="wait=5"', "wait=1234567", "-wait=1", ""):  # fmt: skip
        assert edge.get(url, Prefer=prefer).cache == "HIT", prefer
    for prefer, passed in (
        ("respond-async", "respond-async"), ("Respond-Async, wait=10", "respond-async, wait=10"), ("x, respond-async;y=z", "respond-async"),
        ("wait=5", "wait=5"), ('wait = "5"', "wait=5"), ("foo; bar, wait=7, respond-async", "respond-async, wait=7"),
    ):  # fmt: skip
        stub.seen.clear()
        assert edge.get(url, Prefer=prefer).cache == "BYPASS", prefer
        assert stub.seen[0][1]["prefer"] == passed


def test_what_is_not_there_takes_no_room_of_clips(front: Callable[..., Edge], stub: Stub) -> None:
    edge = front(site(stub.port))
    for number in range(50):
        edge.get(f"/nothing/{number}")
        edge.get(f"/clips/a.mp3?junk={number}")
        edge.get(f"/info/{number}.mp3")
    assert zone(edge, "slicer_main") == []
