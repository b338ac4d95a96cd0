"""The command as people run it: a process of its own, judged by its files, its output and its exit status."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mp3_slicer.media import indexing
from mp3_slicer.media.store import IndexPendingError
from mp3_slicer.server.express import RUN_USER
from support import streams
from support.cutting import cut_bytes, decoded, index_of, samples, span_of
from support.server import children_of, folder, status, until

SLICER = [sys.executable, "-m", "mp3_slicer"]
#: The same, reading so slowly that a signal comes midway.
SLOWLY = [
    sys.executable,
    "-c",
    "import os, sys, time\n"
    "from mp3_slicer.cli import cut\n"
    "from mp3_slicer.cli.main import main\n"
    "cut._PIECE, pread = 1000, os.pread\n"
    "os.pread = lambda *given: (time.sleep(0.02), pread(*given))[1]\n"
    "sys.exit(main())",
]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment without settings of whoever runs the tests. Python writes through its buffers as for anybody else."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLICER_")}
    clean.pop("PYTHONUNBUFFERED", None)
    # Root indexes as the server's user, who cannot enter pytest's own folders.
    place = Path(folder()) if os.geteuid() == 0 else tmp_path
    return clean | {f"SLICER_{name}_DIR": str(place / name.lower()) for name in ("INDEX", "RESULTS", "SCRATCH")}


@pytest.fixture
def slicer(environ: dict[str, str], tmp_path: Path):
    """Runs the command in an empty folder; text in and out, unless told otherwise."""
    here = tmp_path / "here"
    here.mkdir()

    def run(*words: str | bytes | Path, **options) -> subprocess.CompletedProcess:
        options = {"capture_output": True, "cwd": here, "env": environ, "text": True, "timeout": 120, **options}
        return subprocess.run([*SLICER, *words], stdin=subprocess.DEVNULL, check=False, **options)

    return run


@pytest.fixture
def media(cbr: str, tmp_path: Path) -> Path:
    """A media folder with three files that can be cut, one in a folder below."""
    media = Path(folder() if os.geteuid() == 0 else tmp_path, "media")
    (media / "below").mkdir(parents=True)
    for name in ("a.mp3", "b.MP3", "below/c.mp3"):
        (media / name).write_bytes(Path(cbr).read_bytes())
    return media


def complaint(done: subprocess.CompletedProcess) -> str:
    """What a command said that could not do its work: one line, and nothing else."""
    assert done.returncode == 2, done
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("slicer: ")
    assert "Traceback" not in line
    return line


# ------------------------------------------------------------------------------------------------------------- cut


def test_cut_writes_the_exact_clip(slicer, cbr: str, tmp_path: Path) -> None:
    out = tmp_path / "clip.mp3"
    done = slicer("cut", cbr, "--t", "3.1,0:00:07.25", "-o", out, umask=0o027)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    span = span_of(index_of(cbr), 3.1, 7.25)
    assert out.read_bytes() == cut_bytes(cbr, span)[1]
    assert decoded(out, "ffmpeg") == samples(decoded(cbr, "ffmpeg"), span)
    assert out.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp3", "here"]


def test_cut_replaces_a_clip_that_is_there(slicer, cbr: str, tmp_path: Path) -> None:
    out = tmp_path / "clip.mp3"
    out.write_bytes(b"x" * 1_000_000)
    assert slicer("cut", cbr, "--t", "1,2", "-o", out).returncode == 0
    assert out.read_bytes() == cut_bytes(cbr, span_of(index_of(cbr), 1, 2))[1]


def test_cut_writes_to_standard_output(slicer, cbr: str) -> None:
    done = slicer("cut", cbr, "--t", "npt:,5", "-o", "-", text=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == cut_bytes(cbr, span_of(index_of(cbr), 0, 5))[1]


def test_cut_writes_into_a_pipe_that_has_a_name(slicer, cbr: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        assert slicer("cut", cbr, "--t", "1,2", "-o", pipe).returncode == 0
        assert reader.communicate(timeout=30)[0] == cut_bytes(cbr, span_of(index_of(cbr), 1, 2))[1]


@pytest.mark.parametrize(
    "name", ["Ünï cödé 歌.mp3", b"latin \xe9\xff.mp3", "new\nline.mp3", "-dash.mp3", "quo'te\".mp3"]
)
def test_cut_takes_any_name(slicer, cbr: str, tmp_path: Path, name: str | bytes) -> None:
    folder = os.fsencode(tmp_path)
    source, out = os.path.join(folder, os.fsencode(name)), os.path.join(folder, b"clip " + os.fsencode(name))
    Path(os.fsdecode(source)).write_bytes(Path(cbr).read_bytes())
    done = slicer("cut", source, "--t", "1,2", "-o", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(os.fsdecode(out)).read_bytes() == cut_bytes(cbr, span_of(index_of(cbr), 1, 2))[1]
    os.unlink(source)
    assert "No such file" in complaint(slicer("cut", source, "--t", "1,2", "-o", out))


@pytest.mark.parametrize("span", ["", ",", "5", "5,4", "5,5", "x,y", "1e3,2e3", "-1,2", "30,40", "1,1.05", "20,"])
def test_a_span_that_cannot_be_is_named(slicer, cbr: str, tmp_path: Path, span: str) -> None:
    done = slicer("cut", cbr, f"--t={span}", "-o", "clip.mp3")
    if span == "5":
        assert done.returncode == 0  # to the end
        return
    complaint(done)
    assert not (tmp_path / "here" / "clip.mp3").exists()


def test_the_source_is_never_overwritten(slicer, cbr: str, tmp_path: Path) -> None:
    source = tmp_path / "source.mp3"
    data = Path(cbr).read_bytes()
    source.write_bytes(data)
    (tmp_path / "link.mp3").symlink_to(source)
    os.link(source, tmp_path / "hard.mp3")
    for name in ("source.mp3", "link.mp3", "hard.mp3", "here/../source.mp3"):
        assert "source itself" in complaint(slicer("cut", source, "--t", "1,2", "-o", tmp_path / name))
        assert "source itself" in complaint(slicer("cut", tmp_path / name, "--t", "1,2", "-o", source))
    assert source.read_bytes() == data


def test_places_that_take_no_clip(slicer, cbr: str, tmp_path: Path) -> None:
    cut = ("cut", cbr, "--t", "1,2", "-o")
    assert "is a folder" in complaint(slicer(*cut, tmp_path))
    assert "there is no folder" in complaint(slicer(*cut, "none/clip.mp3"))
    # Nobody can make a file there, not even root.
    assert "/proc cannot be written" in complaint(slicer(*cut, "/proc/clip.mp3"))
    assert "No space left" in complaint(slicer(*cut, "/dev/full"))
    with open("/dev/full", "wb") as full:
        done = slicer(*cut, "-", capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert "No space left" in complaint(done)
    assert list((tmp_path / "here").iterdir()) == []


def test_a_disk_that_gets_full_leaves_nothing(slicer, cbr: str, tmp_path: Path) -> None:
    import resource

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    done = slicer("cut", cbr, "--t", "1,9", "-o", "clip.mp3", preexec_fn=limit)
    assert "File too large" in complaint(done)
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_midway_leaves_nothing(cbr: str, tmp_path: Path, number: signal.Signals) -> None:
    clip = tmp_path / "clip.mp3"
    clip.write_bytes(b"the one before")
    words = [*SLOWLY, "cut", cbr, "--t", "1,19", "-o", str(clip)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 30
        while not list(tmp_path.glob(".slicer-*")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(number)
        said = process.communicate(timeout=30)
    assert (process.returncode, said) == (128 + number, ("", ""))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp3"]
    assert clip.read_bytes() == b"the one before"


@pytest.mark.parametrize("change", ["shorter", "rewritten"])
def test_a_source_that_changes_midway_gives_no_clip(cbr: str, tmp_path: Path, change: str) -> None:
    source = tmp_path / "source.mp3"
    source.write_bytes(Path(cbr).read_bytes())
    words = [*SLOWLY, "cut", str(source), "--t", "1,19", "-o", str(tmp_path / "clip.mp3")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 30
        while not list(tmp_path.glob(".slicer-*")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        if change == "shorter":
            os.truncate(source, 1000)
        else:
            with open(source, "r+b") as file:
                file.write(b"x")
        out, err = process.communicate(timeout=30)
    assert "while it was read" in complaint(subprocess.CompletedProcess(words, process.returncode, out, err))
    assert [path.name for path in tmp_path.iterdir()] == ["source.mp3"]


# ------------------------------------------------------------------------------------------------------------ info


def test_info_is_json(slicer, cbr: str) -> None:
    done = slicer("info", cbr)
    assert (done.returncode, done.stderr) == (0, "")
    known = json.loads(done.stdout)
    assert (known["duration"], known["samples"], known["sample_rate"]) == (20.0, 20 * 44_100, 44_100)
    assert (known["channels"], known["bitrate_mode"], known["bitrate"]) == (2, "constant", 128_000)
    assert known["damage"] == {
        "gaps": 0,
        "gap_bytes": 0,
        "leading_bytes": 0,
        "dropped_frames": 0,
        "other_layer_bytes": 0,
        "unread_bytes": 0,
        "claimed_frames": None,
    }


def test_files_without_audio_are_one_line(slicer, tmp_path: Path) -> None:
    text, pipe = tmp_path / "text.mp3", tmp_path / "pipe.mp3"
    text.write_text("no audio " * 1000)
    os.mkfifo(pipe)
    for path, words in (
        (text, "no MP3 audio"),
        (tmp_path / "none.mp3", "No such file"),
        (tmp_path, "not a regular file"),
        (pipe, "not a regular file"),
        ("/dev/null", "not a regular file"),
        ("", "No such file"),
    ):
        assert words in complaint(slicer("info", path))
        assert words in complaint(slicer("cut", path, "--t", "1,2", "-o", "clip.mp3"))


# ----------------------------------------------------------------------------------------------------------- index


def test_index_counts_what_it_did(slicer, media: Path) -> None:
    done = slicer("index", media, "--jobs", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 indexed, 0 already indexed, 0 refused, 0 obsolete")
    # What is there is left alone; what is new or gone is seen.
    (media / "d.mp3").write_bytes((media / "a.mp3").read_bytes())
    (media / "a.mp3").unlink()
    done = slicer("index", media)
    assert done.stdout.startswith("1 indexed, 2 already indexed, 0 refused, 1 obsolete")
    assert done.returncode == 0


def test_index_lists_what_it_cannot_do_and_does_the_rest(slicer, media: Path, environ: dict[str, str]) -> None:
    (media / "text.mp3").write_text("no audio " * 1000)
    (media / os.fsdecode(b"z\xff.mp3")).write_bytes(b"")
    (media / "notes.txt").write_text("not looked at")
    done = slicer("index", media)
    assert done.returncode == 1
    assert [line.split(": ") for line in done.stderr.splitlines()] == [
        ["text.mp3", "the file holds no MP3 audio"],
        ["z\\udcff.mp3", "the file is empty"],
    ]
    assert done.stdout.startswith("3 indexed, 0 already indexed, 2 refused, 0")
    largest = str((media / "a.mp3").stat().st_size - 1)
    done = slicer("index", media, env=environ | {"SLICER_MAX_SOURCE_BYTES": largest})
    assert done.returncode == 1
    assert done.stdout.startswith("0 indexed, 0 already indexed, 5 refused, 0")
    assert f"a.mp3: it is larger than {largest} bytes" in done.stderr


#: A defect of a parser, in every process of the command.
DEFECT = """
from mp3_slicer.transcripts import read as _
import sys
module = sys.modules["mp3_slicer.transcripts.choose"]
real = module.read
def read(ending, data, fallback):
    return [][1] if b"boom" in data else real(ending, data, fallback)
module.read = read
"""


def test_a_defect_of_a_parser_costs_one_sidecar(slicer, media: Path, environ: dict[str, str], tmp_path: Path) -> None:
    place = Path(folder())
    (place / "sitecustomize.py").write_text(DEFECT)
    for name, said in (("a", "boom"), ("b", "harbour")):
        (media / f"{name}.vtt").write_text(f"WEBVTT\n\n00:01.000 --> 00:02.000\n{said}\n")
    done = slicer("index", media, env=environ | {"PYTHONPATH": str(place)})
    assert done.returncode == 0
    assert "catalogue: 3 files, 3 of them read, 0 removed, 1 unreadable" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("a.vtt: it cannot be read: a defect of Slicer, IndexError in sitecustomize.py, line ")


def test_index_goes_on_when_the_time_of_one_try_is_up() -> None:
    tries = iter([IndexPendingError(), IndexPendingError(), None])

    class Store:
        def get(self, source: object) -> None:
            outcome = next(tries)
            if outcome:
                raise outcome

    indexing._index_to_the_end(Store(), None)  # type: ignore[arg-type]
    assert list(tries) == []


def test_index_needs_a_folder_that_can_be_written(slicer, media: Path, environ: dict[str, str]) -> None:
    for place in ("/proc/index", "/dev/null/index"):
        complaint(slicer("index", media, env=environ | {"SLICER_INDEX_DIR": place}))


@pytest.mark.parametrize("jobs", ["0", "-1", "257", "x", "1.5", "9" * 5000])
def test_jobs_that_cannot_be(slicer, media: Path, environ: dict[str, str], jobs: str) -> None:
    assert "jobs" in complaint(slicer("index", media, f"--jobs={jobs}"))
    assert not os.path.exists(environ["SLICER_INDEX_DIR"])


def test_what_root_indexes_the_server_can_write(slicer, media: Path, environ: dict[str, str]) -> None:
    assert slicer("index", media).returncode == 0
    owner = pwd.getpwnam(RUN_USER).pw_uid if os.geteuid() == 0 else os.geteuid()
    for path in (environ["SLICER_INDEX_DIR"], os.path.join(environ["SLICER_INDEX_DIR"], "locks")):
        assert os.stat(path).st_uid == owner


@pytest.mark.skipif(os.geteuid() != 0, reason="runs as another user, which root may")
def test_a_folder_that_is_closed_to_the_caller_is_no_obstacle(
    slicer, media: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.chown(Path(environ["SLICER_INDEX_DIR"]).parent, RUN_USER)
    done = slicer("index", media, cwd=closed, user=RUN_USER, group=RUN_USER, extra_groups=())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 indexed, ")


@pytest.mark.parametrize("moment", ["starting", "midway"])
def test_ctrl_c_ends_an_index_run_quietly(media: Path, environ: dict[str, str], moment: str) -> None:
    for number in range(1000):
        os.link(media / "a.mp3", media / f"{number}.mp3")
    with subprocess.Popen(
        [*SLICER, "index", media, "--jobs", "2"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        end = time.monotonic() + 30

        def is_there() -> bool:
            if moment == "midway":
                return len(list(Path(environ["SLICER_INDEX_DIR"]).glob("*"))) >= 5
            # The process that keeps track of shared resources, and two that will index and are not ready yet.
            return len(children_of(process.pid)) >= 3

        while not is_there():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, ("", ""))
    end = time.monotonic() + 10
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(process.pid, 0)
            assert time.monotonic() < end, "a process is left"
            time.sleep(0.05)
    assert not [name for name in os.listdir(environ["SLICER_INDEX_DIR"]) if name.endswith(".tmp")]


def test_a_killed_index_run_leaves_no_process(media: Path, environ: dict[str, str]) -> None:
    for number in range(1000):
        os.link(media / "a.mp3", media / f"{number}.mp3")
    words = [*SLICER, "index", media, "--jobs", "2"]
    with subprocess.Popen(words, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: len(list(Path(environ["SLICER_INDEX_DIR"]).glob("*"))) >= 5, 60, "files are indexed")
        started = children_of(process.pid)
        process.kill()
    assert len(started) >= 3
    until(lambda: not any(map(status, started)), 30, "no process is left")


# ------------------------------------------------------------------------------------------------- doctor and serve


def test_doctor_says_what_is_well_and_what_is_not(slicer, media: Path, environ: dict[str, str]) -> None:
    done = slicer("doctor", media, env=environ | {"PYTHONIOENCODING": "ascii"})
    assert done.stderr == ""
    found = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert all(line.startswith(("ok    ", "FAIL  ")) for line in found)
    assert done.returncode == any(line.startswith("FAIL") for line in found)
    assert {"Apache", "prefork", "mod_wsgi", "media folder", "index folder", "results folder", "renders", "sizes"} <= {
        line[6:].split("  ")[0] for line in found
    }
    done = slicer("doctor", media / "none")
    assert done.returncode == 1
    assert "FAIL  media folder" in done.stdout


def test_print_shows_sizes_and_starts_nothing(slicer, media: Path, environ: dict[str, str]) -> None:
    done = slicer("serve", media, "--print", "--cpus", "4", "--memory", "8G", "--backlog", "7", "--port", "8123")
    assert (done.returncode, done.stderr) == (0, "")
    *rows, command = done.stdout.splitlines()
    table = {row[: row.index("  ")]: row for row in rows}
    assert " 4 × 3 " in table["clips"]
    assert " 7 " in table["renders queue"]
    assert "mod_wsgi-express start-server" in command
    assert "--port 8123" in command
    assert not os.path.exists(environ["SLICER_INDEX_DIR"])
    more = ("--request-timeout", "7", "--max-requests", "11", "--clips-memory", "300M", "--status")
    *rows, command = slicer("serve", media, "--print", *more).stdout.splitlines()
    assert "--request-timeout 7 " in command
    assert "--maximum-requests 11 " in command
    assert any("300 MiB" in row for row in rows)
    # The folder may come from the environment too.
    again = slicer("serve", "--print", env=environ | {"SLICER_MEDIA": str(media)})
    assert again.returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serve"], "SLICER_MEDIA"),
        (["index"], "FOLDER"),
        (["serve", "none"], "none is not a folder"),
        (["index", "none"], "none is not a folder"),
        (["serve", "", "--print"], "not a folder"),
        (["serve", ".", "--print", "--cpus", "0"], "cpus=0"),
        (["serve", ".", "--print", "--cpus", "x"], "--cpus"),
        (["serve", ".", "--print", "--memory", "1M"], "memory=1048576"),
        (["serve", ".", "--print", "--memory", "4X"], "--memory"),
        (["serve", ".", "--print", "--memory", "１G"], "--memory"),
        (["serve", ".", "--print", "--memory", "9" * 19], "--memory"),
        (["serve", ".", "--print", "--backlog", "257"], "backlog=257"),
        (["serve", ".", "--print", "--request-timeout", "0"], "request-timeout=0"),
        (["serve", ".", "--print", "--max-requests", "-1"], "max-requests=-1"),
        (["serve", ".", "--print", "--clips-memory", "1M"], "clips-memory=1048576"),
        (["serve", ".", "--print", "--port", "0"], "port 0"),
        (["serve", ".", "--print", "--port", "http"], "--port"),
        (["drain"], "PID"),
        (["drain", "all"], "PID"),
        (["drain", "4194304"], "process 4194304 is no `slicer serve`"),
        ([], "COMMAND"),
        (["slice"], "slice"),
        (["cut", "a.mp3", "-o", "b.mp3"], "--t"),
        (["cut", "a.mp3", "--t", "1,2"], "-o"),
        (["info", "a.mp3", "--wrong\nline"], "--wrong line"),
    ],
    ids=lambda given: " ".join(given)[:40] if isinstance(given, list) else "",
)
def test_a_wrong_command_line_is_one_line(slicer, words: list[str], said: str) -> None:
    assert said in complaint(slicer(*words))


@pytest.mark.parametrize("command", ["serve", "index"])
def test_wrong_settings_are_one_line(slicer, media: Path, environ: dict[str, str], command: str) -> None:
    done = slicer(command, media, env=environ | {"SLICER_MAX_CLIP_SECONDS": "1e999999999"})
    assert "SLICER_MAX_CLIP_SECONDS" in complaint(done)


# ---------------------------------------------------------------------------------------------------------- output


@pytest.mark.parametrize("words", [["info"], ["cut", "--t", "0,20", "-o", "-"]], ids=["info", "cut"])
def test_a_reader_that_goes_away_is_no_fault(words: list[str], cbr: str, environ: dict[str, str]) -> None:
    with subprocess.Popen(
        [*SLICER, *words, cbr], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (1, b"")


def test_a_reader_that_takes_one_byte(cbr: str, tmp_path: Path, environ: dict[str, str]) -> None:
    # More than any pipe holds.
    source = tmp_path / "long.mp3"
    data = Path(cbr).read_bytes()
    source.write_bytes(data[streams.frames(data)[1] :] * 20)
    line = '"$0" -m mp3_slicer cut "$1" --t 0,400 -o - | head -c 1 | wc -c; echo ${PIPESTATUS[0]}'
    words = ["bash", "-c", line, sys.executable, source]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["1", "1"], "")


@pytest.mark.parametrize("words", [["info"], ["--help"], ["--version"]], ids=lambda words: words[0])
def test_output_that_cannot_be_written_is_one_line(slicer, cbr: str, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        rest = [cbr] if words == ["info"] else []
        done = slicer(*words, *rest, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert "No space left" in complaint(done)


def test_no_standard_output_at_all(cbr: str) -> None:
    line = '"$0" -m mp3_slicer cut "$1" --t 0,2 -o - >&-'
    done = subprocess.run(["bash", "-c", line, sys.executable, cbr], capture_output=True, text=True, check=False)
    assert "standard output is closed" in complaint(done)


def test_help_names_every_command(slicer) -> None:
    done = slicer("--help")
    assert done.returncode == 0
    for command in ("serve", "drain", "cut", "info", "index", "doctor"):
        assert f"\n    {command} " in done.stdout
        assert slicer(command, "--help").returncode == 0
    assert slicer("--version").stdout.startswith("slicer ")


# ------------------------------------------------------------------------------------------------------------------ sign


def test_a_key_is_made_and_signs_what_it_is_given(slicer, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    assert slicer("sign", "--new-key", "one", "--key-file", keys).returncode == 0
    url = "http://localhost:8000/clips/s%68ow.mp3?t=50:00,50:10&download=x"
    done = slicer("sign", url, "--expires", "1h", "--key-file", keys)
    assert (done.returncode, done.stderr) == (0, "")
    head, _, rest = done.stdout.partition("?")
    options = dict(part.split("=") for part in rest.strip().split("&"))
    assert head == "http://localhost:8000/clips/show.mp3"
    assert (options["t"], options["download"], options["key"], len(options["signature"])) == (
        "3000,3010",
        "x",
        "one",
        64,
    )
    assert 3500 < int(options["expires"]) - time.time() <= 3600
    assert slicer("sign", "--new-key", "two", "--key-file", keys).returncode == 0
    assert "key=two&" in slicer("sign", "/info/show.mp3", "--key-file", keys).stdout
    assert "key=one&" in slicer("sign", "/info/show.mp3", "--key", "one", "--key-file", keys).stdout


@pytest.mark.parametrize(
    "words",
    [
        ["/clips/show.mp3"],
        ["--key-file", "nowhere", "/clips/show.mp3"],
        ["--key-file", "keys"],
        ["--key-file", "keys", "/clips/show.mp3", "--new-key", "x"],
        ["--key-file", "keys", "/library"],
        ["--key-file", "keys", "clips/show.mp3"],
        ["--key-file", "keys", "http://[/clips/show.mp3"],
        ["--key-file", "keys", "/clips/\udcff.mp3"],
        ["--key-file", "keys", "/clips/show.mp3?t=x"],
        ["--key-file", "keys", "/clips/show.mp3?download=a&download=b"],
        ["--key-file", "keys", "/clips/show.mp3", "--key", "nobody"],
        ["--key-file", "keys", "/clips/show.mp3", "--expires", "0"],
        ["--key-file", "keys", "/clips/show.mp3", "--expires", "1w"],
        ["--key-file", "keys", "/clips/show.mp3", "--expires", "99999d"],
        ["--key-file", "keys", "--new-key", "one"],
        ["--key-file", "nowhere/keys", "--new-key", "one"],
    ],
)
def test_what_cannot_be_signed_is_one_line(slicer, tmp_path: Path, words: list[str]) -> None:
    slicer("sign", "--new-key", "one", "--key-file", "keys")
    done = slicer("sign", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("slicer: ")
    assert done.stderr.count("\n") == 1
