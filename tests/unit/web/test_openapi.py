"""The two descriptions of the API, held to the code: openapi.json and docs/api.md."""

import ast
import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import mp3_slicer.web
from mp3_slicer import failures
from mp3_slicer.render import PEAKS_OPTIONS, RENDER_OPTIONS, formats
from mp3_slicer.render.request import CONTENT_TYPES
from mp3_slicer.settings import Settings
from mp3_slicer.signing import NAMES
from mp3_slicer.web import app, covers, documents, moments, search, studio_files
from mp3_slicer.web.cors import Cors
from mp3_slicer.web.problems import MAX_AGE
from mp3_slicer.web.response import Caching
from support.requests import request_of

WEB = Path(mp3_slicer.web.__file__).parent
ROOT = Path(__file__).parents[3]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
DOCUMENT = json.loads((WEB / "openapi.json").read_text(encoding="utf-8"))
#: Names of functions that make a Problem, and the place of its status and kind among their arguments.
MAKERS = {"Problem", "span_problem"}


@pytest.fixture(scope="module")
def application(tmp_path_factory):
    media, index = tmp_path_factory.mktemp("media"), tmp_path_factory.mktemp("index")
    return app.create_app(Settings.from_environ({"SLICER_MEDIA": str(media), "SLICER_INDEX_DIR": str(index)}))


def kinds():
    """(kind, status) of every problem that the sources of mp3_slicer.web can answer with, and of those of the table of failures."""
    found = {(row.response.kind, row.response.status) for row in failures.TABLE if row.response}
    for path in sorted(WEB.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
                status, kind = node.args[:2]
                if isinstance(status, ast.Constant):
                    assert isinstance(kind, ast.Constant), f"{path.name}:{node.lineno}: a kind that is no text"
                    found.add((kind.value, status.value))
                else:
                    assert path.name in {"sources.py", "problems.py"}, (
                        f"{path.name}:{node.lineno}: a status that is no number"
                    )
    return found


def cache_control(seconds):
    return Caching(seconds).directives()


def table(heading):
    """The cells of the first table after a heading of docs/api.md, by rows."""
    section = re.split(r"^#+ ", API.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line.strip("|\n").split("|") for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 2, heading
    return [[cell.strip() for cell in row] for row in rows[2:]]


def apache_statuses():
    found = {int(path.stem) for path in (ROOT / "apache" / "errors").glob("*.json")}
    text = (ROOT / "apache" / "slicer.conf").read_text(encoding="utf-8")
    return found | {int(number) for number in re.findall(r"^ErrorDocument (\d+)", text, re.MULTILINE)}


def expected_cache_control(status):
    if status in {status for _, status in kinds()}:
        return cache_control(MAX_AGE.get(status, 0))
    # apache/slicer.conf has the same rule; tests/http asks the server.
    return "no-store" if status >= 500 or status in {401, 403, 408, 410, 429} else "public, max-age=60"


def resolved(value):
    while "$ref" in value:
        found = DOCUMENT
        for name in value["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        value = found
    return value


def operations():
    return [
        (path, method, item[method])
        for path, item in DOCUMENT["paths"].items()
        for method in ("get", "head", "post", "delete", "options")
        if method in item
    ]


def test_the_document_is_valid():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_the_document_has_the_paths_of_the_application(application):
    methods = defaultdict(lambda: {"OPTIONS"})
    for route in application.routes.table:
        methods[re.sub(r"<(\w+)>", r"{\1}", route.path)].update(route.methods)
    assert methods == {
        path: {method.upper() for method in item if method != "parameters"} for path, item in DOCUMENT["paths"].items()
    }


def test_the_document_has_the_options_of_the_application(application):
    given = {
        (path, method.upper()): {
            parameter["name"]
            for parameter in map(resolved, operation.get("parameters", []))
            if parameter["in"] == "query"
        }
        for path, method, operation in operations()
    }
    for route in application.routes.table:
        path = re.sub(r"<(\w+)>", r"{\1}", route.path)
        for method in route.methods:
            names = (route.options or set()) | (NAMES if route.is_media else set())
            assert given[path, method] == names, (path, method)


def test_the_options_are_those_that_renders_and_waveforms_know(application):
    options = {route.name: route.options for route in application.routes.table}
    assert options["renders"] == {*RENDER_OPTIONS, "download"}
    assert options["peaks"] == set(PEAKS_OPTIONS)


@pytest.mark.parametrize(("path", "options"), [("/renders/{path}", RENDER_OPTIONS), ("/peaks/{path}", PEAKS_OPTIONS)])
def test_the_document_has_the_options_as_they_are_declared(path, options):
    """Name, sentence and values of each; `tests/unit/render/test_options.py` holds what else is declared of them."""
    given = {each["name"]: each for each in map(resolved, DOCUMENT["paths"][path]["get"]["parameters"])}
    for name, option in options.items():
        assert given[name]["schema"] == option.schema
        # The `t` of waveforms is that of clips.
        assert (
            given[name]["description"] == option.description or given[name] is DOCUMENT["components"]["parameters"]["T"]
        )
        assert given[name].get("example") == option.example
        assert given[name].get("explode", False) == option.repeatable


def test_the_document_has_the_types_of_results():
    for path, types in (
        ("/renders/{path}", {each.content_type for each in formats.FORMATS.values()}),
        ("/peaks/{path}", set(CONTENT_TYPES.values())),
    ):
        for status in ("200", "206"):
            assert set(DOCUMENT["paths"][path]["get"]["responses"][status]["content"]) == types


def test_the_document_has_the_limits_of_the_application():
    limit = DOCUMENT["components"]["parameters"]["Limit"]["schema"]
    assert (limit["default"], limit["maximum"]) == (documents.PAGE, documents.MAX_PAGE)


def test_every_problem_is_in_the_document():
    text = json.dumps(DOCUMENT["components"]["responses"])
    named = {kind for kind, _ in kinds() if f"`{kind}`" in text}
    # 405 is the answer to the methods that the document cannot name.
    assert named == {kind for kind, _ in kinds()} - {"method"}


def test_every_status_of_a_problem_is_in_the_document():
    given = {int(status) for _, _, operation in operations() for status in operation["responses"] if status.isdigit()}
    assert {status for _, status in kinds()} - {405} == {status for status in given if status >= 400}


def test_every_cors_header_is_in_the_document():
    cors = Cors(("https://a.example", "https://b.example"))
    names = {name for name, _ in [*cors.headers({"HTTP_ORIGIN": "https://a.example"}), *cors.preflight("GET")]}
    assert names == {name for name in DOCUMENT["components"]["headers"] if name.startswith("Access-")} | {"Vary"}


def test_everything_in_the_document_is_used():
    text = json.dumps(DOCUMENT)
    for group, items in DOCUMENT["components"].items():
        for name in items:
            assert f'"#/components/{group}/{name}"' in text, name


def test_the_version_is_the_packages_own(application):
    found, _ = application.routes.find("/openapi.json")
    body = found.routes["GET"].handler(request_of("/openapi.json")).body
    served = json.loads(b"".join(body))
    assert served == {**DOCUMENT, "info": {**DOCUMENT["info"], "version": mp3_slicer.__version__}}


def test_kinds_are_found():
    assert {("span-malformed", 400), ("method", 405), ("internal", 500), ("try-again", 503)} <= kinds()


def test_the_page_has_every_problem():
    rows = table("Errors")
    assert {(kind.strip("`"), int(status)) for status, kind, *_ in rows} == kinds()


def test_the_page_has_how_long_every_error_may_be_kept():
    rows = {status: value.strip("`") for status, value, of in table("Caching") if of == "errors"}
    statuses = {status for _, status in kinds()} | apache_statuses()
    assert rows == {str(status): expected_cache_control(status) for status in statuses}


def test_apache_and_the_application_agree_on_how_long_errors_may_be_kept():
    for status in apache_statuses() & {status for _, status in kinds()} - {404}:
        rule = "no-store" if status >= 500 or status in {401, 403, 410, 429} else "public, max-age=60"
        assert cache_control(MAX_AGE.get(status, 0)) == rule


def test_the_page_has_how_long_every_answer_may_be_kept():
    rows = {of: value.strip("`") for _, value, of in table("Caching")}
    settings = Settings(media="/")
    ages = {"/info": documents._INFO_MAX_AGE, "/library": documents._LIBRARY_MAX_AGE}
    ages["/transcripts` and `/chapters"] = moments.MAX_AGE
    ages["/covers"] = covers.MAX_AGE
    ages["/search"] = search.MAX_AGE
    ages["/openapi.json"] = documents._OPENAPI_MAX_AGE
    for of, seconds in ages.items():
        assert rows[f"`{of}`"] == cache_control(seconds)
    assert rows["`/`"] == studio_files.PAGE_CACHING.directives()
    (files,) = [value for of, value in rows.items() if of.startswith("`/studio`")]
    assert files == studio_files.FILE_CACHING.directives()
    (clips,) = [value for of, value in rows.items() if of.startswith("clips")]
    assert clips == cache_control(settings.clip_max_age)


def test_the_page_has_what_apache_answers():
    assert {int(status) for status, _ in table("Errors of Apache")} == apache_statuses()


#: What follows <path> on the page, where that is not .mp3.
_SUFFIXES = {
    "/renders/{path}": ".<format>",
    "/peaks/{path}": ".json",
    "/transcripts/{path}": ".vtt",
    "/chapters/{path}": ".json",
    "/studio/{path}": "",
}


def test_the_page_has_every_endpoint_with_its_options():
    rows = {path.strip("`"): set(re.findall(r"`(\w+)`", options)) for path, _, options in table("Endpoints")}
    given = defaultdict(set)
    for path, method, operation in operations():
        if method in {"get", "post"}:
            parameters = map(resolved, operation.get("parameters", []))
            suffix = _SUFFIXES.get(path, ".mp3")
            given[path.replace("{path}", f"<path>{suffix}").replace("{id}", "<id>")] = {
                each["name"] for each in parameters if each["in"] == "query"
            }
    assert rows == given


def test_the_page_has_the_limits_of_the_settings():
    settings = Settings(media="/")
    rows = {name.strip("`"): value for _, value, name, _ in table("Limits") if name}
    assert rows == {
        "SLICER_MIN_CLIP_SECONDS": f"{float(settings.min_clip_seconds):g} s",
        "SLICER_MAX_CLIP_SECONDS": f"{settings.max_clip_seconds} s",
        "SLICER_MAX_SOURCE_BYTES": f"{settings.max_source_bytes >> 30} GiB",
        "SLICER_INDEX_SECONDS": f"{settings.index_seconds} s",
        "SLICER_MAX_RENDER_SECONDS": f"{settings.max_render_seconds} s",
        "SLICER_MAX_RENDER_BYTES": f"{settings.max_render_bytes >> 20} MiB",
        "SLICER_RENDER_SECONDS": f"{settings.render_seconds} s",
        "SLICER_RENDER_MEMORY_BYTES": f"{settings.render_memory_bytes >> 20} MiB",
    }


def test_the_page_has_every_member_of_info():
    named = {name for cell, _ in table("`/info/<path>.mp3`") for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(DOCUMENT["components"]["schemas"]["Info"]["properties"])
