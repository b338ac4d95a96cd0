"""Ansible's templates without a run of Ansible for each: a process that loads Ansible once, and writes file after file.

`python -m support.templates` reads a line of JSON for each file: the template, where its text goes, files of variables in the order in
which later ones win, and more variables. It answers each with a line: nothing, or what failed. A test holds what comes out to what the
module `template` writes (tests/edge/test_sites.py).
"""

import atexit
import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

_lock = threading.Lock()
_started: list["subprocess.Popen[str]"] = []


def write(template: pathlib.Path, path: str, files: Sequence[pathlib.Path], variables: dict[str, Any]) -> None:
    """Write what a template gives with these variables. Raises AssertionError with what Ansible said."""
    with _lock:
        process = _process()
        assert process.stdin and process.stdout
        request = {"template": str(template), "path": path, "files": list(map(str, files)), "variables": variables}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        said = process.stdout.readline()
    assert said, "the process that fills in templates has ended"
    assert json.loads(said) == "", json.loads(said)


def _process() -> "subprocess.Popen[str]":
    if not _started or _started[0].poll() is not None:
        environ = {
            **os.environ,
            "ANSIBLE_CONFIG": str(
                pathlib.Path(__file__).parents[2] / "ansible" / "ansible.cfg"
            ),  # neither the user's nor the machine's
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(pathlib.Path(__file__).parents[1]),
        }
        _started[:] = [
            subprocess.Popen(
                [sys.executable, "-m", "support.templates"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environ,
                text=True,
                # It ends with the end of its input, not with Ctrl-C.
                start_new_session=True,
            )
        ]
        atexit.register(_end, _started[0])
    return _started[0]


def _end(process: "subprocess.Popen[str]") -> None:
    assert process.stdin and process.stdout
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


def _serve() -> None:
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar, trust_as_template

    init_plugin_loader()
    for line in sys.stdin:
        request = json.loads(line)
        template = pathlib.Path(request["template"])
        loader = DataLoader()
        # What the module adds of its own.
        variables: dict[str, Any] = {"ansible_managed": "Ansible managed"}
        for file in request["files"]:
            variables |= loader.load_from_file(file, trusted_as_template=True)
        variables |= request["variables"]
        try:
            templar = Templar(loader=loader, variables=variables)
            # Its own folder is where it finds what it includes.
            templar = templar.copy_with_new_env(searchpath=[str(template.parent)], available_variables=variables)
            text = templar.template(
                trust_as_template(template.read_text(encoding="utf-8")),
                escape_backslashes=False,
                # The module's own defaults.
                overrides={"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"},
            )
            pathlib.Path(request["path"]).write_text(str(text), encoding="utf-8")
            said = ""
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    _serve()
