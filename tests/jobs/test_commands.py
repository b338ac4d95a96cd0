"""`slicer worker` and `slicer jobs` as people use them."""

import json
import os
import subprocess
import sys

import pytest

from support.jobs import Place


def slicer(place: Place, *words: str, without: str = "", **environ: str) -> tuple[int, str, str]:
    """Run the command, where `without` is a package that cannot be imported; exit status, output, errors."""
    script = (
        "import sys; sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(), None)); "
        "from mp3_slicer.cli.main import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, without, *words],
        env={**os.environ, **place.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_jobs_are_listed_shown_and_cancelled(place: Place) -> None:
    first = place.queue.submit(place.order("wav", ("t", "1,2")))
    second = place.queue.submit(place.order("m4a", ("t", "0,3600"), name="hour.mp3"))
    code, output, _ = slicer(place, "jobs", "list")
    assert code == 0
    lines = [line.split() for line in output.splitlines()]
    assert [(words[0], words[1], words[4]) for words in lines] == [
        (first.id, "queued", "short"),
        (second.id, "queued", "long"),
    ]
    assert lines[0][-1] == "/renders/show.wav?t=1,2"
    code, output, _ = slicer(place, "jobs", "show", second.id)
    shown = json.loads(output)
    assert (code, shown["state"], shown["queue"], shown["source"]) == (0, "queued", "long", "hour.mp3")
    assert slicer(place, "jobs", "cancel", second.id)[:2] == (0, f"{second.id}  cancelled\n")
    place.worker("--short", "1", "--long", "0")
    place.ended(first.id)
    assert slicer(place, "jobs", "cancel", first.id)[:2] == (1, f"{first.id}  done\n")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_worker_works_on_the_folder_that_is_its_argument(place: Place, elsewhere: bool) -> None:
    job = place.queue.submit(place.order("wav", ("t", "2,3")))
    place.worker(place.media, "--short", "1", "--long", "0", SLICER_MEDIA=place.work if elsewhere else "")
    assert place.ended(job.id).state == "done"


@pytest.mark.parametrize(
    ("words", "environ", "says"),
    [
        (("jobs", "list"), {"SLICER_JOBS_BROKER": ""}, "SLICER_JOBS_BROKER"),
        (("worker",), {"SLICER_JOBS_BROKER": ""}, "SLICER_JOBS_BROKER"),
        (("jobs", "list"), {"SLICER_JOBS_BROKER": "redis://127.0.0.1:1/0"}, "Redis cannot be used"),
        (("jobs", "list"), {"SLICER_JOBS_BROKER": "http://secret"}, "SLICER_JOBS_BROKER is no URL"),
        (("jobs", "list"), {"SLICER_JOBS_BROKER": "redis://x:secret/0"}, "SLICER_JOBS_BROKER is no URL"),
        (("jobs", "list"), {"SLICER_JOBS_STORE": "redis://x:99999999/0"}, "SLICER_JOBS_STORE is no URL"),
        (("worker",), {"SLICER_JOBS_PUBLISH": "http://127.0.0.1:70000"}, "SLICER_JOBS_PUBLISH"),
        (("jobs", "list"), {"SLICER_JOBS_BROKER": "amqp://secret"}, "SLICER_JOBS_STORE is not set"),
        (("jobs", "list"), {"SLICER_JOBS_NAME": "a b"}, "SLICER_JOBS_NAME"),
        (("jobs", "list"), {"SLICER_JOBS_PUBLISH": "ftp://x"}, "SLICER_JOBS_PUBLISH"),
        (("jobs", "list", "0" * 40), {}, "names no job"),
        (("jobs", "show"), {}, "name one"),
        (("jobs", "show", "x"), {}, "40 hexadecimal digits"),
        (("jobs", "cancel", "0" * 40), {}, "there is no job"),
        (("worker", "--short", "0", "--long", "0"), {}, "0 processes"),
        (("worker", "--short", "x"), {}, "0 to 256"),
        (("worker", "/nothing"), {}, "/nothing"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    place: Place, words: tuple[str, ...], environ: dict[str, str], says: str
) -> None:
    code, output, errors = slicer(place, *words, **environ)
    assert (code, output) == (2, "")
    assert says in errors
    assert "secret" not in errors
    assert errors.count("\n") == 1
    assert "secret" not in errors


@pytest.mark.parametrize("package", ["celery", "redis", "packaging.version", "lameenc"])
def test_missing_packages_are_named(place: Place, package: str) -> None:
    code, _, errors = slicer(place, "worker", without=package)
    assert code == 2
    assert "pip install 'mp3-slicer[jobs,renders]'" in errors
    assert package.split(".")[0] in errors


def test_celery_s_own_commands_look_into_the_workers(place: Place) -> None:
    place.worker("--short", "1", "--long", "0")
    done = place.queue.submit(place.order("wav", ("t", "1,3")))
    place.ended(done.id)
    looked = subprocess.run(
        [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "mp3_slicer.jobs.console",
            "inspect",
            "stats",
            "--json",
            "--timeout",
            "20",
        ],
        env={**os.environ, **place.environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (stats,) = json.loads(looked.stdout).values()
    assert stats["total"] == {"slicer.job": 1}
    assert stats["prefetch_count"] == 1
