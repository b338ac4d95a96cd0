"""What the documents say is so: settings, options, targets, files, links, and the example runs."""

import argparse
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from mp3_slicer.cli import main as cli
from mp3_slicer.mp3 import SECOND
from mp3_slicer.server.sizes import GIB, compute
from mp3_slicer.settings import PREFIX, Settings
from mp3_slicer.timespan import TimeSpan
from support.cutting import cut_bytes, index_of, span_of

ROOT = Path(__file__).parents[2]
DOCS = {str(path.relative_to(ROOT)): path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]}
SETTINGS, RUNNING, FAULTS, UPGRADES, CAPACITY = (
    ROOT / "docs" / f"{name}.md" for name in ("settings", "running", "faults", "upgrades", "capacity")
)
#: Folders whose files the documents name by their path.
FOLDERS = ("ansible", "wsgi", "apache", "tests", "contest", "docs", "scripts", "requirements", "monitoring")
#: The reader's own copy of an example.
THEIRS = "ansible/inventories/mine"
#: What ends in a suffix of ours and is somebody else's name.
NOT_OURS = {
    "show.mp3",
    "clip.mp3",
    "clip.wav",
    "show.json",
    "show.chapters.json",
    "/chapters/show.json",
    "/peaks/show.json",
    "/openapi.json",
    "build/bench/growth.json",
    "/etc/prometheus/slicer.targets.json",
    "/etc/nginx/nginx.conf",
    "/etc/redis/redis.conf",
}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def split(text: str) -> tuple[str, list[tuple[str, str]]]:
    """A document's prose, and its blocks of code with their languages."""
    prose, blocks, fence = [], [], ""
    for line in text.splitlines(keepends=True):
        if line.startswith("```"):
            if not fence:
                blocks.append((line[3:].strip(), ""))
            fence = "" if fence else line
        elif fence:
            blocks[-1] = (blocks[-1][0], blocks[-1][1] + line)
        else:
            prose.append(line)
    assert not fence, "a block does not end"
    return "".join(prose), blocks


def code_of(text: str) -> Iterator[str]:
    """What a document sets as code: blocks line by line, and spans."""
    prose, blocks = split(text)
    for _, block in blocks:
        yield from block.splitlines()
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parsers of the subcommands."""
    (choices,) = (action.choices for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert choices
    return dict(choices)


def decimal(value: object) -> str:
    return f"{float(value):g}" if not isinstance(value, int) else str(value)


def setting_row(item) -> str:
    """The row of a setting, made from the code."""
    low, high = item.metadata["low"], item.metadata["high"]
    number = not isinstance(item.default, str)
    default = f"`{decimal(item.default)}`" if number else f"`{item.default}`" if item.default else ""
    span = f"{decimal(low)} to {int(high)}" if number else ""
    return f"| `{PREFIX}{item.name.upper()}` | {default} | {span} | {item.metadata['doc']} |"


def test_all_documents_are_here() -> None:
    wanted = {"README.md", "CHANGELOG.md", "docs/api.md", "docs/engine.md", "docs/operations.md", "docs/design.md"}
    assert wanted <= set(DOCS)


def test_the_table_of_settings_is_the_code() -> None:
    rows = [line for line in text_of(SETTINGS).splitlines() if line.startswith(f"| `{PREFIX}")]
    assert rows == [setting_row(item) for item in fields(Settings)]


@pytest.mark.parametrize("name", DOCS)
def test_every_variable_that_is_named_is_a_setting(name: str) -> None:
    known = {PREFIX + item.name.upper() for item in fields(Settings)}
    # What the tests read from the environment.
    for path in (ROOT / "tests").rglob("*.py"):
        known |= set(re.findall(rf'environ(?:\.get\(|\[)"({PREFIX}[A-Z_]+)"', path.read_text()))
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+[A-Z]", text_of(DOCS[name]))) <= known


def test_the_sizes_are_those_of_two_cpus() -> None:
    (printed,) = (block for _, block in split(text_of(RUNNING))[1] if block.startswith("CPUs"))
    rows = [re.split(r"\s{2,}", line) for line in printed.splitlines()]
    assert [tuple(row) for row in rows] == compute(2, 4 * GIB).rows()


@pytest.mark.parametrize("name", DOCS)
def test_every_link_leads_somewhere(name: str) -> None:
    text = text_of(DOCS[name])
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text):
        path, _, anchor = (target[0] or target[1]).partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        found = DOCS[name].parent / path if path else DOCS[name]
        assert found.exists(), f"{name} links to {path}"
        if anchor:
            headings = re.findall(r"^#+ (.*)", text_of(found), re.MULTILINE)
            assert anchor in map(slug, headings), f"{name} links to {path}#{anchor}"


@pytest.mark.parametrize("name", DOCS)
def test_every_file_that_is_named_is_here(name: str) -> None:
    text = text_of(DOCS[name])
    for path in re.findall(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*", text):
        assert (
            path.startswith(THEIRS)
            or (ROOT / path.rstrip(".")).exists()
            or (DOCS[name].parent / path.rstrip(".")).exists()
        ), path
    ours = [str(path) for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    ours += [str(path) for path in ROOT.iterdir() if path.is_file()]
    for path in re.findall(r"(?<![\w./:-])[\w./-]*\w\.(?:py|conf|wsgi|toml|md|svg|json)\b", text):
        bare = path.removeprefix("../")
        assert path in NOT_OURS or any(one.endswith("/" + bare) for one in ours), f"{name} names {path}"


def test_every_command_and_option_is_described() -> None:
    described = "".join(map(text_of, (ROOT / "README.md", RUNNING, CAPACITY, UPGRADES)))
    words = set(re.findall(r"(?<![\w-])-{1,2}[a-z][\w-]*", described))
    for name, parser in commands().items():
        assert f"slicer {name}" in described
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                assert set(action.option_strings) <= words, f"slicer {name} {action.option_strings}"


@pytest.mark.parametrize("name", DOCS)
def test_every_slicer_command_line_is_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "complain", lambda message: pytest.fail(message))
    for line in code_of(text_of(DOCS[name])):
        words = shlex.split(line.replace("…", ""), comments=True) if re.match(r"(\S*/)?slicer [a-z-]", line) else []
        # The command of a provisioned machine takes the settings of a site, and indexes its media where no folder is named.
        if words[1:2] == ["--site"]:
            words = [words[0], *words[3:], *(["/srv/audio"] if words[3:] == ["index"] else [])]
        # `slicer serve` alone is a name in a sentence.
        if len(words) > 2:
            cli.parser().parse_args(words[1:])


@pytest.mark.parametrize("name", DOCS)
def test_every_make_target_is_one(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = {
        found for line in code_of(text_of(DOCS[name])) for found in re.findall(r"(?:^|[\s;&])make ([a-z-]+)", line)
    }
    assert named <= targets
    if name == "README.md":
        assert {"serve", "test", "bench-engine", "bench-http"} <= named


def test_the_first_clip_is_asked_for_as_it_is_served() -> None:
    line = next(line for line in code_of(text_of(ROOT / "README.md")) if line.startswith("curl "))
    span = TimeSpan.parse(line.split("t=")[1].split("'")[0])
    assert (span.start, span.end) == (3000 * SECOND, 3010 * SECOND)


def test_the_example_runs(cbr: str, tmp_path: Path) -> None:
    (example,) = (block for language, block in split(text_of(ROOT / "README.md"))[1] if language == "python")
    shutil.copy(cbr, tmp_path / "show.mp3")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "wsgi")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "clip.mp3").read_bytes() == cut_bytes(cbr, span_of(index_of(cbr), 5, 15))[1]


PROSE = {
    **{name: path for name, path in DOCS.items() if path.name != "licences.md"},
    **{str(path.relative_to(ROOT)): path for path in (ROOT / "ansible" / "roles").glob("*/README.md")},
    "openapi.json": ROOT / "wsgi" / "mp3_slicer" / "web" / "openapi.json",
}
#: Where a noun or a common word is clearer.
UNCLEAR = re.compile(
    r"\b(?:anew|so many|(?:is|are) to be|that which|belongs? into|(?:not|no) any more|any more|but for|of one's own|to be had"
    r"|whoever|nobody|somebody|who (?:asks|waits|watches|reads|writes))\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("name", PROSE)
def test_prose_has_a_noun_for_each_party_and_common_words(name: str) -> None:
    prose = re.sub(r"`[^`]*`", "", split(text_of(PROSE[name]))[0])
    assert [match[0] for match in UNCLEAR.finditer(prose)] == []


@pytest.mark.parametrize("name", DOCS)
def test_lines_can_be_read_in_any_editor(name: str) -> None:
    block = False
    for line in text_of(DOCS[name]).splitlines():
        block ^= line.startswith("```")
        assert block or line.startswith("|") or len(line) <= 140, line
        assert "\t" not in line
        assert line == line.rstrip()


def test_every_fault_has_its_test() -> None:
    named = set(re.findall(r"`(test_\w+)`", text_of(FAULTS)))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", text_of(path), re.MULTILINE)
    }
    assert len(named) >= 15
    assert named <= there


def test_every_quick_tool_runs_at_each_commit() -> None:
    """The hooks of pre-commit are the tools of `scripts/lint --quick`."""
    hooks = yaml.safe_load(text_of(ROOT / ".pre-commit-config.yaml"))["repos"][0]["hooks"]
    assert all(hook["entry"] == f"scripts/lint .venv {hook['id']}" for hook in hooks)
    tools = runpy.run_path(str(ROOT / "scripts" / "lint"))["tools"](Path(".venv"))
    assert {hook["id"] for hook in hooks} == {name for name, (quick, _) in tools.items() if quick}
