"""A real Prometheus with the targets, rules and configuration of the docs: two sites of two slicers behind one edge."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from support.edge import ROLE, ROOT, Edge, site
from support.server import Server, folder, free_port, until

sys.path.insert(0, str(ROOT / "ansible" / "plugins" / "filter"))

from slicer_sites import slicer_targets

MONITORING = ROOT / "monitoring"
PROGRAM = ROLE / "files" / "slicer-edge-metrics"
PATHS = ("/etc/prometheus/slicer.targets.json", "/etc/prometheus/slicer.rules.yml")


class Prometheus:
    """One that scrapes every second, with its files in a folder of its own."""

    def __init__(self, targets: list[dict[str, Any]]) -> None:
        self.work = pathlib.Path(folder())
        self.port = free_port()
        (self.work / "targets.json").write_text(json.dumps(targets))
        shutil.copy(MONITORING / "alerts.yml", self.work / "rules.yml")
        block = re.search(r"```yaml\n(scrape_configs:.*?)```", (ROOT / "docs" / "monitoring.md").read_text(), re.DOTALL)
        assert block, "the docs have a configuration"
        text = block[1]
        for path, name in zip(PATHS, ("targets.json", "rules.yml"), strict=True):
            assert path in text
            text = text.replace(path, str(self.work / name))
        fast = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}}
        (self.work / "prometheus.yml").write_text(yaml.safe_dump({**fast, **yaml.safe_load(text)}))
        self._log = open(self.work / "log", "wb")  # noqa: SIM115 - closed by stop
        self.process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={self.work}/prometheus.yml", f"--storage.tsdb.path={self.work}/data"),
                *(f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def ask(self, what: str, **fields: str) -> Any:
        """The data of an answer of its API; None while there is none."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(fields)}"
        assert self.process.poll() is None, (self.work / "log").read_text()
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # not ready yet
                return None
            raise AssertionError(f"{fields}: {error.read().decode()}") from None
        except OSError:
            return None

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each sample."""
        found = self.ask("query", query=expression)
        return [(each["metric"], float(each["value"][1])) for each in found["result"]] if found else []

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self._log.close()
        shutil.rmtree(self.work, ignore_errors=True)


@pytest.fixture
def prometheus(promtool: str) -> Iterator[Callable[[list[dict[str, Any]]], Prometheus]]:
    started: list[Prometheus] = []

    def begin(targets: list[dict[str, Any]]) -> Prometheus:
        started.append(Prometheus(targets))
        return started[-1]

    yield begin
    for each in started:
        each.stop()


def count(edge: Edge) -> None:
    subprocess.run([sys.executable, "-I", PROGRAM, edge.work, edge.work, "--once", f"--disk={edge.work}"], check=True)


def test_two_sites_of_two_slicers_are_told_apart(server: Server, start, front, prometheus) -> None:
    other = start()
    sites = [
        site([server.port, other.port], "main", server_names=["main.test"]),
        site([other.port, server.port], "more", server_names=["more.test"]),
    ]
    edge = front(*sites)
    for host in ("main.test", "more.test", "more.test"):
        assert edge.get("/clips/show.mp3?t=1,2", Host=host).status == 200
    until(lambda: [len(edge.log(name)) for name in ("main", "more")] == [1, 2], 30, "they are logged")
    count(edge)
    targets = slicer_targets(sites, slicers=["one", "two"], edges={"edge": f"127.0.0.1:{edge.metrics_port}"})
    running = prometheus(targets)
    until(lambda: len(running.query("up == 1")) == 5, 120, "all targets are up")
    up = {(each["job"], each.get("site", ""), each["instance"]) for each, _ in running.query("up == 1")}
    assert up == {("slicer", name, host) for name in ("main", "more") for host in ("one", "two")} | {
        ("slicer-edge", "", "edge")
    }
    # Of no release; only a wheel knows its revision.
    assert len(running.query('count by (site, instance) (slicer_build_info{version!="",release=""})')) == 4
    asked = running.query('sum by (site) (slicer_edge_requests_total{instance="edge",kind="clips"})')
    assert {each["site"]: number for each, number in asked} == {"main": 1, "more": 2}
    rules = running.ask("rules")
    until(lambda: all(each["health"] != "unknown" for each in rules_of(running)), 60, "all rules were evaluated")
    assert rules
    assert [(each["name"], each.get("lastError")) for each in rules_of(running) if each["health"] != "ok"] == []
    assert [each["labels"]["alertname"] for each in running.ask("alerts")["alerts"] if each["state"] == "firing"] == []
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = re.sub(r"\$__rate_interval", "1m", re.sub(r"\$(?:site|instance)", ".*", target["expr"]))
            running.query(expression)


def rules_of(running: Prometheus) -> list[dict[str, Any]]:
    return [rule for group in running.ask("rules")["groups"] for rule in group["rules"]]
