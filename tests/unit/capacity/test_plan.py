"""`slicer plan`: by itself, and as people run it."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mp3_slicer.capacity import report
from mp3_slicer.capacity.costs import Costs, option, with_assumed
from mp3_slicer.capacity.demand import Demand
from mp3_slicer.capacity.errors import CostsError, FleetError
from mp3_slicer.capacity.plan import REFUSED_SHARE, Plan, plan
from mp3_slicer.capacity.workload import KEY_BYTES
from mp3_slicer.cli.main import main
from mp3_slicer.server import preflight
from mp3_slicer.server.sizes import CLIP_MILLISECONDS, GIB, MIB, compute
from mp3_slicer.settings import Settings

ROOT = Path(__file__).parents[3]
#: Round numbers, so that sums can be done by hand.
ROUND = Costs(
    clip_cpu=1,
    clip_mb_cpu=0.000001,
    clip_extra=0.000001,
    hit_cpu=0.1,
    hit_mb_cpu=0.000001,
    fetch_cpu=0.4,
    fetch_mb_cpu=0.000001,
    render_cpu=20,
    wire=1,
)
#: Nothing but CPUs counts.
WIDE = {"network_gigabits": 10_000, "disk_megabytes": 1_000_000}


def planned(costs: Costs = ROUND, **demand: float) -> Plan:
    return plan(Demand(**{"clips_per_second": 100, **demand}), costs, open_files=128, most_results=20_000)  # type: ignore[arg-type]


def test_sizes_have_threads_for_every_clip_of_a_store() -> None:
    """Sizes import no costs: this holds the two together. A longer clip takes more CPU, and fewer threads."""
    costs = Costs()
    assert 0.5 * (costs.clip_cpu + costs.store_cpu) <= CLIP_MILLISECONDS <= costs.clip_cpu + costs.store_cpu


def test_cpus_follow_from_what_a_clip_costs():
    # 2900 clips: 2.9 CPUs for the slicer, 1.16 for the edge, and 0.6 of what there is may be in use.
    alone = planned(clips_per_second=2900, **WIDE)
    assert (alone.slicers, alone.edges, alone.sizes.cpus) == (1, 0, 7)
    assert alone.fleet.full["CPUs of slicers"] == pytest.approx(4.06 / 7)
    apart = planned(clips_per_second=2900, machine_cpus=4, **WIDE)
    assert (apart.slicers, apart.edges, apart.sizes.cpus, apart.fleet.edge_cpus) == (2, 1, 3, 2)
    # Half of them cached: 1.45 CPUs to cut, 0.58 to fetch, 0.145 to send what is there.
    cached = planned(clips_per_second=2900, cached_share=0.5, **WIDE)
    assert cached.work.clips_load == pytest.approx(1.45)
    assert cached.work.edges_load == pytest.approx(0.725)
    assert cached.sizes.cpus == 4


def test_renders_are_counted_by_their_audio():
    found = planned(renders_per_second=5, render_seconds=30, **WIDE)
    assert found.work.renders_load == pytest.approx(3)
    assert found.sizes.cpus == 6  # 3 + 0.1 + 0.04 + 0.002, of 0.6
    assert found.sizes.renders_processes == 6


def test_the_network_makes_machines_too():
    # 160,000 bytes: 1.28 Mbit each.
    found = planned(clips_per_second=1000)
    assert found.work.sent_bits == pytest.approx(1.28e9)
    assert found.edges == 3
    assert found.slicers == 3
    assert found.fleet.full["network of edges"] == pytest.approx(1.28 / 3)
    assert planned(clips_per_second=1000, cached_share=0.9).slicers == 1
    assert found.work.in_flight == pytest.approx(128)


def test_the_disk_makes_machines_and_memory_spares_them():
    # 16 GiB of memory, and a library of 5.76 TB: nearly all is read from a disk of 10 MB/s.
    slow = {"hours_of_audio": 100_000, "disk_megabytes": 10, "network_gigabits": 100}
    found = planned(**slow)
    assert found.slicers > 4
    assert found.fleet.bound in ("disks of slicers", "disks of edges")
    assert planned(**slow, machine_memory=6000 * GIB).slicers == 1
    # Each has its own share of the library in its memory.
    assert found.in_memory == pytest.approx(found.fleet.slicers * found.fleet.page_cache / 5.76e12)


def test_spare_machines_are_on_top():
    without, spared = planned(clips_per_second=1000), planned(clips_per_second=1000, spare=1)
    assert (spared.slicers, spared.edges) == (without.slicers + 1, without.edges + 1)
    assert spared.fleet.full == without.fleet.full
    given = planned(clips_per_second=1000, spare=1, machines=4)
    assert (given.slicers, given.fleet.slicers) == (4, 3)


def test_too_few_machines_are_said_to_be():
    found = planned(clips_per_second=100_000, machines=2, network_gigabits=100)
    assert found.slicers == 2
    assert any(line.startswith("network of slicers: ") for line in found.warnings)
    # No more CPUs than Slicer can be sized for.
    assert planned(clips_per_second=400_000, machines=1, **WIDE).sizes.cpus <= 256
    lost = planned(clips_per_second=400_000, machines=2, renders_per_second=1, hours_of_audio=1, **WIDE)
    assert "no end" not in report.text(lost)
    none = planned(clips_per_second=4_000_000, machines=2, renders_per_second=1, hours_of_audio=1, **WIDE)
    assert "no end" in report.text(none)
    assert any(line.startswith("renders: 100%") for line in none.warnings)
    assert report.values(none)["wait"] is None


def test_no_number_of_machines_would_do():
    with pytest.raises(FleetError, match="slicers"):
        planned(clips_per_second=10_000_000, machine_cpus=1, **WIDE)
    with pytest.raises(FleetError, match="edges"):
        planned(clips_per_second=10_000_000)


def test_sizes_are_those_of_slicer_serve():
    found = planned(clips_per_second=3000, renders_per_second=10, **WIDE)
    given = report.values(found)["set"]["options"]
    memory = int(given["--memory"].removesuffix("M")) * MIB
    assert found.sizes == compute(int(given["--cpus"]), memory, int(given["--backlog"]))
    assert found.sizes.renders_processes == found.sizes.cpus
    preflight.indexes_fit(found.fleet.index_memory, found.sizes.clips_memory_bytes)
    assert found.memory <= found.sizes.memory_bytes


def test_the_queue_of_renders_is_as_long_as_it_has_to_be():
    few, many = planned(renders_per_second=0.1), planned(renders_per_second=20, render_seconds=1, utilisation=0.9)
    assert few.sizes.renders_backlog == 4
    assert many.sizes.renders_backlog > 4
    assert max(few.refused, many.refused) <= REFUSED_SHARE
    # Renders of 10 s of CPU each: no queue helps where one would wait longer than it may.
    long = planned(renders_per_second=0.5, render_seconds=500, machines=1, machine_cpus=1, utilisation=0.95)
    waits = long.sizes.renders_backlog * 10 / long.sizes.renders_processes
    assert waits <= max(long.sizes.queue_timeout, 4 * 10)


def test_settings_are_named_where_they_must_be_others(tmp_path):
    assert planned().settings == {}
    found = planned(
        clip_seconds=9000,
        hours_per_file=100,
        renders_per_second=1,
        render_seconds=700,
        kilobits=320,
        hours_of_audio=20_000,
        clips_per_second=0.1,
    )
    assert set(found.settings) == {
        f"SLICER_{name}"
        for name in (
            "INDEX_MEMORY_BYTES",
            "RESULTS_BYTES",
            "MAX_CLIP_SECONDS",
            "MAX_SOURCE_BYTES",
            "MAX_RENDER_SECONDS",
        )
    }
    # A server takes them, with the sizes that go with them.
    read = Settings.from_environ({"SLICER_MEDIA": str(tmp_path), **found.settings})
    preflight.indexes_fit(read.index_memory_bytes, found.sizes.clips_memory_bytes)


def test_a_store_takes_threads_and_no_cpu():
    # 200 clips a second of 1 ms of CPU, 0.5 ms for the request, and 98 ms of waiting: 19.9 threads at a time, 0.6 of those there are.
    costs = replace(ROUND, store_cpu=0.5, store_read=1)
    found = planned(costs, clips_per_second=200, store_milliseconds=98, **WIDE)
    assert found.work.clips_load == pytest.approx(0.3)
    assert found.work.threads == pytest.approx(19.9)
    assert found.sizes.cpus == 1
    assert found.sizes.clips_threads >= 19.9 / 0.6
    assert found.fleet.full["threads of slicers"] == pytest.approx(19.9 / found.sizes.clips_threads)
    # The same load of a folder: no such resource.
    near = planned(costs, clips_per_second=200, **WIDE)
    assert "threads of slicers" not in near.fleet.full
    assert near.work.clips_load == pytest.approx(0.2)
    # Ten times as far: more processes, which have the threads, and then more machines.
    far = planned(costs, clips_per_second=200, store_milliseconds=980, **WIDE)
    assert (far.slicers, far.sizes.cpus) == (1, 6)  # 196.3 threads, of 0.6, by 64
    assert planned(costs, clips_per_second=200, store_milliseconds=980, machine_cpus=2, **WIDE).slicers == 3
    assert far.fleet.full["threads of slicers"] <= 0.6


def test_a_store_is_read_over_the_network():
    costs = replace(ROUND, store_read=3)
    found = planned(costs, clips_per_second=100, store_milliseconds=10, hours_of_audio=100_000, disk_megabytes=10)
    # 160,000 bytes: 1.28 Mbit each; three times as much comes in as goes out.
    assert found.work.store_bits == pytest.approx(3 * 1.28e8)
    assert found.fleet.full["network of slicers"] == pytest.approx(0.384 / found.fleet.slicers)
    assert found.fleet.full["disks of slicers"] < 0.6
    assert found.reads == pytest.approx(100 / found.fleet.slicers)
    # An hour is 57.6 MB, of 125 MB/s, asked for three times.
    assert found.work.first_seconds == pytest.approx(0.4608 + 0.03)
    text = report.text(found)
    assert "all in the store" in text
    assert "wait for the store" in text
    assert "slicer serve STORE --cpus" in text
    assert f"slicer_instances: cpus: {found.sizes.cpus}" in text
    assert "store_milliseconds: 10" in text
    given = report.values(found)["set"]["options"]
    memory = int(given["--memory"].removesuffix("M")) * MIB
    assert found.sizes == compute(found.sizes.cpus, memory, is_remote=True, store_milliseconds=10)


def test_what_lies_on_disks():
    found = planned(hours_of_audio=1000, hours_per_file=0.5, cached_share=0.5, renders_per_second=0.1)
    assert found.work.files == 2000
    assert found.work.indexes_bytes == pytest.approx(2000 * 36864)  # 34.75 KB in blocks of 4 KiB
    assert found.work.library_bytes == pytest.approx(57.6e9)
    assert found.work.cached == pytest.approx(50 / 3 * 86_400)
    assert found.work.cache_bytes == pytest.approx(found.work.cached * 163_840)
    assert found.results == pytest.approx(0.1 / 3 * 86_400)
    assert planned(renders_per_second=5).results == 20_000
    assert planned().work.cache_bytes == 0
    # A disk of 500 MB/s is slower than one CPU.
    assert found.index_seconds == pytest.approx(115.2)
    slow = replace(ROUND, index_speed=0.1)
    assert planned(slow, hours_per_file=1000).index_seconds == pytest.approx(576, abs=1)
    assert any("slicer index" in line for line in planned(slow, hours_per_file=1000).warnings)


def test_short_clips_need_a_key_each():
    found = planned(clip_seconds=1, cached_share=0.5)
    assert found.work.cache_bytes == found.work.cached * KEY_BYTES
    template = (ROOT / "ansible" / "roles" / "nginx" / "templates" / "site.conf.j2").read_text()
    # A MiB for keys for each so many MiB of cache.
    (mib,) = re.findall(r"\(id, short_mib, site\.cache_mib / (\d+)\)", template)
    assert int(mib) * MIB / Costs().cache_keys == pytest.approx(KEY_BYTES, rel=0.03)


def test_one_that_is_away_is_counted():
    rows = dict(row[:2] for row in report._full(planned(clips_per_second=2900, machine_cpus=4, **WIDE)))
    assert rows["the same, one slicer away"] == "97%"


ANY = st.builds(
    Demand,
    **{
        item.name: st.none()
        if item.name == "machines"
        else (st.integers if item.type in (int, "int") else st.floats)(item.metadata["low"], item.metadata["high"])
        for item in fields(Demand)
    },
)


@settings(max_examples=300)
@given(ANY)
def test_whatever_is_asked_there_is_a_plan_that_suffices_or_a_sentence(demand):
    try:
        found = plan(demand, Costs(), open_files=128, most_results=20_000)
    except FleetError as error:
        assert "\n" not in str(error)
        return
    assert all(share <= demand.utilisation + 1e-6 for share in found.fleet.full.values())
    assert found.sizes.cpus <= demand.machine_cpus
    assert found.slicers >= 1 + demand.spare
    json.dumps(report.values(found), allow_nan=False)
    assert report.text(found)


# --------------------------------------------------------------------------------------------------------------- costs


def test_each_cost_names_a_row_that_a_benchmark_prints():
    targets = set(re.findall(r"^(bench-[a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    sources = "".join(path.read_text() for path in (ROOT / "tests" / "bench").glob("*.py"))
    for item in fields(Costs):
        command, row = item.metadata["command"], item.metadata["row"]
        assert bool(row) == command.startswith("make ")
        if row:
            assert command.removeprefix("make ") in targets
            assert f'"{row}"' in sources or ('f"index of {name}"' in sources and f'"{row[9:]}"' in sources), row


def test_a_benchmark_measures_anew():
    rows = [
        {"what": "a clip beside its bytes: CPU of the server", "unit": "ms", "median": 0.25},
        {"what": "index of 1 h, 128 kbit/s", "unit": "ms", "median": 30},
        {"what": "index of 1 h, 128 kbit/s", "unit": "GB/s", "median": 4.5},
        {"what": "10 s of 1 h, faded, mp3 of 128 kbit/s: CPU", "unit": "ms", "median": 100},
        {"what": "each MB of cached clips: CPU of Nginx", "unit": "ms", "median": 0},
        {"what": "another", "unit": "", "median": 3},
    ]
    found = Costs().with_measured(json.dumps({"rows": rows}))
    assert (found.clip_cpu, found.index_speed, found.render_cpu, found.hit_mb_cpu) == (0.25, 4.5, 10, 1e-6)
    assert found.fetch_cpu == Costs().fetch_cpu


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "[]",
        "{}",
        '{"rows": 1}',
        '{"rows": [{}]}',
        '{"rows": [{"what": "x", "unit": "y", "median": "z"}]}',
        '{"rows": []}',
        '{"rows": [{"what": 1, "unit": 2, "median": 3}]}',
        "[" * 100_000,
        "9" * 5000,
        " " * (1 << 20) + "{}",
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_measure_is_said_to_be_none(text):
    with pytest.raises(CostsError, match=r"benchmark|none of the costs|characters"):
        Costs().with_measured(text)


@pytest.mark.parametrize("median", ["NaN", "Infinity", "1e300", "-5e9"])
def test_a_measure_out_of_reason(median):
    text = '{"rows": [{"what": "a clip beside its bytes: CPU of the server", "unit": "ms", "median": MEDIAN}]}'
    try:
        assert 1e-6 <= Costs().with_measured(text.replace("MEDIAN", median)).clip_cpu <= 1e6
    except CostsError as error:
        assert "clip-cpu=" in str(error)


def test_what_is_assumed_counts():
    changed = with_assumed(Costs(), [("clip-cpu", 5), ("wire", 1.5), ("clip-cpu", 6)])
    assert (changed.clip_cpu, changed.wire, changed.hit_cpu) == (6, 1.5, Costs().hit_cpu)
    with pytest.raises(CostsError, match="there are clip-cpu"):
        with_assumed(Costs(), [("clip_cpu", 5)])


# ------------------------------------------------------------------------------------------------------------- command


def slicer(*words: str, timeout: float = 60) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "mp3_slicer", *words],
        env={name: value for name, value in os.environ.items() if not name.startswith("SLICER_")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_the_command_says_it_twice(tmp_path):
    words = ["plan", "--clips-per-second", "500", "--cached-share", "0.8", "--renders-per-second", "2", "--spare", "1"]
    text, made = slicer(*words), slicer(*words, "--json", "--assume", "clip-cpu=3")
    assert (text.returncode, text.stderr, made.returncode, made.stderr) == (0, "", 0, "")
    found = json.loads(made.stdout)
    assert {each["name"]: each["value"] for each in found["assumed"]}["clip-cpu"] == 3
    for name in [option(item.name) for item in fields(Costs)]:
        assert f"\n{name} " in text.stdout
    sizes = found["set"]["options"]
    serve = [word for pair in sizes.items() for word in pair]
    printed = slicer("serve", str(tmp_path), *serve, "--print")
    assert printed.returncode == 0, printed.stderr
    assert f"CPUs             {sizes['--cpus']} " in printed.stdout


def test_measures_come_from_files(tmp_path):
    path = tmp_path / "growth.json"
    row = {"what": "a clip beside its bytes: CPU of the server", "unit": "ms", "median": 7}
    path.write_text(json.dumps({"rows": [row]}))
    words = ["plan", "--clips-per-second", "5", "--json", "--measured", str(path)]
    assert {each["name"]: each["value"] for each in json.loads(slicer(*words).stdout)["assumed"]}["clip-cpu"] == 7
    # What is said outright counts more.
    said = json.loads(slicer(*words, "--assume", "clip-cpu=2").stdout)
    assert {each["name"]: each["value"] for each in said["assumed"]}["clip-cpu"] == 2


@pytest.fixture
def handlers():
    """What signals do is as it was, after the command was called in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "--clips-per-second"),
        (["--clips-per-second", "0"], "--clips-per-second 0.0 is not from 0.001 to 10000000"),
        (["--clips-per-second", "-5"], "--clips-per-second"),
        (["--clips-per-second", "1e5"], "'1e5'"),
        (["--clips-per-second", "nan"], "'nan'"),
        (["--clips-per-second", "٣"], "'٣'"),
        (["--clips-per-second", "9" * 5000], "--clips-per-second"),
        (["--clips-per-second", "5", "--cached-share", "1"], "--cached-share 1.0 is not from 0 to 0.9999"),
        (["--clips-per-second", "5", "--machines", "0"], "--machines 0 is not from 1 to 10000"),
        (["--clips-per-second", "5", "--machines", "1.5"], "'1.5'"),
        (["--clips-per-second", "5", "--machines", "2", "--spare", "2"], "leaves no machine"),
        (["--clips-per-second", "5", "--machine-memory", "1K"], "--machine-memory 1024"),
        (["--clips-per-second", "5", "--machine-memory", "lots"], "'lots'"),
        (["--clips-per-second", "5", "--assume", "clip-cpu"], "''"),
        (["--clips-per-second", "5", "--assume", "x=1"], "--assume 'x'"),
        (["--clips-per-second", "5", "--assume", "clip-cpu=0"], "clip-cpu=0 is not"),
        (["--clips-per-second", "5", "--measured", "/nowhere"], "/nowhere: No such file"),
        (["--clips-per-second", "5", "--measured", "/dev/zero"], "--measured /dev/zero"),
        (["--clips-per-second", "5", "--measured", "/etc/passwd"], "--measured /etc/passwd"),
        (["--clips-per-second", "10000000"], "more than 10000 edges"),
        (["--clips-per-second", "5", "--wat"], "--wat"),
        (
            ["--clips-per-second", "5", "--store-milliseconds", "5001"],
            "--store-milliseconds 5001 is not from 0 to 5000",
        ),
        (["--clips-per-second", "5", "--store-milliseconds", "0.5"], "'0.5'"),
    ],
)
def test_bad_input_is_one_line(words, named, capsys, handlers):
    try:
        assert main(["plan", *words]) == 2
    except SystemExit as end:
        assert end.code == 2
    out, err = capsys.readouterr()
    assert not out
    (line,) = err.splitlines()
    assert line.startswith("slicer: ")
    assert named in line or named in line.encode().decode("unicode_escape")
    assert len(line) < 700
