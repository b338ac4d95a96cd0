"""Secrets on provisioned machines: no log, no process list and nothing that Ansible says has a key, a password or a signature."""

import re
import socket
import time

import pytest

from infra.secrecy import given, nothing_said, secrets
from mp3_slicer.signing import Key, signed_url
from support.server import until

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


@pytest.mark.fleets("one")
@pytest.mark.thrown_away
def test_a_play_with_diffs_shows_no_secret_and_gives_none_to_a_command_line(fleet):
    """With all roles; where there are several machines, tests/infra/test_provisioning.py has the same of one that changes much."""
    with nothing_said(fleet) as said:
        said.append(fleet.provision("--diff", "-vvv").output)
    fleet.wait_until_ready()
