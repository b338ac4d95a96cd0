"""What sites take of a machine beside its memory: numbers of users, and room on disks."""

import importlib.util
import re
from typing import Any

import pytest

from support.programs import ROOT

ansible_errors = pytest.importorskip("ansible.errors")
_spec = importlib.util.spec_from_file_location("slicer_machine", ROOT / "ansible/plugins/filter/slicer_machine.py")
assert _spec and _spec.loader
filters = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(filters)

ONE, TWO = {"name": "one", "uid": 4101, "gid": 4201}, {"name": "two"}
USERS = {"one": "slicer-one", "two": "slicer-two"}


def ids(*sites: dict[str, Any], users: dict[str, str] = USERS, **numbers: int) -> list[tuple[str, int, int]]:
    found = filters.slicer_ids(sites, users=users, user="slicer", **numbers)
    return [(each["name"], each["uid"], each["gid"]) for each in found]


def test_each_user_has_its_numbers_the_common_one_first() -> None:
    assert ids(TWO, ONE, uid=4100, gid=4200) == [
        ("slicer", 4100, 4200),
        ("slicer-two", 0, 0),
        ("slicer-one", 4101, 4201),
    ]
    assert ids({"name": "one"}, users={"one": "slicer"}) == [("slicer", 0, 0)]
    assert ids(ONE, {**ONE, "name": "two"}, users=dict.fromkeys(USERS, "audio")) == [
        ("slicer", 0, 0),
        ("audio", 4101, 4201),
    ]


@pytest.mark.parametrize(
    ("sites", "users", "numbers", "reason"),
    [
        ([ONE, {"name": "two", "uid": 4101}], USERS, {}, "two users of sites have the same uid: 4101, 4101"),
        ([ONE], {"one": "slicer"}, {"uid": 4100}, "site one runs as slicer, whose uid and gid are slicer_uid"),
        ([ONE, TWO], dict.fromkeys(USERS, "audio"), {}, "site two: another site gives its user audio"),
        ([TWO], USERS, {"uid": 65534}, "uid 65534 is no number"),
        ([TWO], USERS, {"gid": -1}, "gid -1 is no number"),
        ([{**TWO, "uid": 2**32 - 1}], USERS, {}, "uid 4294967295 is no number"),
    ],
)
def test_numbers_that_cannot_be_are_refused(sites: Any, users: Any, numbers: Any, reason: str) -> None:
    with pytest.raises(ansible_errors.AnsibleFilterError, match=re.escape(reason)):
        ids(*sites, users=users, **numbers)


def test_disks_hold_what_each_role_may_write() -> None:
    edge = {"cache_path": "/cache", "free_mib": 500, "log_path": "/log", "log_days": 9, "log_mib": 100}
    logs = {"log_days": 1, "log_mib": 10}
    sites = [{"name": "one", "cache_mib": 1000}, {"name": "two", "settings": {"SLICER_RESULTS_BYTES": str(1 << 21)}}]
    # Two plain files of a log and eight compressed ones: 300 MiB for each of two sites and of the errors.
    assert filters.slicer_disk(sites, edge=edge) == {"/cache": 1000 + 2048 + 500, "/log": 3 * 300}
    assert filters.slicer_disk(sites, slicer=logs, workers=logs) == {
        "/var/cache/slicer": 1024 + 2,
        "/var/log/slicer": 2 * 2 * 20,
    }
    assert filters.slicer_disk(sites, queue_mib=256) == {"/var/lib/redis": 512}
    assert filters.slicer_disk(sites) == {}


def test_folders_of_one_disk_share_it() -> None:
    lines = ["/cache / 100", "/log / 100", "/var/lib/redis /mnt/a disk 70"]
    assert filters.slicer_full_disks({"/cache": 60, "/log": 40, "/var/lib/redis": 70}, lines) == []
    assert filters.slicer_full_disks({"/cache": 60, "/log": 41, "/var/lib/redis": 71}, lines) == [
        "the disk of / has 100 MiB, and may have to hold 101: /cache 60, /log 41",
        "the disk of /mnt/a disk has 70 MiB, and may have to hold 71: /var/lib/redis 71",
    ]
