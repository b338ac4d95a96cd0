"""The page and its files: what is served, how long it may be kept, and that nothing else can be named."""

import re
from pathlib import Path

import pytest

import mp3_slicer
from mp3_slicer.web import studio_files
from mp3_slicer.web.problems import Problem
from support.requests import request_of

STUDIO = Path(mp3_slicer.__file__).parent / "studio"
#: Files that the page cannot do without, but for what the build fetches.
MODULES = sorted(path.name for path in STUDIO.glob("*.js"))


@pytest.fixture(scope="module")
def served():
    return studio_files.StudioFiles()


def file(served, path, **fields):
    request = request_of(**fields)
    request.path = path.encode()
    return served.file(request)


def body(answer):
    return b"".join(answer.body)


def index(served):
    return body(served.page(request_of())).decode()


def test_the_page_names_its_files_and_they_are_there(served):
    names = re.findall(r'(?:href|src)="/studio/([^"]+)"', index(served))
    assert "@sum@" not in index(served)
    assert len(names) == len(set(names)) + 1  # the icon is shown, too
    for name in names:
        answer = file(served, name)
        headers = dict(answer.headers)
        assert answer.status == 200
        assert answer.caching.directives() == "public, max-age=31536000, immutable"
        assert headers["Content-Length"] == str(len(body(answer)))
        assert headers["Content-Type"].startswith(
            {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[name.rpartition(".")[2]]
        )


def test_the_page_says_how_many_processes_draw_waveforms():
    assert '<meta name="renders" content="3">' in index(studio_files.StudioFiles(3))


def test_every_module_is_fetched_at_once_and_not_one_after_another(served):
    names = {name.partition("/")[2] for name in re.findall(r'(?:href|src)="/studio/([^"]+\.js)"', index(served))}
    assert names == {*MODULES, "vendor/wavesurfer.js", "vendor/regions.js"}
    assert len(MODULES) > 10


@pytest.mark.parametrize("path", sorted(STUDIO.glob("*.js")), ids=lambda path: path.name)
def test_a_module_says_what_it_is_for_and_imports_from_beside_it(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("/**\n * ")
    for name in re.findall(r"(?:from|import\()\s*'([^']+)'", text):
        assert re.fullmatch(r"\./(?:vendor/)?[a-z]+\.js", name), name
    assert max(map(len, text.splitlines())) <= 140


def test_the_licence_of_what_is_not_ours_is_beside_it(served):
    licence = body(file(served, f"{served.sum}/vendor/wavesurfer.LICENSE.txt"))
    assert licence.startswith(b"BSD 3-Clause License")


@pytest.mark.parametrize(
    "path",
    [
        *("main.js", "{sum}", "{sum}/", "{sum}/index.html", "{sum}/nothing.js", "{sum}/../page.py", "{sum}//main.js"),
        *(
            "0000000000000000/main.js",
            "{sum}/vendor",
            "{sum}/vendor/.stamp",
            "{sum}/main.js/",
            "{sum}/MAIN.js",
            "{sum}/main.js\0",
        ),
    ],
)
def test_nothing_else_can_be_named(served, path):
    with pytest.raises(Problem) as raised:
        file(served, path.format(sum=served.sum))
    assert raised.value.status == 404


def test_the_page_is_asked_for_anew_and_told_to_be_the_same(served):
    answer = served.page(request_of())
    headers = dict(answer.headers)
    assert answer.caching.directives() == "no-cache"
    again = served.page(request_of(HTTP_IF_NONE_MATCH=headers["ETag"]))
    assert (again.status, body(again)) == (304, b"")
    assert dict(again.headers)["Content-Security-Policy"] == headers["Content-Security-Policy"]
    # It has no date: one that a client makes up decides nothing.
    assert served.page(request_of(HTTP_IF_MODIFIED_SINCE="Fri, 01 Jan 2100 00:00:00 GMT")).status == 200
    with pytest.raises(Problem):
        served.page(request_of(HTTP_IF_MATCH='"other"'))


def test_another_file_makes_another_sum(served, tmp_path, monkeypatch):
    web = tmp_path / "web"
    (web / "studio").mkdir(parents=True)
    for path in STUDIO.glob("*.*"):
        (web / "studio" / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(studio_files.resources, "files", lambda _: web)
    one = studio_files.StudioFiles()
    (web / "studio" / "times.js").write_bytes(b"/** */")
    other = studio_files.StudioFiles()
    assert len({served.sum, one.sum, other.sum}) == 3
    # Without what the build fetches there is a page all the same.
    assert "/studio/" in index(one)


def test_the_policy_lets_nothing_run_that_is_not_a_file_of_this_server():
    rules = dict(rule.split(" ", 1) for rule in studio_files.POLICY.split("; "))
    assert rules.pop("style-src") == f"'self' '{studio_files.WAVEFORM_STYLE}'"
    own = {name for name, value in rules.items() if value == "'self'"}
    assert own == {"script-src", "img-src", "media-src", "connect-src"}
    assert {name for name, value in rules.items() if value == "'none'"} == set(rules) - own
    assert {"default-src", "frame-ancestors", "base-uri", "form-action"} <= set(rules) - own
