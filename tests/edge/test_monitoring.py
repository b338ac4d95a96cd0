"""The dashboard and the alert rules ask for nothing but what the real servers tell; promtool checks the rules and what they say."""

import http.client
import json
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from support.edge import ROLE
from support.exposition import families
from support.server import Server

ROOT = pathlib.Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
RULES = [rule for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
VARIABLES = [each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each]
#: Prometheus's own, and what rules record.
OWN = {"up", *(rule["record"] for rule in RULES if "record" in rule)}


def metrics_of(expression: str) -> set[str]:
    """The names of metrics in an expression: what is followed by labels, or stands alone, and begins as ours do."""
    return set(re.findall(r"\b(?:slicer_\w+|slicer:[\w:]+|up)\b", re.sub(r'"[^"]*"', "", expression)))


def labels_of(expression: str) -> set[tuple[str, str]]:
    """(metric, label) for each label that is asked for in braces."""
    return {
        (name, label)
        for name, inner in re.findall(r"(slicer_\w+)\{([^}]*)\}", expression)
        for label in re.findall(r"(\w+)(?:=~|!=|=)", inner)
    }


@pytest.fixture(scope="module")
def told(server: Server, _shared) -> str:
    """All that a slicer and an edge tell."""
    _, edge = _shared
    assert edge.get("/clips/show.mp3?t=1,2").status == 200
    program = ROLE / "files" / "slicer-edge-metrics"
    subprocess.run([sys.executable, "-I", program, edge.work, edge.work, "--once"], check=True)
    texts = []
    for target in ("/main/1", "/edge"):
        connection = http.client.HTTPConnection("127.0.0.1", edge.metrics_port, timeout=30)
        connection.request("GET", target)
        answer = connection.getresponse()
        assert answer.status == 200
        texts.append(answer.read().decode())
        connection.close()
    return "".join(texts)


@pytest.fixture(scope="module")
def names(told: str) -> set[str]:
    """The names of samples."""
    found = set(OWN)
    for name, kind in families(told).items():
        found |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return found


def test_every_metric_of_a_rule_is_one_that_is_told(names: set[str]) -> None:
    for rule in RULES:
        asked = metrics_of(rule["expr"])
        assert asked
        assert asked <= names, rule


def test_every_metric_of_the_dashboard_is_one_that_is_told(names: set[str]) -> None:
    for query in [*QUERIES, *VARIABLES]:
        asked = metrics_of(query)
        assert asked
        assert asked <= names, query


def test_every_label_that_is_asked_for_is_one_of_its_metric() -> None:
    from mp3_slicer.counts.metrics import ALL

    labels = {metric.name: {*metric.labels, "instance", "job", "site"} for metric in ALL}
    for expression in [*QUERIES, *(rule["expr"] for rule in RULES)]:
        for name, label in labels_of(expression):
            family = re.sub(r"_(bucket|sum|count)$", "", name) if name not in labels else name
            if family in labels:
                assert label in {*labels[family], "le"}, expression


def test_everything_that_is_told_is_on_the_dashboard(told: str) -> None:
    shown = set().union(*map(metrics_of, QUERIES))
    families_shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} | shown
    quiet = {
        "slicer_jobs_up",
        "slicer_jobs_store_saves",
        "slicer_edge_read_timestamp_seconds",
        "slicer_edge_unreadable_lines_total",
    }
    assert set(families(told)) - quiet <= families_shown


def test_every_alert_leads_to_what_to_do() -> None:
    for rule in ALERTS:
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        headings = {
            re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)", (ROOT / page).read_text(), re.MULTILINE)
        }
        assert anchor in headings, rule["alert"]


@pytest.mark.parametrize(("what", "file"), [("check", "alerts.yml"), ("test", "alerts.test.yml")])
def test_promtool_agrees(what: str, file: str, promtool: str) -> None:
    done = subprocess.run(
        [promtool, what, "rules", file], cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_servers_tell_is_good_form_to_promtool(told: str, promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "metrics"], input=told, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_each_rule_has_a_test_in_which_it_fires() -> None:
    tests = yaml.safe_load((MONITORING / "alerts.test.yml").read_text())["tests"]
    fires = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each.get("exp_alerts")}
    assert fires == {rule["alert"] for rule in ALERTS}
