"""Packages of Debian that the role apache installs to compile those of Python."""

from pathlib import Path

import pytest

from support import templates
from support.programs import ROOT

VARIABLES = ROOT / "ansible/roles/apache/vars/main.yml"


@pytest.mark.parametrize(("architecture", "compiles"), [("x86_64", False), ("aarch64", True)])
def test_a_compiler_of_cpp_is_where_miniaudio_has_no_wheel(tmp_path: Path, architecture: str, compiles: bool) -> None:
    (tmp_path / "template").write_text("{{ _apache_wanted | join(' ') }}")
    given = {"ansible_facts": {"architecture": architecture}, "apache_build_tools": True}
    templates.write(tmp_path / "template", str(tmp_path / "out"), [VARIABLES], given)
    wanted = (tmp_path / "out").read_text().split()
    assert {"apache2-bin", "apache2-dev", "gcc"} < set(wanted)
    assert ("g++" in wanted) == compiles
