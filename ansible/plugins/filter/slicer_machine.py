"""Filters on what sites take of a machine beside its memory: the numbers of their users, and room on its disks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

#: Numbers of users and groups that a machine may give away: 0 is root, and the last two of 16 and 32 bits stand for nobody and for none.
_LEAST_ID, _MOST_ID = 1, 2**32 - 3
_NOBODY = {65534, 65535}
#: Rotated logs are compressed, all but the last one, to this part at most.
_COMPRESSED = 0.125
#: Of settings.py: what a site stores of results where its settings do not say.
_RESULTS_BYTES = 1 << 30
_MIB = 1 << 20


def slicer_ids(
    instances: Sequence[Mapping[str, Any]], *, users: Mapping[str, str], user: str, uid: int = 0, gid: int = 0
) -> list[dict[str, Any]]:
    """The users that run sites, `user` first, each with `name`, `uid` and `gid`; 0 where the machine chooses.

    `users` names the user of each site. Raises AnsibleFilterError, naming the site.
    """
    found: dict[str, dict[str, Any]] = {user: {"name": user, "uid": int(uid), "gid": int(gid)}}
    for each in instances:
        name = users[each["name"]]
        own = {"name": name, "uid": int(each.get("uid", 0)), "gid": int(each.get("gid", 0))}
        if name == user and (own["uid"], own["gid"]) not in {(0, 0), (int(uid), int(gid))}:
            raise AnsibleFilterError(
                f"site {each['name']} runs as {user}, whose uid and gid are slicer_uid and slicer_gid"
            )
        if found.setdefault(name, own) != own and name != user:
            raise AnsibleFilterError(f"site {each['name']}: another site gives its user {name} another uid or gid")
    for key in ("uid", "gid"):
        given = [one[key] for one in found.values() if one[key]]
        wrong = [number for number in given if not _LEAST_ID <= number <= _MOST_ID or number in _NOBODY]
        if wrong:
            raise AnsibleFilterError(f"{key} {wrong[0]} is no number of a user or group without privileges")
        if len(given) != len(set(given)):
            raise AnsibleFilterError(f"two users of sites have the same {key}: {', '.join(map(str, given))}")
    return list(found.values())


def _log_mib(days: int, mib: int) -> int:
    """MiB that a log takes at most, with `days` rotated files that had `mib` each: it, the last one, and the others compressed."""
    return round(2 * int(mib) + max(0, int(days) - 1) * int(mib) * _COMPRESSED)


def slicer_disk(
    instances: Sequence[Mapping[str, Any]],
    *,
    edge: Mapping[str, Any] | None = None,
    slicer: Mapping[str, Any] | None = None,
    workers: Mapping[str, Any] | None = None,
    queue_mib: int = 0,
) -> dict[str, int]:
    """MiB that each folder of a machine may grow to, by the machine's roles: those that are not None.

    `edge` has `cache_path`, `free_mib`, `log_path`, `log_days` and `log_mib`; `slicer` and `workers` have `log_days` and `log_mib`;
    `queue_mib` is Redis's memory.
    """
    found: dict[str, int] = {}

    def add(path: str, mib: int) -> None:
        found[path] = found.get(path, 0) + mib

    if edge:
        log = _log_mib(edge["log_days"], edge["log_mib"])
        add(edge["cache_path"], sum(int(each.get("cache_mib", 2048)) for each in instances) + int(edge["free_mib"]))
        add(edge["log_path"], log * (len(instances) + 1))  # one of errors
    if slicer or workers:
        stored = (int(each.get("settings", {}).get("SLICER_RESULTS_BYTES", _RESULTS_BYTES)) for each in instances)
        add("/var/cache/slicer", sum(stored) // _MIB)
    for role in (slicer, workers):
        if role:
            add("/var/log/slicer", len(instances) * _log_mib(role["log_days"], role["log_mib"]))
    if queue_mib:
        # Its file, and the next one while it is written.
        add("/var/lib/redis", 2 * int(queue_mib))
    return found


def slicer_full_disks(needs: Mapping[str, int], disks: Sequence[str]) -> list[str]:
    """Say of each disk that is too small what it has and what may take it.

    `needs` has MiB by folder; `disks` a line for each, "FOLDER MOUNT MIB".
    """
    sizes: dict[str, int] = {}
    folders: dict[str, list[str]] = {}
    for line in disks:
        folder, rest = line.split(maxsplit=1)
        mount, mib = rest.rsplit(maxsplit=1)
        sizes[mount] = int(mib)
        folders.setdefault(mount, []).append(folder)
    return [
        f"the disk of {mount} has {sizes[mount]} MiB, and may have to hold {sum(needs[one] for one in those)}: "
        + ", ".join(f"{one} {needs[one]}" for one in those)
        for mount, those in folders.items()
        if sum(needs[one] for one in those) > sizes[mount]
    ]


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters, by the names that playbooks use."""
        return {each.__name__: each for each in (slicer_disk, slicer_full_disks, slicer_ids)}
