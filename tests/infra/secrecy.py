"""What is secret on a machine, and who gets to see it."""

import contextlib
import shlex
import threading
from collections.abc import Iterator, Sequence

from infra.fleet import Fleet, Host

#: Where a machine keeps what is secret, and nothing else may have it: as lines of grep.
_SECRETS = r"""
cat /etc/slicer/*.keys 2>/dev/null | grep -oE '\b[0-9a-f]{64,128}\b'
grep -hoE '^requirepass .*' /etc/redis/redis.conf 2>/dev/null | cut -d' ' -f2
grep -hoE 'site-[a-z0-9-]+:[0-9a-f]{64}@' /etc/slicer/*.env 2>/dev/null | cut -d: -f2 | tr -d @ | sort -u
sed -n 2p /etc/redis/slicer-tls.key 2>/dev/null
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


def secrets(host: Host) -> list[str]:
    """What is secret on a machine, by its own files."""
    return host.run(_SECRETS).split()


def given(host: Host, words: Sequence[str], script: str) -> str:
    """What a script prints whose standard input has these words, and no argument does."""
    text = "\n".join([*words, ""]).encode().hex()
    # Otherwise written, or the look would find its own command line, and sudo's line about that in the journal.
    host.python("import sys; print(open('/run/words', 'wb').write(bytes.fromhex(sys.argv[1])))", text)
    return host.run(f"sh -c {shlex.quote(script)} </run/words; rm -f /run/words")


@contextlib.contextmanager
def nothing_said(fleet: Fleet) -> Iterator[list[str]]:
    """The block runs plays, and puts what they print into the list: no secret is in it, nor among a process's arguments meanwhile.

    The keys of all sites are away when the block begins, so that they are written again.
    """
    words = {host.name: secrets(host) for host in fleet.hosts}
    assert any(words.values())
    found: dict[str, str] = {}
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda host=host: found.update({host.name: given(host, words[host.name], _WATCH)}))
        for host in fleet.slicers
    ]
    for thread in threads:
        thread.start()
    try:
        for host in fleet.slicers:
            host.run("rm -f /etc/slicer/*.keys")
        yield said
    finally:
        for host in fleet.slicers:
            host.run("touch /run/watched")
        for thread in threads:
            thread.join(60)
    assert said
    assert not [word for each in words.values() for word in each for text in said if word in text]
    assert {text.split()[0] for text in found.values()} == {"0"}
    assert all(int(text.split()[2]) > 10 for text in found.values())
