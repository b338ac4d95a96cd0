"""docs/at-a-glance.md: its tables say what roles, units and code have."""

import re
from pathlib import Path

import pytest
import yaml

from mp3_slicer.capacity.costs import Costs
from mp3_slicer.cli.main import COMMANDS
from mp3_slicer.doctor import host

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "at-a-glance.md").read_text(encoding="utf-8")
ANSIBLE = ROOT / "ansible"
ROLES = ANSIBLE / "roles"
SOURCES = {
    path: path.read_text(encoding="utf-8")
    for path in ANSIBLE.rglob("*")
    if path.is_file() and path.suffix in {".yml", ".j2"} and "inventories" not in path.parts
}


def section(heading: str) -> str:
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(heading: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def defaults(role: str) -> dict[str, object]:
    loaded: dict[str, object] = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text())
    return loaded


def unit_lines(name: str, unit: str) -> list[str]:
    """The values of a line of a unit's template."""
    (text,) = (text for path, text in SOURCES.items() if path.name == f"{unit}.j2")
    return [word for found in re.findall(rf"^{name}=(.*)$", text, re.MULTILINE) for word in found.split()]


def test_ports_are_those_of_the_roles() -> None:
    found = {re.findall("`([^`]+)`", row[-1])[0]: row[0].partition(",")[0] for row in rows("Ports")}
    nginx, queue, slicer = defaults("nginx"), defaults("queue"), defaults("slicer")
    listens = {
        name: port
        for name, text in nginx.items()
        if name.endswith("_listen")
        for port in re.findall(r"\d{2,5}\b(?!\.)", str(text))[-1:]
    }
    assert found == {
        **{
            name: re.findall(r"\d+", str(nginx[name]))[-1]
            for name in listens
            if name not in {"nginx_http_listen", "nginx_https_listen"}
        },
        "nginx_http_listen": "80",
        "nginx_https_listen": "443",
        "queue_port": str(queue["queue_port"]),
        "slicer_instances": str(slicer["slicer_instances"][0]["port"]),  # type: ignore[index]
    }
    assert "'80'" in str(nginx["nginx_http_listen"])
    assert "'443'" in str(nginx["nginx_https_listen"])


def test_units_are_those_of_the_roles_and_of_the_doctor() -> None:
    found = {re.findall("`([^`]+)`", row[0])[0]: row[1] for row in rows("Units and users")}
    made = {path.name.removesuffix(".j2") for path in SOURCES if path.name.endswith(".service.j2")}
    assert {name.replace("@SITE", "@") for name in found} == made | set(host.SERVICES)
    assert defaults("nginx")["nginx_user"] in found["slicer-edge-metrics.service"]
    assert f"`{defaults('slicer')['slicer_user']}`" in found["slicer@SITE.service"]
    assert unit_lines("User", "slicer-edge-metrics.service") == ["{{", "nginx_user", "}}"]


def test_paths_are_all_that_units_write_and_what_roles_name() -> None:
    named = {re.findall("`([^`]+)`", row[0])[0] for row in rows("Paths") if row[0].startswith("`")}
    everything = "\n".join(SOURCES.values())
    for path in named:
        bare = path.removesuffix("/SITE").replace("SITE.results", "").replace("SITE.scratch", "").rstrip("/")
        assert bare.replace("-SITE", "-") in everything or bare in everything, path
    for unit in ("slicer@.service", "slicer-worker@.service"):
        for kind, folder in (("CacheDirectory", "/var/cache"), ("LogsDirectory", "/var/log")):
            assert {f"{folder}/{word.replace('%i', 'SITE')}" for word in unit_lines(kind, unit)} <= named
    assert {host.ETC, host.ROOT, host.NGINX_CONF, *host.DISKS} - {host.CACHE, "/var/log"} <= named
    assert all(row[2] for row in rows("Paths"))


def test_logs_are_where_units_and_roles_write_them() -> None:
    text = section("Logs")
    for unit, name in (("slicer@.service", "requests.log"), ("slicer-worker@.service", "jobs.log")):
        (path,) = (
            word.partition("=")[2] for word in unit_lines("Environment", unit) if word.startswith("SLICER_REQUEST_LOG")
        )
        assert path == f"/var/log/slicer/%i/{name}"
        assert f"`{path.replace('%i', 'SITE')}`" in text
    for variable in ("slicer_log_days", "workers_log_days"):
        assert variable in text
        assert variable in defaults(variable.partition("_")[0])
    assert "slicer-{{ site.name }}.access.log" in "".join(SOURCES.values())


def test_what_takes_effect_when_is_what_the_play_does() -> None:
    instance = SOURCES[ROLES / "slicer" / "tasks" / "instance.yml"]
    restart, reload = instance.partition("'restarted' if ")[2].partition("'reloaded' if ")[::2]
    assert "_slicer_env" in restart
    assert "_slicer_release_then" in reload
    assert "_slicer_keys" in reload
    commands = {
        command for row in rows("What takes effect when") for command in re.findall("`systemctl ([^`]+)`", row[1])
    }
    assert {command.split()[1].partition("@")[0] for command in commands} == {
        "slicer",
        "slicer-worker",
        "nginx",
        "redis-server",
    }
    assert "ExecReload" in next(text for path, text in SOURCES.items() if path.name == "slicer@.service.j2")
    assert "ExecReload" not in next(text for path, text in SOURCES.items() if path.name == "slicer-worker@.service.j2")


def test_there_are_eight_commands_and_each_is_one() -> None:
    commands = [line.partition("  #")[0].split() for line in section("Eight commands").splitlines() if "  #" in line]
    assert len(commands) == 8
    for words in commands:
        if "slicer" in words:
            assert words[words.index("slicer") + 1] in COMMANDS
        if "--tags" in words:
            tag = words[words.index("--tags") + 1]
            assert f"tags: [{tag}]" in SOURCES[ANSIBLE / "site.yml"]


@pytest.mark.parametrize("row", rows("Disk and memory"), ids=lambda row: row[0])
def test_disks_follow_from_what_was_measured(row: list[str]) -> None:
    hours = int(row[0].replace(",", ""))
    assert row[1:] == [amount(hours * 3600 * 128_000 / 8), amount(hours * Costs().index_size * 1000)]


def amount(size: float) -> str:
    unit = max((power, name) for power, name in ((6, "MB"), (9, "GB"), (12, "TB")) if size >= 10**power or power == 6)
    number = size / 10 ** unit[0]
    return f"{number:.0f} {unit[1]}" if number >= 10 else f"{number:.1f} {unit[1]}"


def test_systems_are_those_that_the_play_lets_through() -> None:
    platforms = yaml.safe_load((ROLES / "slicer" / "meta" / "main.yml").read_text())["galaxy_info"]["platforms"]
    assert platforms == [{"name": "Debian", "versions": ["bookworm", "trixie"]}]
    system = SOURCES[ROLES / "slicer" / "tasks" / "system.yml"]
    assert "['12', '13']" in system
    assert "'24.04'" in system
    assert "Debian 12 and 13" in section("What is supported")
    assert "Ubuntu 24.04" in section("What is supported")
    assert defaults("slicer")["slicer_any_system"] is False
    assert f"{2048} MiB" in section("Disk and memory")
