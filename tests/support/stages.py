"""Runs the stages of `make test` side by side, says what they do, and keeps what they print: python -m support.stages test|all

A stage is a command. What it prints goes to build/test/STAGE.log; lines of progress are shown, and where it fails the end of that.
The seconds of the last run that passed are in build/test/seconds.json, for estimates.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "test"
SECONDS = FOLDER / "seconds.json"
PYTEST = (sys.executable, "-m", "pytest", "-p", "support.progress", "-q", "--no-header", "--color=no")
#: Processes that run tests: most of a test's time is waiting for a server.
WORKERS = 2 * (os.cpu_count() or 1) + 1
#: Minutes for each kind of input, and where chance begins: the same each time. `make fuzz` begins elsewhere each time.
FUZZ_MINUTES, FUZZ_FIRST = "1", "1"
#: Lines that are shown while a stage runs: files of tests that are done, tools, and what was left out or measured.
SHOWN = re.compile(
    r"\s*\d+/\d+ tests/|FAILED tests/\S.* \((?:setup|call|teardown)\)|lint: |files: |parser |api: |LEFT OUT: |slicer: |host-image: "
)
#: Lines that are shown again at the end.
AT_THE_END = re.compile(r"LEFT OUT: |SKIPPED \[")
#: Lines of the end of a stage that failed.
TAIL = 150


@dataclass
class Stage:
    """A command, and what has become of it."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    seconds: float = 0
    lines: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    behind: "Stage | None" = None  #: one that ends before this begins
    ended: threading.Event = field(default_factory=threading.Event)
    is_stopped: bool = False

    @property
    def log(self) -> Path:
        return FOLDER / f"{self.name}.log"


def stages(which: str) -> list[Stage]:
    """The stages of `make test`, or of what `make test-all` adds to them."""
    if which == "test":
        return [
            Stage("host", [*PYTEST, "-m", "not long", "tests/infra"], {"SLICER_SERVERS": "host"}),
            Stage("lint", [sys.executable, "scripts/lint", sys.prefix]),
            Stage(
                "tests",
                [
                    *PYTEST,
                    "-n",
                    str(WORKERS),
                    "--dist=loadfile",
                    "--no-loadscope-reorder",
                    "-m",
                    "not long",
                    *_folders(),
                ],
            ),
        ]
    one = Stage("one", [*PYTEST, "-m", "long", "tests/infra"], {"SLICER_SERVERS": "one"})
    long = Stage("long", [*PYTEST, "-n", "2", "--dist=loadfile", "-m", "long", *_folders()])
    return [
        Stage("several", [*PYTEST, "-m", "long", "tests/infra"], {"SLICER_SERVERS": "several"}),
        one,
        long,
        # More sets of hosts at once would take each other's time, and some tests bound how long an outage may last.
        *(
            Stage(
                name, [*PYTEST, "-m", "long", f"tests/infra/test_{name}.py"], {"SLICER_SERVERS": "own"}, behind=before
            )
            for name, before in (("networks", one), ("lifecycle", long))
        ),
        Stage("fuzz", [sys.executable, "-m", "fuzz", "--minutes", FUZZ_MINUTES, "--first", FUZZ_FIRST]),
    ]


def _folders() -> list[str]:
    """The folders of tests that need no provisioned host."""
    folders = sorted(path.name for path in (ROOT / "tests").iterdir() if any(path.rglob("test_*.py")))
    return [f"tests/{name}" for name in folders if name not in {"infra", "bench"}]


class Screen:
    """Writes whole lines, from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def say(self, name: str, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        with self._lock:
            print(f"{minutes:2}:{seconds:02} {name:<9} {text}", flush=True)


def run(stage: Stage, screen: Screen, before: Mapping[str, float]) -> None:
    """Run a stage to its end, once the one before it has ended."""
    if stage.behind:
        stage.behind.ended.wait()
    try:
        if not stage.is_stopped:
            _run_now(stage, screen, before)
    finally:
        stage.ended.set()


def _run_now(stage: Stage, screen: Screen, before: Mapping[str, float]) -> None:
    last = f", {before[stage.name]:.0f} s the last time" if stage.name in before else ""
    screen.say(stage.name, f"begins{last}; all of it is in {stage.log.relative_to(ROOT)}")
    began = time.monotonic()
    environ = {**os.environ, **stage.environ, "PYTHONPATH": "tests", "PYTHONUNBUFFERED": "1"}
    stage.process = subprocess.Popen(
        stage.command,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Ctrl-C is handed on by us, once.
        start_new_session=True,
    )
    assert stage.process.stdout
    with open(stage.log, "w", encoding="utf-8") as log:
        for raw in stage.process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            log.write(line + "\n")
            stage.lines.append(line)
            if SHOWN.match(line):
                screen.say(stage.name, line)
    stage.status = stage.process.wait()
    stage.seconds = time.monotonic() - began
    summary = next((line.strip("= ") for line in reversed(stage.lines) if re.search(r"\d+ (passed|failed)", line)), "")
    screen.say(stage.name, f"{'passed' if stage.status == 0 else 'FAILED'} after {stage.seconds:.0f} s {summary}")


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """A Docker engine for all stages together, where one can be had: else the tests say what they leave out."""
    command = [str(ROOT / "scripts" / "host-image")]
    done = subprocess.run([*command, "engine"], stdout=subprocess.PIPE, check=False, text=True)
    try:
        yield
    finally:
        if "started" in done.stdout.split():
            subprocess.run([*command, "stop"], check=False)


def stop(all_of_them: Sequence[Stage]) -> None:
    """Ask all that still run to end, as Ctrl-C does: they take down what they made."""
    for stage in all_of_them:
        stage.is_stopped = True
        if stage.process and stage.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(stage.process.pid, signal.SIGINT)


def main(which: str) -> int:
    """Run the stages; 0 where all passed, 1 where one failed, 130 where they were stopped."""
    with engine():
        return _run(which)


def _run(which: str) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    before: dict[str, float] = json.loads(SECONDS.read_text()) if SECONDS.exists() else {}
    screen, todo, began = Screen(), stages(which), time.monotonic()
    threads = [threading.Thread(target=run, args=(stage, screen, before)) for stage in todo]
    # A shell starts what runs in the background with SIGINT ignored, and the stages would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    stopped = False
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            for thread in threads:
                thread.join(0.5)
        except KeyboardInterrupt:
            stopped = True
            screen.say("", "stopping")
            stop(todo)
    failed = [stage for stage in todo if stage.status]
    for stage in failed:
        print(f"\n---- {stage.name}: the end of {stage.log.relative_to(ROOT)}", *stage.lines[-TAIL:], sep="\n")
    print()
    for stage in todo:
        for line in stage.lines:
            if AT_THE_END.match(line):
                print(f"{stage.name}: {line}")
    for stage in todo:
        print(f"{stage.name:<9} {'passed' if stage.status == 0 else 'FAILED'} {stage.seconds:6.0f} s")
    print(f"{which:<9} {'FAILED' if failed else 'passed'} {time.monotonic() - began:6.0f} s", flush=True)
    if stopped:
        return 130
    if not failed:
        SECONDS.write_text(json.dumps({**before, **{stage.name: stage.seconds for stage in todo}}))
    return int(bool(failed))


if __name__ == "__main__":
    if sys.argv[1:] not in (["test"], ["all"]):
        sys.exit("usage: python -m support.stages test|all")
    sys.exit(main(sys.argv[1]))
