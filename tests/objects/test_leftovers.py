"""A store of the tests leaves no file behind: logs and sockets go with it."""

import os
import tempfile

from support.store import SeaweedFS, Store, stored


def left(store: Store, pid: int) -> list[str]:
    """Files of the temporary folders that name a store's process or one of its ports; others' stores may run meanwhile."""
    ends = (f".{pid}", *(f"-{each + more}.sock" for each in store.ports for more in (0, 10_000)))
    paths = [f"{place}/{name}" for place in {"/tmp", tempfile.gettempdir()} for name in os.listdir(place)]
    return [path for path in paths if path.endswith(ends) or path == store.work]


def test_a_store_leaves_no_file() -> None:
    with stored({"a.mp3": b"x"}, SeaweedFS) as store:
        pids = [store.processes[0].pid]
        assert left(store, pids[0])
        # One that is started once more has another process, and the same ports.
        store.kill()
        store.start()
        pids.append(store.processes[0].pid)
    assert [path for pid in pids for path in left(store, pid)] == []
