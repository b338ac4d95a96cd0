import os

from mp3_slicer.server.machine import cpus, memory_bytes


def group(folder, path, **limits):
    """A cgroup v2 tree of plain files, and the membership file of a process in `path`."""
    here = os.path.join(folder, "fs", path.strip("/"))
    os.makedirs(here, exist_ok=True)
    for name, text in limits.items():
        with open(os.path.join(here, name.replace("_", ".")), "w") as file:
            file.write(text + "\n")
    membership = os.path.join(folder, "membership")
    with open(membership, "w") as file:
        file.write(f"0::{path}\n")
    return {"cgroups": os.path.join(folder, "fs"), "membership": membership}


def test_without_limits_all_cpus_of_our_affinity(tmp_path):
    assert cpus(**group(tmp_path, "/a")) == len(os.sched_getaffinity(0))


def test_affinity_counts():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cpus() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_quota_of_the_group_or_of_one_above_it(tmp_path):
    assert cpus(**group(tmp_path, "/a/b", cpu_max="100000 100000")) == 1
    tree = group(tmp_path / "two", "/a", cpu_max="150000 100000")
    assert cpus(**{**tree, **group(tmp_path / "two", "/a/b")}) == 1
    assert cpus(**group(tmp_path / "half", "/a", cpu_max="50000 100000")) == 1
    assert cpus(**group(tmp_path / "max", "/a", cpu_max="max 100000")) == len(os.sched_getaffinity(0))


def test_memory_is_the_smallest_limit(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       2048 kB\nMemFree: 1 kB\n")
    assert memory_bytes(meminfo=str(meminfo), **group(tmp_path, "/a", memory_max="max")) == 2048 * 1024
    group(tmp_path, "/a", memory_max="1000000")
    assert memory_bytes(meminfo=str(meminfo), **group(tmp_path, "/a/b", memory_max="1500000")) == 1000000
    # A container sees its own limit at the mounted root.
    assert memory_bytes(meminfo=str(meminfo), **group(tmp_path / "c", "/", memory_max="999424")) == 999424


def test_a_sandbox_that_hides_meminfo(tmp_path):
    hidden = str(tmp_path / "none")
    with open("/proc/meminfo") as lines:
        machine = int(next(line for line in lines if line.startswith("MemTotal:")).split()[1]) * 1024
    assert memory_bytes(meminfo=hidden, **group(tmp_path, "/a")) == machine
    assert memory_bytes(meminfo=hidden, **group(tmp_path, "/a", memory_max="1000000")) == 1000000


def test_no_cgroups_at_all(tmp_path):
    nothing = {"cgroups": str(tmp_path / "none"), "membership": str(tmp_path / "none")}
    assert cpus(**nothing) >= 1
    assert memory_bytes(**nothing) > 0
