"""Secrets on provisioned machines: no log, no process list and nothing that Ansible says has a key, a password or a signature."""

import re
import shlex
import socket
import threading
import time

import pytest

from mp3_slicer.signing import Key, signed_url
from support.server import until

#: Where a machine keeps what is secret, and nothing else may have it: as lines of grep.
_SECRETS = r"""
cat /etc/slicer/*.keys 2>/dev/null | grep -oE '\b[0-9a-f]{64,128}\b'
grep -hoE '^requirepass .*' /etc/redis/redis.conf 2>/dev/null | cut -d' ' -f2
grep -hoE 'site-[a-z0-9-]+:[0-9a-f]{64}@' /etc/slicer/*.env 2>/dev/null | cut -d: -f2 | tr -d @ | sort -u
sed -n 2p /etc/redis/slicer-tls.key 2>/dev/null
true
"""
# Runs on the machine: which of the words in a file are in which log, the journal, a process's arguments or a diff's leftovers.
_FOUND = r"""
set -f
words=$(mktemp)
cat >"$words"
journalctl --no-pager --output=cat | grep -qF -f "$words" - && echo journal
grep -rlF -f "$words" /var/log 2>/dev/null
for one in $(find /var/log -name '*.gz' 2>/dev/null); do zgrep -qF -f "$words" "$one" && echo "$one"; done
for pid in $(ls /proc | grep -E '^[0-9]+$'); do
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -f "$words" - && echo "process $pid: $(cat /proc/$pid/comm)"
done
grep -rlF -f "$words" /tmp /var/tmp /root /home 2>/dev/null | grep -vxF "$words"
rm -f "$words"
true
"""
# Runs on the machine until told to stop: how many processes had one of the words among their arguments.
_WATCH = r"""
words=$(mktemp); cat >"$words"; seen=0; rounds=0
until [ -e /run/watched ]; do
    rounds=$((rounds + 1))
    cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -qF -f "$words" - && seen=$((seen + 1))
    sleep 0.05
done
rm -f "$words" /run/watched
echo "$seen of $rounds"
"""


def secrets(host):
    """What is secret on a machine, by its own files."""
    return host.run(_SECRETS).split()


def given(host, words, script):
    """What a script prints whose standard input has these words, and no argument does."""
    text = "\n".join([*words, ""]).encode().hex()
    # Otherwise written, or the look would find its own command line, and sudo's line about that in the journal.
    host.python("import sys; print(open('/run/words', 'wb').write(bytes.fromhex(sys.argv[1])))", text)
    return host.run(f"sh -c {shlex.quote(script)} </run/words; rm -f /run/words")


@pytest.mark.fleets("host", "one", "several")
@pytest.mark.parametrize("site", ["strict"], indirect=True)
def test_no_log_and_no_process_has_a_secret(fleet, site, edge, sources):
    """After requests with signatures that are right, wrong, in other spellings, and in lines that are no HTTP."""
    (keys,) = {host.run(f"grep -v '^#' /etc/slicer/{site.name}.keys") for host in fleet.slicers}
    name, secret = keys.split()
    key = Key(name, bytes.fromhex(secret))
    targets, macs = [], set()
    for number in range(4):
        url = signed_url(
            f"/clips/members/{sources[0].name}".encode(), [("t", f"1,2.{number}1")], key, int(time.time()) + 600
        )
        mac = re.search(r"[0-9a-f]{64}", url)[0]
        macs.add(mac)
        targets += [url, url.replace("signature=", "%73ignature="), url.replace("t=1", "t=2"), f"{url}&t=x"]
    answers = [edge.ask(target, headers={"Referer": f"https://site.test{target}"}).status for target in targets]
    assert answers[::4] == [200] * 4
    assert set(answers) >= {200, 403}
    for line in (
        "GET {}",
        "GET  {} HTTP/1.1",
        "GET {} HTTP/9.9",
        "G{{T {} HTTP/1.1",
        "{}",
        "GET /x%00{} HTTP/1.1\r\nHost: x",
    ):
        with socket.create_connection((edge.address, edge.port), 10) as connection:
            connection.sendall(line.format(targets[0]).encode() + b"\r\n\r\n")
            while connection.recv(65536):
                pass
    for host in fleet.hosts:
        words = [*secrets(host), *macs]
        assert given(host, ["no such text is anywhere at all"], _FOUND) == ""
        # The look itself works: what is in a log is found, as soon as that is written.
        if host in fleet.edges:

            def logged(host=host):
                return "/var/log/nginx" in given(host, [sources[0].name], _FOUND)

            until(logged, 30, "requests are in the edge's log")
        assert given(host, words, _FOUND) == ""
    if fleet.first:
        said = fleet.first.output
        assert not [word for host in fleet.hosts for word in secrets(host) if word in said]


@pytest.mark.fleets("one", "several")
@pytest.mark.thrown_away
def test_a_play_with_diffs_shows_no_secret_and_gives_none_to_a_command_line(fleet):
    words = {host.name: secrets(host) for host in fleet.hosts}
    assert any(words.values())
    found = {}
    threads = [
        threading.Thread(target=lambda host=host: found.update({host.name: given(host, words[host.name], _WATCH)}))
        for host in fleet.slicers
    ]
    for thread in threads:
        thread.start()
    try:
        for host in fleet.slicers:
            # Everything that holds a secret is written again.
            host.run("rm -f /etc/slicer/*.keys")
        said = fleet.provision("--diff", "-vvv").output
    finally:
        for host in fleet.slicers:
            host.run("touch /run/watched")
        for thread in threads:
            thread.join(60)
    fleet.wait_until_ready()
    assert not [word for each in words.values() for word in each if word in said]
    assert {text.split()[0] for text in found.values()} == {"0"}
    assert all(int(text.split()[2]) > 10 for text in found.values())
