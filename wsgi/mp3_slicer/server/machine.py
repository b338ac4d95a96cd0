"""The CPUs and memory that this process may use, by affinity and control groups (cgroup v2)."""

import os
from collections.abc import Iterator

CGROUPS = "/sys/fs/cgroup"


def cpus(*, cgroups: str = CGROUPS, membership: str = "/proc/self/cgroup") -> int:
    """Return the number of CPUs that this process may use, at least 1: its affinity, or less by a cgroup's `cpu.max`.

    A grant of 1.5 CPUs counts as 1: two processes at full work would be throttled by the kernel.
    """
    count = len(os.sched_getaffinity(0))
    for text in _limits("cpu.max", cgroups, membership):
        quota, _, period = text.partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            count = min(count, int(quota) // int(period))
    return max(1, count)


def memory_bytes(
    *, cgroups: str = CGROUPS, membership: str = "/proc/self/cgroup", meminfo: str = "/proc/meminfo"
) -> int:
    """Return the memory that this process may use, in bytes: the machine's, or less by a cgroup's `memory.max`.

    If a sandbox hides /proc/meminfo, sysconf(3) has the machine's.
    """
    try:
        # Before the kernel: a container's may say less.
        with open(meminfo, encoding="ascii") as lines:
            total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))
    except (OSError, StopIteration):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([total, *(int(text) for text in _limits("memory.max", cgroups, membership) if text.isdigit())])


def _limits(name: str, cgroups: str, membership: str) -> Iterator[str]:
    """The text of a cgroup v2 limit in this process's group and in each group above it, where there is one."""
    try:
        with open(membership, encoding="utf-8") as lines:
            paths = [line.rstrip("\n")[3:] for line in lines if line.startswith("0::")]
    except OSError:
        return
    # In a container the path may lie outside what is mounted; the mounted root then carries the limit.
    group = paths[0].strip("/") if paths else ""
    while True:
        try:
            with open(os.path.join(cgroups, group, name), encoding="ascii") as limit:
                yield limit.read().strip()
        except OSError:
            pass  # the root group has no limits, and a controller may be off
        if not group:
            return
        group = os.path.dirname(group)
