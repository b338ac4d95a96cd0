"""Hosts, TLS, headers, the log, and Nginx's own pages."""

import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest

from support.edge import NGINX, has_status, site
from support.server import folder, free_port, raw, until

SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


# ----------------------------------------------------------------------------------------------------------------- hosts


@pytest.fixture
def other_media(stream):
    """A media folder whose show.mp3 is another."""
    path = folder()
    shutil.copy(stream("mpeg1-44-joint-vbr2"), os.path.join(path, "show.mp3"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_sites_on_one_nginx_share_nothing(start, front, other_media, fresh):
    servers = {"one": start(), "an-other": start(folder=other_media)}
    edge = front(*(site(each.port, name, server_names=[f"{name}.test"]) for name, each in servers.items()))
    url = fresh()
    for name, server in servers.items():
        first, second = (edge.get(url, Host=f"{name}.test") for _ in range(2))
        assert (first.cache, second.cache) == ("MISS", "HIT")
        assert first.body == second.body == server.get(url)[2]
    assert {"slicer_an_other", "slicer_one"} <= set(os.listdir(edge.cache))
    until(lambda: all(len(edge.log(name)) == 2 for name in servers), 30, "each site has its log")


def test_a_host_that_nobody_serves_is_not_found(front, server):
    edge = front(site(server.port, server_names=["one.test"]))
    assert edge.get("/healthz", Host="one.test").status == 200
    for host in ("two.test", "localhost"):
        answer = edge.get("/healthz", Host=host)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
        assert "retry-after" not in answer.headers


def test_without_sites_everything_is_not_found(front):
    assert front().get("/healthz").status == 404


# --------------------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    ("target", "method", "fields", "status"),
    [
        ("/clips/show.mp3?t=1,2", "GET", {}, 200),
        ("/clips/show.mp3?t=1,2", "HEAD", {}, 200),
        ("/clips/show.mp3?t=npt:1,2", "GET", {}, 200),
        ("/clips/show.mp3?t=1,2", "GET", {"Range": "bytes=0-9"}, 206),
        ("/clips/show.mp3?t=1,2", "GET", {"If_None_Match": "*"}, 304),
        ("/clips/show.mp3?t=1,2", "GET", {"If_Match": '"x"'}, 412),
        ("/clips/show.mp3?t=1,2", "GET", {"Range": "bytes=99999999-"}, 416),
        ("/clips/show.mp3?t=2,1", "GET", {}, 400),
        ("/clips/x%2Fy", "GET", {}, 404),
        ("/healthz", "GET", {}, 200),
        ("/library", "OPTIONS", {}, 204),
        ("/library", "DELETE", {}, 405),
        ("/library", "TRACE", {}, 405),
        ("/" + "x" * 9000, "GET", {}, 414),
        ("/library", "GET", {"X": "x" * 9000}, 431),
        ("/library", "GET", {"Transfer_Encoding": "unheard-of"}, 501),
        ("/x%00", "GET", {}, 400),
    ],
)
def test_every_answer_has_its_headers_once(edge, target, method, fields, status):
    answer = edge.get(target, method, **fields)
    assert answer.status == status
    names = [name for name, _ in answer.fields]
    assert len(names) == len(set(names))
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answer.cache in {"MISS", "HIT", "NONE"}
    assert answer.headers["server"] == "nginx"
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.body)["status"] == status or method == "HEAD"


def test_scripts_of_other_origins_get_answers_of_their_own(start, front):
    server = start(environ={"SLICER_CORS_ORIGINS": "https://a.test,https://b.test"})
    edge = front(site(server.port, origins=["https://a.test", "https://b.test"]))
    url = "/clips/show.mp3?t=1,2"
    for origin, allowed in (("https://a.test", 1), ("https://b.test", 1), ("https://c.test", 0)):
        for cache in ("MISS", "HIT"):
            answer = edge.get(url, Origin=origin)
            assert answer.cache == cache
            assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)


# ------------------------------------------------------------------------------------------------------------------- log


def test_the_log_has_an_object_for_each_request(edge, tap, fresh):
    url = fresh()
    answers = [
        edge.get(url, User_Agent='odd "agent" \\ \x07', Referer="https://a.test/\x01"),
        edge.get(url, Range="bytes=0-9"),
        edge.get(url.replace("=", "=npt:")),
        edge.get(f"{url}&nonsense=%22"),
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    until(lambda: {each["request_id"] for each in edge.log()} >= set(ids), 30, "they are logged")
    logged = {each["request_id"]: each for each in edge.log()}
    miss, hit, spelled, refused = (logged[each] for each in ids)
    assert (miss["cache"], hit["cache"], spelled["cache"], refused["cache"]) == ("MISS", "HIT", "HIT", "NONE")
    assert [each["status"] for each in (miss, hit, spelled, refused)] == [200, 206, 200, 400]
    assert (miss["target"], miss["method"], miss["client"], miss["host"]) == (url, "GET", "127.0.0.1", "127.0.0.1")
    assert 0 < miss["upstream_header"] <= miss["upstream_seconds"] < miss["seconds"] + 0.0015
    assert (miss["upstream"], miss["upstream_status"]) == (f"127.0.0.1:{tap.port}", "200")
    assert (hit["upstream"], hit["range"]) == ("", "bytes=0-9")
    assert miss["bytes"] > len(answers[0].body)
    assert miss["agent"].startswith('odd "agent" \\')
    # The slicer was told the same number.
    assert ids[0] in tap.seen[0][0]


def test_broken_requests_are_logged_too(edge):
    raw(edge.port, b"\x16\x03\x01\x02\x00 \xff\r\n\r\n")
    raw(edge.port, b"GET / HTTP/1.1\r\n\r\n")
    until(lambda: sum(each["status"] == 400 for each in edge.log()) >= 2, 30, "they are logged")


# ------------------------------------------------------------------------------------------------------------------- TLS


def test_a_site_with_a_certificate_speaks_tls(front, server, certificate, fresh):
    edge = front(site(server.port, **certificate))
    url = fresh()
    first, second = edge.get(url, tls=True), edge.get(url, tls=True)
    assert (first.cache, second.cache) == ("MISS", "HIT")
    for answer in (first, edge.get("/nothing", tls=True), edge.get("/x%2Fy", tls=True)):
        assert answer.headers["strict-transport-security"] == "max-age=300"
        assert {name: answer.headers[name] for name in SECURITY} == SECURITY


def test_plain_http_is_sent_to_tls(front, server, certificate, fresh):
    edge = front(site(server.port, server_names=["_", "one.test"], **certificate))
    url = fresh()
    status, fields, _ = raw(edge.port, f"GET {url} HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n".encode())
    assert (status, fields["location"]) == (301, f"https://one.test{url}")
    assert "strict-transport-security" not in fields


def test_plain_http_on_the_port_of_tls_is_a_problem(front, server, certificate):
    edge = front(site(server.port, **certificate))
    status, fields, body = raw(edge.tls_port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (status, fields["content-type"], json.loads(body)["status"]) == (400, "application/problem+json", 400)


def test_tls_is_mozillas_intermediate(front, server, certificate):
    edge = front(site(server.port, **certificate))

    def connect(version, ciphers=None, protocols=()):
        context = ssl._create_unverified_context()
        context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)
        context.set_alpn_protocols(list(protocols))
        with socket.create_connection(("127.0.0.1", edge.tls_port)) as plain, context.wrap_socket(plain) as wrapped:
            return wrapped.cipher()[0], wrapped.selected_alpn_protocol()

    assert connect(ssl.TLSVersion.TLSv1_3)[0].startswith("TLS_")
    assert connect(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256")[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
    assert connect(ssl.TLSVersion.TLSv1_2, protocols=["h2", "http/1.1"])[1] == "h2"
    with pytest.raises(ssl.SSLError):
        connect(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256")
    with pytest.warns(DeprecationWarning), pytest.raises(ssl.SSLError):
        connect(ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0")


# ---------------------------------------------------------------------------------------------------------- own pages


def test_nginx_tells_its_numbers_on_its_own_port_only(edge, tap):
    assert has_status()
    with urllib.request.urlopen(f"http://127.0.0.1:{edge.status_port}/status") as answer:
        assert b"Active connections:" in answer.read()
    assert {edge.get(target).status for target in ("/status", "/revision")} == {404}
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{edge.status_port}/clips/show.mp3?t=1,2")
    assert "127.0.0.1" in (pathlib.Path(__file__).parents[2] / "ansible/roles/nginx/defaults/main.yml").read_text()


def test_a_reload_keeps_the_cache_and_shows(front, server, fresh):
    edge = front(site(server.port))
    url = fresh()
    edge.get(url)

    def revision():
        with urllib.request.urlopen(f"http://127.0.0.1:{edge.status_port}/revision") as answer:
            return answer.read().decode()

    first, workers = revision(), edge.workers()
    assert first in pathlib.Path(edge.conf).read_text(encoding="utf-8")
    edge.render([site(server.port, cache_mib=600, retry_after=3)])
    edge.reload()
    # Old workers answer who is quick, until they have ended.
    until(lambda: not set(workers) & set(edge.workers()), 30, "the old workers have ended")
    assert revision() != first
    assert revision() in pathlib.Path(edge.conf).read_text(encoding="utf-8")
    assert edge.get(url).cache == "HIT"


def test_nginx_has_nothing_to_complain_of(front, server, certificate):
    """A warning would be a directive that this version no longer likes."""
    sites = [site(server.port, "a", server_names=["a.test"], **certificate), site([server.port, 1], "b")]
    edge = front(*sites, nginx_trusted_proxies=["192.0.2.0/24"])
    said = subprocess.run(
        [NGINX, "-p", edge.work, "-e", "stderr", "-t", "-c", edge.conf], check=True, capture_output=True, text=True
    ).stderr
    assert [line for line in said.splitlines() if not re.search(r"syntax is ok|test is successful", line)] == []
    time.sleep(0.2)
    assert "warn" not in edge.errors()


def test_sites_of_others_run_beside(front, server, tmp_path):
    port = free_port()
    (tmp_path / "wiki.conf").write_text(f'server {{ listen 127.0.0.1:{port}; return 200 "wiki"; }}\n')
    edge = front(site(server.port), nginx_extra_sites=[f"{tmp_path}/*.conf"])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert answer.read() == b"wiki"
    assert edge.get("/healthz").status == 200


def test_the_page_keeps_its_own_policy(edge, server):
    for _ in range(2):
        page = edge.get("/")
        assert (page.status, page.cache) == (200, "MISS")
        policies = [value for name, value in page.fields if name == "content-security-policy"]
        assert policies == [server.get("/")[1]["content-security-policy"]]
        assert "script-src 'self'" in policies[0]
        assert page.headers["referrer-policy"] == SECURITY["referrer-policy"]
    script = re.search(rb'src="(/studio/[^"]+)"', page.body)[1].decode()
    for cache in ("MISS", "HIT"):
        file = edge.get(script)
        assert (file.status, file.cache) == (200, cache)
        assert [value for name, value in file.fields if name == "x-content-type-options"] == ["nosniff"]
        assert file.headers["content-security-policy"] == SECURITY["content-security-policy"]
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
