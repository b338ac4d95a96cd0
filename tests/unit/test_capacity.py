"""docs/capacity.md: its examples are what `slicer plan` prints, and its sentences say nothing else."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from mp3_slicer.capacity.demand import Demand

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "capacity-examples"
PAGE = ROOT / "docs" / "capacity.md"


def examples() -> dict[str, tuple[str, str]]:
    """What each worked example prints, and what is said of it, by its heading."""
    text = PAGE.read_text(encoding="utf-8").partition("## Worked examples")[2].partition("\n## ")[0]
    parts = re.split(r"^### (.*)\n", text, flags=re.MULTILINE)[1:]
    found = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        _, command, between, output, said = re.split(r"^```.*\n", body, flags=re.MULTILINE)
        assert command.startswith("slicer plan ")
        assert not between.strip()
        found[name] = (output, said)
    return found


def run(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_examples_are_what_the_command_prints() -> None:
    done = run("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_example_of_another_time_is_told_and_written_anew(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = PAGE.read_text(encoding="utf-8")
    changed = text.replace("\nclips    ", "\nclops    ", 1)
    assert changed != text
    page.write_text(changed, encoding="utf-8")
    told = run("--check", "--page", str(page))
    assert told.returncode == 1
    assert "run scripts/capacity-examples" in told.stderr
    assert page.read_text(encoding="utf-8") == changed
    assert run("--page", str(page)).returncode == 0
    assert page.read_text(encoding="utf-8") == text
    page.write_text("# Nothing\n", encoding="utf-8")
    assert run("--check", "--page", str(page)).returncode == 2


def test_there_are_three_examples_and_the_first_has_every_cost() -> None:
    assert len(examples()) == 3
    first, *others = (output for output, _ in examples().values())
    assert "What was assumed:" in first
    assert not any("What was assumed:" in output for output in others)


@pytest.mark.parametrize("name", examples())
def test_what_is_said_of_an_example_is_printed_by_it(name: str) -> None:
    output, said = examples()[name]
    words = " ".join(output.split())
    numbers = re.findall(r"\*\*(.*?)\*\*", said)
    assert numbers
    for number in numbers:
        # "2,986 reads" is printed as "reads 2,986 /s".
        shown = " ".join(reversed(number.split())) if number.endswith("reads") else number
        assert re.search(rf"(?<![\d.,]){re.escape(shown)}(?![\d]|[.,]\d)", words), f"{number} in {name}"


def test_the_options_are_described_with_their_defaults() -> None:
    rows = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8").splitlines()
    for item in fields(Demand):
        kind = "BYTES" if item.name == "machine_memory" else "N"
        default = f"{item.default >> 30}G" if kind == "BYTES" else "" if item.default is None else f"{item.default:g}"
        shown = f" `{default}` " if default else "  "
        assert f"| `--{item.name.replace('_', '-')} {kind}` |{shown}| {item.metadata['doc']} |" in rows
