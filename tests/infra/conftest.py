"""The servers that the tests look at.

With SLICER_INVENTORY they are those of an Ansible inventory with the groups `edge` and `slicers`, provisioned already. Without it they
are made here: `host`, a container of Debian 12 that is edge and slicer; `several`, containers of Debian 13, an edge with a Redis that
requires TLS and two slicers; and `one`, a Debian 13 that `vagrant up` makes. Their images have the largest packages of the roles already.
SLICER_SERVERS names those that are wanted. A test runs on all of them unless its marker `fleets` names some; those on `host` belong to
`make test`, all others to `make test-all`. Tests of `own` make hosts for themselves. Everything is destroyed at the end, whatever happens.
"""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra import farm
from infra.fleet import Fleet, Site, given_inventory
from infra.load import Edge, Source
from support import streams
from support.jobs import Authority
from support.server import folder, until

#: Vagrant's provider.
PROVIDER = os.environ.get("PROVIDER", "docker")
#: Streams that are put on every slicer, below slicer-test/ in the media folder of each site.
LONG = "long.mp3"
KINDS = ("mpeg1-44-stereo-cbr128", "mpeg1-44-joint-vbr2", "mpeg2-24-joint-abr56")

#: The sites of servers that are made here.
SITES: list[dict[str, Any]] = [
    {"name": "main", "media": "/srv/audio", "port": 8000, "server_names": ["_"]},
    # Entries of the cache are soon too old, so that one sees what happens then.
    {
        "name": "brief",
        "media": "/srv/audio/brief",
        "port": 8001,
        "server_names": ["brief.test"],
        "cpus": 1,
        "settings": {"SLICER_CLIP_MAX_AGE": "2"},
    },
    # Everything that an operator can bound is bounded narrowly. The first look at a file may last, so that a request can overstay.
    {
        "name": "strict",
        "media": "/srv/audio/strict",
        "port": 8002,
        "server_names": ["strict.test"],
        "cpus": 1,
        "request_timeout": 2,
        "max_requests": 100,
        "clips_memory_mib": 300,
        "signed": ["/members"],
        "settings": {"SLICER_INDEX_SECONDS": "300", "SLICER_MAX_SOURCE_BYTES": "1000000000000"},
    },
]
#: All requests of the tests come from one address, as from a proxy; `load.Edge` names another client with each.
VARIABLES = {
    "slicer_instances": SITES,
    "slicer_signing_keys": {"strict": {"tests": secrets.token_hex(32)}},
    "nginx_client_connections": 512,
    "nginx_trusted_proxies": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8"],
}

_EVERYTHING = ("edge", "slicers", "queue", "workers")
GROUPS = {
    "host": {group: ["host"] for group in ("edge", "slicers")},
    "several": {"edge": ["edge1"], "slicers": ["slicer1", "slicer2"], "queue": ["edge1"], "monitoring": ["edge1"]},
    "one": {group: ["default"] for group in _EVERYTHING},
}

left_out: list[str] = []
measured: list[str] = []
_FLEETS = pytest.StashKey[dict[str, int]]()
_ENGINE = pytest.StashKey[farm.Engine]()


# ------------------------------------------------------------------------------------------------- which tests, and where


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slicers(least): the test needs at least so many slicers")
    config.addinivalue_line("markers", "jobs: the test needs a queue and workers")
    config.addinivalue_line("markers", "fleets(name, ...): of the servers that are made here, the test is for these")
    config.addinivalue_line(
        "markers", "thrown_away: the test is for servers that are made here, as it may leave them broken"
    )


def _wanted() -> list[str]:
    return os.environ.get("SLICER_SERVERS", "host,several,one,own").split(",")


def _fleets(config: pytest.Config) -> dict[str, int]:
    """The servers there are for this run, by name, with the number of their slicers; notes what cannot be had."""
    if inventory := given_inventory():
        return {"given": len(Fleet(inventory, lambda *_: farm.Recap("", 0)).slicers)}
    wanted = _wanted()
    found = {name: len(groups["slicers"]) for name, groups in GROUPS.items() if name in wanted}
    missing = {}
    contained = [name for name in found if name != "one" or PROVIDER == "docker"]
    if contained:
        config.stash[_ENGINE] = engine = farm.Engine()
        missing = dict.fromkeys(contained, engine.missing)
    if "one" in found and not shutil.which("vagrant"):
        missing["one"] = "there is no vagrant"
    for name, why in missing.items():
        if why:
            del found[name]
            left_out.append(f"all tests of tests/infra on the servers `{name}`, which were not made: {why}")
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fleet" not in metafunc.fixturenames:
        return
    if _FLEETS not in metafunc.config.stash:
        metafunc.config.stash[_FLEETS] = _fleets(metafunc.config)
    fitting = metafunc.config.stash[_FLEETS]
    for mark in metafunc.definition.iter_markers("slicers"):
        fitting = {name: slicers for name, slicers in fitting.items() if slicers >= mark.args[0]}
    if any(metafunc.definition.iter_markers("jobs")):
        # Servers of others may have jobs or not; the tests look.
        fitting = {name: slicers for name, slicers in fitting.items() if "workers" in GROUPS.get(name, ["workers"])}
    for mark in metafunc.definition.iter_markers("fleets"):
        fitting = {name: slicers for name, slicers in fitting.items() if name in (*mark.args, "given")}
    if any(metafunc.definition.iter_markers("thrown_away")):
        fitting = {name: slicers for name, slicers in fitting.items() if name != "given"}
    metafunc.parametrize("fleet", sorted(fitting, reverse=True), indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _choose_own(config, items)
    if config.stash.get(_FLEETS, None):
        # Tests that fit none of the servers are not tests of this run. Without any servers all stay, and are told as skipped.
        others = [item for item in items if "fleet" in getattr(item, "fixturenames", ()) and not _has_fleet(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    for item in items:
        # Making the servers is bounded by itself, and takes longer than any test.
        if "fleet" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(1800, func_only=True))
            if _has_fleet(item) and item.callspec.params["fleet"] not in {"host", "given"}:
                item.add_marker(pytest.mark.long)


def _choose_own(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that make hosts of their own where these are not wanted, and all others where nothing else is."""
    wanted = _wanted()

    def is_wanted(item: pytest.Item) -> bool:
        if "infra" not in item.path.parts:
            return True
        is_own = any("own" in mark.args for mark in item.iter_markers("fleets"))
        return "own" in wanted and not given_inventory() if is_own else wanted != ["own"]

    config.hook.pytest_deselected(items=[item for item in items if not is_wanted(item)])
    items[:] = filter(is_wanted, items)


def _has_fleet(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and isinstance(item.callspec.params.get("fleet"), str)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in measured:
        terminalreporter.write_line(f"measured: {line}")
    for line in left_out:
        terminalreporter.write_line(f"LEFT OUT: {line}", red=True, bold=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _ENGINE in config.stash:
        config.stash[_ENGINE].stop()


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Note something for the end of the run."""
    return lambda text: measured.append(f"{request.node.name}: {text}")


# ------------------------------------------------------------------------------------------------------------ the servers


@pytest.fixture(scope="session")
def media() -> Iterator[Path]:
    """What is put into /srv/audio of servers that are made here: streams for each site, and the hour of `make sample`."""
    place = Path(folder())
    (place / "slicer-test").mkdir()
    shutil.copy2(farm.sample(), place / "show.mp3")
    for kind in KINDS:
        os.replace(streams.make(kind, str(place / "work"), seconds=20), place / "slicer-test" / f"{kind}.mp3")
    shutil.rmtree(place / "work")
    for site in SITES[1:]:
        shutil.copytree(place / "slicer-test", place / site["name"] / "slicer-test")
    shutil.copytree(place / "slicer-test", place / "strict" / "members" / "slicer-test")
    # An hour, so that an answer can be so large that it takes its time.
    whole = (place / "slicer-test" / f"{KINDS[0]}.mp3").read_bytes()
    audio = whole[streams.frames(whole)[1] :]
    (place / "slicer-test" / LONG).write_bytes(audio * 180)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def sources(media: Path) -> list[Source]:
    """What is there on every site."""
    return [Source(media / "slicer-test" / f"{kind}.mp3", f"slicer-test/{kind}.mp3") for kind in KINDS]


@pytest.fixture(scope="session")
def long_source(media: Path) -> Source:
    """What is there on the site `main` alone."""
    return Source(media / "slicer-test" / LONG, f"slicer-test/{LONG}")


def _host(place: Path, media: Path, made: Callable[[Callable[[], None]], None]) -> Fleet:
    hosts = farm.Containers(place, "bookworm-ready", GROUPS["host"], VARIABLES)
    made(hosts.destroy)
    hosts.make(media)
    return Fleet(hosts.inventory, hosts.provision, kind="host", first=hosts.provision())


def _several(place: Path, media: Path, made: Callable[[Callable[[], None]], None]) -> Fleet:
    hosts = farm.Containers(place, "trixie-ready", GROUPS["several"], VARIABLES)
    made(hosts.destroy)
    hosts.make(media)
    authority = Authority(str(place))
    chain, key = authority.issue(f"IP:{hosts.address(*GROUPS['several']['queue'])}")
    hosts.tell(
        queue_password=secrets.token_hex(24),
        queue_tls_certificate=Path(chain).read_text(),
        queue_tls_key=Path(key).read_text(),
        queue_tls_ca=Path(authority.certificate).read_text(),
    )
    first = hosts.provision()
    return Fleet(hosts.inventory, hosts.provision, kind="several", first=first)


def _one(place: Path, media: Path, made: Callable[[Callable[[], None]], None]) -> Fleet:
    machine = farm.Vagrant(place, PROVIDER, media, VARIABLES)
    made(machine.destroy)
    first = machine.make()
    return Fleet(
        machine.inventory, machine.provision, ("127.0.0.1", machine.port), kind="one", first=first, overrides=SITES
    )


@pytest.fixture(scope="session")
def fleets(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, media: Path
) -> Iterator[dict[str, Future[Fleet]]]:
    """All servers that the chosen tests need, made side by side."""
    names = {item.callspec.params.get("fleet") for item in request.session.items if hasattr(item, "callspec")} - {None}
    inventory = given_inventory()
    if inventory:
        with _given(inventory, media) as fleet:
            future: Future[Fleet] = Future()
            future.set_result(fleet)
            yield {"given": future}
        return
    undo = farm.stop_on_sigterm()
    destroyers: list[Callable[[], None]] = []
    with ThreadPoolExecutor() as executor:
        try:
            farm.sweep()
            made = {
                name: executor.submit(make, tmp_path_factory.mktemp(name), media, destroyers.append)
                for name, make in (("host", _host), ("several", _several), ("one", _one))
                if name in names
            }
            yield made
        finally:
            farm.abort()
            for future in made.values():
                with contextlib.suppress(Exception):
                    future.result()
            if not os.environ.get("SLICER_KEEP_HOSTS"):
                list(executor.map(lambda destroy: destroy(), destroyers))
            undo()


@contextlib.contextmanager
def _given(inventory: Path, media: Path) -> Iterator[Fleet]:
    """Servers that are there already; they get the tests' media for as long as the tests run."""
    fleet = Fleet(inventory, lambda *arguments: farm.play(inventory, *arguments), _given_edge())
    known = json.dumps(
        {"slicer_instances": [dict(site.options) for site in fleet.sites], "files": str(media / "slicer-test")}
    )
    farm.play(inventory, "-e", known, playbook="tests/infra/prepare.yml")
    try:
        yield fleet
    finally:
        farm.play(inventory, "-e", known, "-e", "state=absent", playbook="tests/infra/prepare.yml")


def _given_edge() -> tuple[str, int] | None:
    """SLICER_EDGE=ADDRESS:PORT, where the edge is not asked at its address of the inventory, port 80."""
    address, _, port = os.environ.get("SLICER_EDGE", "").rpartition(":")
    return (address, int(port)) if address else None


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest, fleets: dict[str, Future[Fleet]]) -> Fleet:
    try:
        fleet = fleets[request.param].result()
        fleet.wait_until_ready()
    except (farm.CommandFailed, AssertionError) as error:
        # The reason once, not with every test.
        text, error.args = str(error), ("the servers could not be made; the first test that needed them says why",)
        pytest.fail(text, pytrace=False)
    return fleet


@pytest.fixture(params=["main"])
def site(fleet: Fleet, request: pytest.FixtureRequest) -> Site:
    """The site that most tests ask; a test may name another one by indirect parameters."""
    try:
        return fleet.site(request.param)
    except StopIteration:
        left_out.append(f"{request.node.name}: these servers have no site {request.param}")
        pytest.skip(f"no site {request.param}")


@pytest.fixture
def whole_again(fleet: Fleet) -> Iterator[None]:
    """Nothing is left broken for the next test."""
    yield
    fleet.wait_until_ready()
    for host in fleet.edges:
        until(lambda host=host: host.test.service("nginx").is_running, 30, "nginx runs")  # type: ignore[misc]


@pytest.fixture
def edge(fleet: Fleet, site: Site) -> Edge:
    return fleet.edge(site)
