"""scripts/role-readme: README.md of roles is what their specifications say."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "role-readme"

SPECIFICATION = """
argument_specs:
  main:
    short_description: A role
    description:
      - It does | things.
      - More of them.
    options:
      thing_size:
        type: int
        default: 3
        description: How large.
      thing_kind:
        type: str
        required: true
        choices: [a, b]
        description: Which.
      thing_parts:
        type: list
        elements: dict
        default: []
        description: Its parts.
        options:
          name:
            type: str
            required: true
            description: Name of a | b.
  other:
    short_description: Something else
"""
DEFAULTS = "thing_size: 3\nthing_parts: []\n"
TASKS = """
- name: Install it
  ansible.builtin.import_tasks: install.yml
  tags: [thing_install]
- name: All the rest
  ansible.builtin.import_tasks: rest.yml
"""
REST = """
- name: Run it
  ansible.builtin.import_tasks: run.yml
  tags: [thing_install, thing_service]
"""


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    for name, text in {
        "meta/argument_specs.yml": SPECIFICATION,
        "defaults/main.yml": DEFAULTS,
        "tasks/main.yml": TASKS,
        "tasks/rest.yml": REST,
    }.items():
        path = tmp_path / "thing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(roles: Path | None, *arguments: str) -> tuple[int, str]:
    where = ["--roles", str(roles)] if roles else []
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT, *where, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_what_is_committed_is_up_to_date() -> None:
    assert run(None, "--check") == (0, "")


def test_it_has_every_variable_entry_point_and_tag(roles: Path) -> None:
    assert run(roles) == (0, "")
    text = (roles / "thing" / "README.md").read_text()
    for line in (
        "# Role thing",
        "It does | things.",
        "More of them.",
        "| `thing_size` | int | `3` | How large. |",
        "| `thing_kind` | str | required | Which. One of `a`, `b`. |",
        "| `thing_parts` | list of dict | `[]` | Its parts. |",
        "### In thing_parts",
        "| `name` | str | required | Name of a \\| b. |",
        "| `other` | Something else |",
        "| `thing_install` | install it, run it |",
        "| `thing_service` | run it |",
    ):
        assert line in text.splitlines()
    assert run(roles, "--check") == (0, "")


def test_a_change_is_noticed_and_nothing_is_written(roles: Path) -> None:
    assert run(roles, "--check")[0] == 1
    assert not (roles / "thing" / "README.md").exists()
    run(roles)
    before = (roles / "thing" / "README.md").read_text()
    path = roles / "thing" / "meta" / "argument_specs.yml"
    path.write_text(path.read_text().replace("How large", "How big"))
    status, said = run(roles, "--check")
    assert (status, (roles / "thing" / "README.md").read_text()) == (1, before)
    assert "thing/README.md is not up to date" in said


@pytest.mark.parametrize(
    ("defaults", "said"),
    [
        ("thing_size: 4\nthing_parts: []\n", "the default of thing_size is 4, and in argument_specs 3"),
        ("thing_parts: []\n", "thing_size is in argument_specs, is not required and has no default"),
        (DEFAULTS + "thing_more: 1\n", "thing_more has a default and is not in argument_specs"),
    ],
)
def test_a_role_must_not_contradict_itself(roles: Path, defaults: str, said: str) -> None:
    (roles / "thing" / "defaults" / "main.yml").write_text(defaults)
    for arguments in ([], ["--check"]):
        assert run(roles, *arguments) == (2, f"role-readme: thing: {said}\n")


def test_a_default_that_is_an_expression_may_be_described_otherwise(roles: Path) -> None:
    (roles / "thing" / "defaults" / "main.yml").write_text(DEFAULTS.replace("3", '"{{ 1 + 2 }}"'))
    assert run(roles) == (0, "")
