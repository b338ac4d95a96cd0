"""A plug-in of pytest for long runs: one line for each file of tests, once all of its tests have ended.

The line has the seconds that the tests took, and those of CPU that they and the programs they started used.
`python -m pytest -p support.progress` loads it. It works with one process and with several (pytest-xdist).
"""

import os
from collections import Counter, defaultdict
from collections.abc import Generator
from typing import Any

import pytest

#: What a test's report says of its CPU.
_CPU = "cpu seconds"


class Meter:
    """Notes for each test how much CPU this process, and the programs that it started and that have ended, used since the one before."""

    def __init__(self) -> None:
        self._used = _used()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        yield
        before, self._used = self._used, _used()
        item.user_properties.append((_CPU, self._used - before))


def _reason(report: pytest.TestReport) -> str:
    """The line that says what went wrong, where there is one."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return f": {crash.message.partition(chr(10))[0]}" if crash else ""


def _used() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Progress:
    """Counts what ended, by file."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._wanted: Counter[str] = Counter()
        self._ended: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: Counter[str] = Counter()
        self._cpu: Counter[str] = Counter()
        self._told = 0

    def _begin(self, names: list[str]) -> None:
        # Every process of xdist has collected the same.
        self._wanted = Counter(name.partition("::")[0] for name in names)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:
            self._begin([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        self._begin(ids)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        # No dots between the lines. The last word is that of the summary.
        if report.passed:
            return "passed" if report.when == "call" else "", "", ""
        if report.skipped:
            return "skipped", "", "SKIPPED"
        return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0]
        self._seconds[file] += report.duration
        if report.when == "teardown":
            self._ended[file]["tests"] += 1
            self._cpu[file] += dict(report.user_properties).get(_CPU, 0)
        if report.when == "call" or not report.passed:
            self._ended[file][report.outcome] += 1
        if report.failed:
            # At once, as the run may be stopped before its end, where pytest tells all.
            self._write(f"FAILED {report.nodeid} ({report.when}){_reason(report)}")
        if report.when == "teardown" and self._ended[file]["tests"] == self._wanted[file]:
            self._tell(file)

    def _tell(self, file: str) -> None:
        self._told += 1
        counts = ", ".join(
            f"{self._ended[file][each]} {each}" for each in ("passed", "failed", "skipped") if self._ended[file][each]
        )
        self._write(
            f"{self._told:3}/{len(self._wanted)} {file:<45} {counts:<20} {self._seconds[file]:6.1f} s {self._cpu[file]:6.1f} s CPU"
        )

    def _write(self, line: str) -> None:
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        terminal.write_line(line)


def pytest_configure(config: pytest.Config) -> None:
    # The output of xdist's test processes is not read.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config))
    # Where tests run in processes of their own, this one runs none.
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.register(Meter())
