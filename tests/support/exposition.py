"""Prometheus' text format, read as Prometheus does (format 0.0.4), for tests."""

import re

#: By name and labels.
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
_LINE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse(text: str) -> Samples:
    """Each sample; every line is one, or a comment."""
    assert text.endswith("\n")
    found: Samples = {}
    for line in text.splitlines():
        if line.startswith(("# HELP ", "# TYPE ")):
            continue
        match = _LINE.fullmatch(line)
        assert match, line
        key = (match[1], frozenset(_LABEL.findall(match[2] or "")))
        assert key not in found, f"twice: {line}"
        found[key] = float(match[3])
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of all samples of a name that have these labels among theirs; 0 where there is none."""
    return sum(number for (own, of), number in samples.items() if own == name and labels.items() <= dict(of).items())


def families(text: str) -> dict[str, str]:
    """The kind of each family."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
