"""The processes of a running server: how many, whose, and what load and accidents do to them."""

import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import pwd
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time

import pytest

from mp3_slicer.server import run
from mp3_slicer.server.machine import cpus, memory_bytes
from mp3_slicer.server.sizes import compute
from support import streams
from support.server import ALL_CPUS, arguments, children_of, raw, status, until

SIZES = compute(cpus(), memory_bytes())
# mod_wsgi 6.1 runs four threads of its own in each daemon beside those that take requests.
OWN_THREADS = 4
HOST = b"Host: localhost\r\n\r\n"


def shape(server):
    """All that must not change: which processes there are and how many threads each daemon has."""
    return {
        "clips": [(pid, status(pid)["Threads"]) for pid in server.daemons("clips")],
        "renders": [(pid, status(pid)["Threads"]) for pid in server.daemons("renders")],
        "children": sorted(server.children()),
    }


def burst(port, target, count, seconds=60, during=None):
    """`count` connections at once; the status codes of their answers. `during` is called while they are open."""
    selector = selectors.DefaultSelector()
    answers, statuses = {}, []
    for _ in range(count):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", port))
        selector.register(connection, selectors.EVENT_WRITE)
        answers[connection] = b""
    end = time.monotonic() + seconds
    while answers:
        assert time.monotonic() < end, f"{len(answers)} of {count} connections unanswered after {seconds} s"
        if during:
            during()
        for key, events in selector.select(0.2):
            connection = key.fileobj
            if events & selectors.EVENT_WRITE:
                connection.send(b"GET " + target + b" HTTP/1.1\r\nConnection: close\r\n" + HOST)
                selector.modify(connection, selectors.EVENT_READ)
                continue
            data = connection.recv(65536)
            answers[connection] += data
            if not data:
                selector.unregister(connection)
                connection.close()
                statuses.append(int(answers.pop(connection).split(maxsplit=2)[1]))
    selector.close()
    return statuses


def assert_problem(answer, code):
    """The answer is Apache's own error document for `code`, with the headers it owes."""
    got, headers, body = answer
    assert got == code
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(body)
    problem = json.loads(body)
    assert problem["status"] == code
    assert {"type", "title", "detail"} <= problem.keys()
    short = {404: "public, max-age=10", 403: "no-store", 408: "no-store", 429: "no-store"}
    assert headers["cache-control"] == short.get(code, "no-store" if code >= 500 else "public, max-age=60")
    assert ("retry-after" in headers) == (code in {503, 504})
    assert not {"etag", "last-modified", "accept-ranges"} & headers.keys()


def test_each_group_has_its_processes_and_threads(server):
    clips, renders = server.daemons("clips"), server.daemons("renders")
    assert len(clips) == SIZES.clips_processes
    assert len(renders) == SIZES.renders_processes
    assert {status(pid)["Threads"] for pid in clips} == {str(SIZES.clips_threads + OWN_THREADS)}
    assert {status(pid)["Threads"] for pid in renders} == {str(1 + OWN_THREADS)}


def test_all_prefork_children_are_there_from_the_start(server):
    written = pathlib.Path(server.root, "httpd.conf").read_text(encoding="utf-8")
    workers = SIZES.max_request_workers
    for directive in ("ServerLimit", "StartServers", "MaxClients", "MaxSpareServers"):
        assert f"\n{directive} {workers}\n" in written
    assert len(server.children()) == workers


def test_a_burst_changes_no_process(server):
    before = shape(server)
    seen = []

    def look():
        if len(seen) < 5:
            seen.append(shape(server))

    assert burst(server.port, b"/healthz", 200, during=look) == [200] * 200
    assert seen
    assert all(now == before for now in seen)
    time.sleep(1.5)  # Apache looks at its children once a second
    assert shape(server) == before


def data_limit(pid):
    """How much memory of its own a process may take, in bytes."""
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    return int(re.search(r"^Max data size\s+(\d+)", limits, re.MULTILINE)[1])


def test_each_group_has_its_limit_of_memory(start):
    server = start("--cpus", "2", "--memory", "1G", "--clips-memory", "300M")
    assert {data_limit(pid) for pid in server.daemons("renders")} == {256 << 20}
    assert {data_limit(pid) for pid in server.daemons("clips")} == {300 << 20}


def test_a_daemon_is_replaced_after_its_requests(start):
    server = start("--cpus", "1", "--max-requests", "40")
    first = server.daemons("clips")
    for _ in range(100):
        assert server.get("/healthz")[0] == 200
    until(lambda: server.daemons("clips") not in (first, []), 30, "a new one")
    (renders,) = server.daemons("renders")
    for _ in range(41):
        assert server.get("/renders/a.mp3")[0] == 404
    until(lambda: renders not in server.daemons("renders"), 30, "a new one for renders too")


def other_address():
    """An address of this machine that is no loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anywhere, contextlib.suppress(OSError):
        anywhere.connect(("192.0.2.1", 9))  # nothing is sent
        return anywhere.getsockname()[0]


def test_the_status_is_off_unless_asked_for(server):
    assert server.get("/server-status")[0] == 404


def test_the_status_is_told_on_this_machine_only(start):
    outside = other_address()
    server = start("--status", *(["--host", "0.0.0.0"] if outside else []))
    code, headers, body = server.get("/server-status?auto")
    assert (code, headers["cache-control"]) == (200, "no-store")
    assert b"\nScoreboard: " in body
    # What only holds the word is the application's.
    for target in ("/clips/server-status.mp3", "/server-status/a", "/server-status2"):
        code, _, body = server.get(target)
        assert (code, json.loads(body)["type"]) == (404, "urn:slicer:problem:not-found")
    if outside:
        with contextlib.closing(http.client.HTTPConnection(outside, server.port, timeout=30)) as connection:
            connection.request("GET", "/server-status")
            answer = connection.getresponse()
            assert answer.status == 200, "this machine is asked at another of its addresses, but by itself"
        # To Apache somebody else: an address that is neither loopback nor the one it is asked at.
        stranger = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30, source_address=(outside, 0))
        with contextlib.closing(stranger) as connection:
            connection.request("GET", "/server-status")
            answer = connection.getresponse()
            assert_problem((answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()), 403)


def test_what_answers_runs_as_www_data_for_root_and_as_oneself_else(server):
    wanted = pwd.getpwnam("www-data").pw_uid if os.geteuid() == 0 else os.geteuid()
    for pid in server.daemons("clips") + server.daemons("renders") + server.children():
        assert status(pid)["Uid"].split() == [str(wanted)] * 4


def test_daemons_inherit_no_file_of_ours(start, media):
    """A lock belongs to the open file: it lasts while anybody who inherited it is there."""
    path = os.path.join(media, "stray")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    os.set_inheritable(descriptor, True)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        start()
        os.close(descriptor)
        with open(path) as again:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.unlink(path)


def test_settings_reach_the_daemons(start):
    server = start(environ={"SLICER_CLIP_MAX_AGE": "4711"})
    for group in ("clips", "renders"):
        for pid in server.daemons(group):
            assert b"SLICER_CLIP_MAX_AGE=4711" in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_a_killed_daemon_comes_back(start):
    server = start(*ALL_CPUS)
    before = server.daemons("clips")
    os.kill(before[0], signal.SIGKILL)
    until(
        lambda: len(server.daemons("clips")) == len(before) and before[0] not in server.daemons("clips"),
        30,
        "a new one",
    )
    until(lambda: server.get("/healthz")[0] == 200, 30, "it answers")
    assert burst(server.port, b"/healthz", 30) == [200] * 30


def leave_room(pid, room):
    """Let a daemon take only so many bytes more than it has. Asked for as its own user, which may always do that."""
    taken = int(status(pid)["VmData"].split()[0]) << 10
    words = [
        sys.executable,
        "-c",
        "import resource, sys; resource.prlimit(int(sys.argv[1]), 2, (int(sys.argv[2]), -1))",
    ]
    user, group = (int(status(pid)[name].split()[0]) for name in ("Uid", "Gid"))
    me = {} if os.geteuid() else {"user": user, "group": group, "extra_groups": []}
    assert resource.RLIMIT_DATA == 2
    subprocess.run([*words, str(pid), str(taken + room)], check=True, timeout=30, cwd="/", **me)


@pytest.fixture
def long_source(media, stream_folder):
    """A source of some MB: what is read of it for an answer fits into no room of a few KB."""
    path = os.path.join(media, "long.mp3")
    data = pathlib.Path(streams.make("mpeg1-44-stereo-cbr128", stream_folder, seconds=20)).read_bytes()
    pathlib.Path(path).write_bytes(data * 20)
    os.chmod(path, 0o644)
    yield "/clips/long.mp3"
    os.unlink(path)


def test_a_process_that_runs_out_of_memory_is_replaced_and_no_other(start, long_source):
    server = start("--cpus", "1", "--memory", "1G", "--clips-memory", "300M")
    before = shape(server)
    # A body that is read before it is sent, and one that is read as it is sent.
    for target, whole in ((long_source + "?t=1,50", True), (long_source, False)):
        assert server.get(target, "HEAD")[0] == 200
        (full,) = server.daemons("clips")
        leave_room(full, 64 << 10)
        if whole:
            code, headers, body = server.get(target)
            assert (code, headers["retry-after"], headers["cache-control"]) == (503, "2", "no-store")
            assert json.loads(body)["type"] == "urn:slicer:problem:try-again"
        else:
            with pytest.raises(http.client.IncompleteRead):
                server.get(target)
        until(lambda full=full: server.daemons("clips") not in ([full], []), 30, "a new one")
        code, _, body = server.get(target)
        assert code == 200
        (last,) = server.daemons("clips")
        assert data_limit(last) == 300 << 20
        # One that has made an answer has memory at hand for another: the next is made by a new one.
        os.kill(last, signal.SIGTERM)
        until(lambda last=last: server.daemons("clips") not in ([last], []), 30, "a fresh one")
    after = shape(server)
    assert (after["children"], after["renders"]) == (before["children"], before["renders"])
    until(lambda: server.log().count("out of memory: ") == 2, 30, "both are logged")
    # Its last thread was made too, the one that would have ended it by force.
    assert "Unable to create" not in server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_leaves_nothing_behind(start, number):
    server = start(*ALL_CPUS)
    everything, root = server.everything(), server.root
    assert len(everything) > SIZES.max_request_workers
    assert os.path.isdir(root)
    server.process.send_signal(number)
    assert server.process.wait(30) == 0
    assert [arguments(pid) for pid in everything if status(pid)] == []
    assert not os.path.exists(root)


def test_a_stop_ends_daemons_that_hang(start):
    server = start()
    everything = server.everything()
    for pid in server.daemons("clips"):
        os.kill(pid, signal.SIGSTOP)
    server.process.terminate()
    assert server.process.wait(30) == 0
    assert [arguments(pid) for pid in everything if status(pid)] == []


def test_a_stop_lets_answers_under_way_finish(start, long_source):
    """One that is worked on, one that waits for a thread, and one whose reader is slow."""
    server = start("--cpus", "1")
    whole = server.get(long_source)[2]
    assert len(whole) > 4 << 20
    slow = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    slow.sendall(b"GET " + long_source.encode() + b" HTTP/1.1\r\n" + HOST)
    received = slow.recv(1000)
    (daemon,) = server.daemons("clips")
    os.kill(daemon, signal.SIGSTOP)
    others = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(6)]
    for connection in others:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST)
    time.sleep(0.5)
    started = time.monotonic()
    server.process.terminate()
    until(lambda: not listens(server.port), 30, "nobody new is let in")
    time.sleep(1.5)
    assert server.process.poll() is None
    os.kill(daemon, signal.SIGCONT)
    for connection in others:
        answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"alive" in answer
        connection.close()
    while block := slow.recv(1 << 16):
        received += block
        time.sleep(0.005)
    slow.close()
    assert received.endswith(whole)
    ended = time.monotonic()
    assert server.process.wait(10) == 0
    assert time.monotonic() - ended < run.FINISH_SECONDS
    assert ended - started < run.FINISH_SECONDS


def listens(port):
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def test_a_stop_waits_for_nobody_longer_than_it_says(start, long_source):
    server = start("--cpus", "1")
    everything = server.everything()
    stuck = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
    stuck.sendall(b"GET " + long_source.encode() + b" HTTP/1.1\r\n" + HOST)
    assert stuck.recv(100)
    started = time.monotonic()
    server.process.terminate()
    assert server.process.wait(30) == 0
    assert run.FINISH_SECONDS <= time.monotonic() - started < run.FINISH_SECONDS + 4
    assert [arguments(pid) for pid in everything if status(pid)] == []
    stuck.close()


def test_a_stop_of_an_idle_server_is_quick_and_a_second_signal_is_too(start):
    took = []
    for _ in range(8):
        server = start()
        children = server.children() + server.daemons("clips") + server.daemons("renders")
        server.process.terminate()
        until(lambda children=children: not any(map(status, children)), 30, "the children have ended")
        gone = time.monotonic()
        assert server.process.wait(10) == 0
        took.append(time.monotonic() - gone)
        if took[-1] < 0.4:
            break
    # Apache alone looks after a second whether its children are gone. The best of some: the machine may be busy.
    assert min(took) < 0.4
    server = start()
    everything = server.everything()
    with socket.create_connection(("127.0.0.1", server.port)) as busy:
        busy.sendall(b"GET /healthz HTTP/1.1\r\n")
        time.sleep(0.3)
        started = time.monotonic()
        server.process.terminate()
        time.sleep(0.5)
        assert server.process.poll() is None
        server.process.terminate()
        assert server.process.wait(10) == 0
        assert time.monotonic() - started < run.FINISH_SECONDS
    assert [arguments(pid) for pid in everything if status(pid)] == []


def test_apache_ends_when_its_supervisor_is_killed(start):
    server = start()
    everything = server.everything()
    server.process.kill()
    server.process.wait(10)
    until(lambda: not any(status(pid) for pid in everything), 30, "all processes end")


def test_when_apache_dies_so_do_we(start):
    server = start()
    everything, root = server.everything(), server.root
    os.kill(server.apache, signal.SIGKILL)
    assert server.process.wait(30) == 128 + signal.SIGKILL
    assert [arguments(pid) for pid in everything if status(pid)] == []
    assert not os.path.exists(root)


def test_two_servers_at_once(start, server):
    other = start()
    assert other.root != server.root
    assert other.get("/healthz")[0] == server.get("/healthz")[0] == 200
    other.process.terminate()
    assert other.process.wait(30) == 0
    assert server.get("/healthz")[0] == 200


def test_a_taken_port_is_one_clear_line(server):
    done = subprocess.run(
        [sys.executable, "-m", "mp3_slicer", "serve", server.media, "--port", str(server.port)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **server.folders},
    )
    assert done.returncode != 0
    assert "another program uses it" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert server.get("/healthz")[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"GET /clips/a%2Fb.mp3 HTTP/1.1\r\n" + HOST, 404),
        (b"GET /clips/a%00b.mp3 HTTP/1.1\r\n" + HOST, 404),
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n" + HOST, 403),
        (b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\n" + HOST, 414),
        (b"garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /healthz\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET /../errors/404.json HTTP/1.1\r\n" + HOST, 400),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 8200 + b"\r\n" + HOST, 400),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: a\r\n" * 100 + HOST, 400),
        (b"GET /healthz HTTP/1.1\r\nExpect: wonders\r\n" + HOST, 417),
        (b"TRACE / HTTP/1.1\r\n" + HOST, 405),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 65537\r\n" + HOST, 413),
        (b"GET /.errors/404.json HTTP/1.1\r\n" + HOST, 403),
        (b"GET /.errors/404.json HTTP/1.1\r\nREDIRECT_STATUS: 404\r\nRedirect-Status: 404\r\n" + HOST, 403),
        (b"GET /.errors/ HTTP/1.1\r\n" + HOST, 403),
        (b"GET /.errors/missing HTTP/1.1\r\n" + HOST, 403),
        (
            b"GET /a%2Fb HTTP/1.1\r\nRange: bytes=0-3\r\nIf-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT\r\n" + HOST,
            404,
        ),
    ],
)
def test_what_apache_answers_itself_is_a_problem(server, request_bytes, code):
    assert_problem(raw(server.port, request_bytes), code)


def test_a_head_of_an_error_has_no_body(server):
    code, headers, body = server.get("/clips/a%2Fb.mp3", "HEAD")
    assert (code, headers["content-type"], body) == (404, "application/problem+json", b"")


def test_a_slow_header_is_given_up(server):
    started = time.monotonic()
    assert_problem(raw(server.port, b"GET /healthz HTTP/1.1\r\nX: "), 408)
    assert time.monotonic() - started < 25


@pytest.mark.parametrize(
    "target", ["/handler.wsgi", "/httpd.conf", "/slicer.conf", "/htdocs/", "/errors/404.json", "/apachectl"]
)
def test_no_file_of_the_server_root_is_served(server, target):
    code, headers, _ = server.get(target)
    assert code == 404
    assert headers["cache-control"] == "public, max-age=10"


def test_the_applications_own_errors_keep_their_bodies(server):
    code, headers, body = server.get("/clips/missing.mp3?t=0,1")
    assert code == 404
    apaches = json.loads(pathlib.Path(server.root, "errors", "404.json").read_bytes())
    assert json.loads(body)["detail"] != apaches["detail"]
    assert headers["content-type"] == "application/problem+json"


def test_a_request_that_overstays_is_a_problem(start, media, cbr):
    """The first look at a file that takes long: between a little audio it has holes, which cost no disk."""
    piece = pathlib.Path(cbr).read_bytes()[:40_000]
    slow = pathlib.Path(media, "slow.mp3")
    try:
        with slow.open("wb") as file:
            for number in range(1500):
                file.seek(number * (15 << 20))
                file.write(piece)
        server = start(
            *("--request-timeout", "1"),
            environ={"SLICER_INDEX_SECONDS": "300", "SLICER_MAX_SOURCE_BYTES": str(1 << 40)},
        )
        before = shape(server)
        started = time.monotonic()
        assert_problem(server.get("/info/slow.mp3"), 504)
        assert 1 < time.monotonic() - started < 40
        assert server.get("/healthz")[0] == 200
        assert shape(server) == before
    finally:
        slow.unlink(missing_ok=True)


def stop_all(pids):
    """Stop processes as if all their threads were at work, and wait until they stand still."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: all(status(pid)["State"].startswith("T") for pid in pids), 30, "they have stopped")


def refused(server, request_bytes, connect_timeout):
    """The answer to a request that finds no room, and how many found some before it: on a busy machine others are still on their way."""
    answer, waiting = None, -1

    def ask():
        nonlocal answer, waiting
        waiting += 1
        with contextlib.suppress(TimeoutError):
            answer = raw(server.port, request_bytes, timeout=connect_timeout + 5)
        return answer

    until(ask, 120, "one is refused")
    return answer, waiting


@contextlib.contextmanager
def full(stack, server, group, ask, backlog, connect_timeout):
    """A group whose processes stand still and whose queue is full, until the block ends; a further request was refused.

    Gives the connections that wait, which `stack` closes, and how many others found a place in the queue before them.
    """
    stopped = server.daemons(group)
    try:
        stop_all(stopped)
        # Linux holds one connection more than the backlog; then a request is refused after the connect timeout.
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            for _ in range(backlog + 1)
        ]
        for connection in connections:
            connection.sendall(ask)
        answer, instead = refused(server, ask, connect_timeout)
        assert_problem(answer, 503)
        yield connections, instead
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def answers_to(connections, instead):
    """The answers and their codes. No more are refused than others took their places."""
    answers = [connection.recv(65536) for connection in connections]
    codes = [answer.split(b" ", 2)[1] for answer in answers]
    assert codes.count(b"503") <= instead
    return answers, set(codes)


def test_full_renders_refuse_fast_and_clips_do_not_notice(start):
    server = start(*ALL_CPUS)
    ask = b"GET /renders/a.mp3 HTTP/1.1\r\n" + HOST
    with contextlib.ExitStack() as stack:
        limits = SIZES.renders_backlog, SIZES.renders_connect_timeout
        with full(stack, server, "renders", ask, *limits) as (connections, instead):
            started = time.monotonic()
            assert_problem(refused(server, ask, SIZES.renders_connect_timeout)[0], 503)
            assert SIZES.renders_connect_timeout - 0.2 < time.monotonic() - started
            assert burst(server.port, b"/healthz", 20) == [200] * 20
            # Those who waited too long are told so, instead of getting late work.
            time.sleep(SIZES.queue_timeout + 1)
        answers, codes = answers_to(connections, instead)
        assert all(b"\r\nRetry-After: " in answer for answer in answers)
        assert codes <= {b"503", b"504"}
    until(
        lambda: (
            len(children_of(server.apache))
            == SIZES.max_request_workers + SIZES.clips_processes + SIZES.renders_processes
        ),
        30,
        "as many processes as before",
    )


def test_a_full_clips_group_still_answers_within_its_bounds(start):
    server = start(*ALL_CPUS)
    before = shape(server)
    began = time.monotonic()
    ask = b"GET /healthz HTTP/1.1\r\n" + HOST
    with contextlib.ExitStack() as stack:
        with full(stack, server, "clips", ask, SIZES.clips_backlog, SIZES.connect_timeout) as (connections, instead):
            pass
        _, codes = answers_to(connections, instead)
        # On a busy machine it took so long to find the group full that they waited longer than a request may.
        late = {b"504"} if time.monotonic() - began > SIZES.queue_timeout else set()
        assert codes <= {b"200", b"503"} | late
    assert shape(server) == before
