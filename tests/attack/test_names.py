"""Names with a line's end in them: what is checked and what is then served are the same name."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.edge import ROLE, Edge, Tap, site
from support.hold import MODULE
from support.server import Server, free_port, raw


def test_a_name_that_ends_in_a_line_feed_is_not_the_one_without(edge: Edge, sign: Callable[..., str]) -> None:
    """Slicer is asked about the one; `$` of an expression would let Nginx go on with the other."""
    good = edge.get("/clips/show.mp3?t=1,2", Host="signed.test")
    assert good.status == 200
    for kind, name in (("clips", "show.mp3"), ("renders", "show.wav"), ("peaks", "show.json")):
        query = "t=1,2&pixels=20&bits=8" if kind == "peaks" else "t=1,2"
        for spelled in (
            f"{name}%0a",
            f"{name}%0A",
            f"%0a{name}",
            f"{name}%0a%0a",
            f"{name}%0d%0a",
            f"x%0a/../{name}%0a",
        ):
            for host in ("plain.test", "signed.test"):
                answer = edge.get(f"/{kind}/{spelled}?{query}", Host=host)
                assert answer.status in {400, 404}, (host, kind, spelled)
    # A signature is of one name: it opens no other.
    signed = sign("/clips/deep/er/show.mp3?t=1,2")
    assert edge.get(signed, Host="signed.test").status == 200
    assert edge.get(signed.replace("show.mp3", "show.mp3%0a"), Host="signed.test").status in {403, 404}


@pytest.fixture
def holding(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """holding() is the variables with which another Nginx holds clients, where it can."""
    module = tmp_path / "nchan.conf"
    module.write_text(f"load_module {MODULE};\n")

    def variables() -> dict[str, Any]:
        listen = f"127.0.0.1:{free_port()}"
        return {"nginx_hold_clients": True, "nginx_publish_listen": listen, "nginx_modules_include": str(module)}

    return variables if MODULE.exists() else dict


def test_no_job_or_channel_has_a_line_feed(
    front: Callable[..., Edge], server: Server, tapping: Callable[[int], Tap], holding: Callable[[], dict[str, Any]]
) -> None:
    """Nor is a slicer asked about the name without it."""
    tap = tapping(server.port)
    job = "/jobs/" + "0" * 40
    for signed in (False, True):
        edge = front(site(tap.port, signed=signed), **holding())
        for path in (
            "/jobs",
            job,
            f"{job}/wait",
            f"{job}/events",
            "/metrics",
            "/server-status",
            "/library",
            "/healthz",
        ):
            for end in ("%0a", "%0A", "%0d%0a", "%0a%0a"):
                tap.forget()
                status, _, _ = raw(
                    edge.port, f"GET {path}{end} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
                )
                assert status in {404, 501}, path + end
                assert all("%0a" in target.lower() for target in tap.targets), (path + end, tap.targets)
        # They would have been seen.
        tap.forget()
        edge.get(job)
        assert tap.targets == [job]


def test_every_expression_of_the_edge_ends_where_the_text_does() -> None:
    """PCRE's `$` is also before a line feed at the end."""
    for path in sorted((ROLE / "templates").glob("*.j2")):
        for line in path.read_text(encoding="utf-8").splitlines():
            for expression in re.findall(r'"~\*?(\^[^"]*)"', line):
                assert not expression.endswith("$"), (path.name, line)
            if re.match(r"\s*location ~", line):
                assert '\\z" {' in line, (path.name, line)
