"""What targets of the Makefile need, as far as they say it without doing it."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_sample_needs_no_server(tmp_path: Path) -> None:
    places = [f"VENV={tmp_path}/venv", f"SAMPLE={tmp_path}/sample/show.mp3"]
    done = subprocess.run(
        ["make", "--dry-run", "sample", *places], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "scripts/bootstrap sample"
    assert "scripts/sample-hour" in lines[1]
    assert len(lines) == 2
