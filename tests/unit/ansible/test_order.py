"""Ansible's filters of sets forget the order of lists: it is another one in each run, so that a second run would change files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, nodes

from support.programs import ROOT

#: `ansible.builtin` gives the lists of these as a set has them.
SETS = {"union", "difference", "intersect", "symmetric_difference"}
#: What may follow: an order, a number that needs none, or another of them.
SETTLED = {"sort", "length"} | SETS


def texts(value: Any) -> Iterator[str]:
    """All strings below a value of YAML."""
    if isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        # A condition is an expression without braces.
        yield value if "{{" in value or "{%" in value else f"{{{{ {value} }}}}"


def expressions(path: Path) -> Iterator[str]:
    if path.suffix == ".j2":
        yield path.read_text()
        return
    for document in yaml.safe_load_all(path.read_text()):
        yield from (text for text in texts(document) if any(name in text for name in SETS))


def unsettled(node: nodes.Node, parent: nodes.Node | None = None) -> Iterator[str]:
    """The set filters below a node whose list is taken as it comes."""
    settled = isinstance(parent, nodes.Filter) and parent.name in SETTLED
    if isinstance(node, nodes.Filter) and node.name in SETS and not settled:
        yield node.name
    for child in node.iter_child_nodes():
        yield from unsettled(child, node)


FILES = sorted(path for path in (ROOT / "ansible").rglob("*") if path.suffix in {".yml", ".j2"})


def test_a_list_out_of_a_set_is_found():
    parse = Environment().parse
    assert list(unsettled(parse("{{ a | union(b) | map('x') | list }}"))) == ["union"]
    assert list(unsettled(parse("{{ a | union(b) | difference(c) | sort | map('x') }}"))) == []
    assert list(unsettled(parse("{{ x if a | difference(b) | length == 0 else y }}"))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_list_is_taken_out_of_a_set_unsorted(path):
    environment = Environment(extensions=["jinja2.ext.do"])
    found = [(text, name) for text in expressions(path) for name in unsettled(environment.parse(text))]
    assert not found
