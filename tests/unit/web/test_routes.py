"""The table of routes: which path is whose, in one spelling each, and which methods there are."""

import pytest

from mp3_slicer.web.routes import Route, Routes


def handler(request):
    raise AssertionError(request)


@pytest.fixture(scope="module")
def routes():
    rows = [("page", "/"), ("studio", "/studio/<path>"), ("clips", "/clips/<path>"), ("library", "/library")]
    rows += [("job_wait", "/jobs/<id>/wait"), ("job_events", "/jobs/<id>/events"), ("job", "/jobs/<id>")]
    table = [Route(name, path, handler) for name, path in rows]
    table.append(Route("job", "/jobs/<id>", handler, methods=("DELETE",), options=frozenset({"token"})))
    table.append(Route("jobs", "/jobs", handler, methods=("POST",)))
    return Routes(table)


@pytest.mark.parametrize(
    ("path", "name", "rest"),
    [
        *(("/", "page", ""), ("", "page", ""), ("*", "page", "")),
        *(("/library", "library", ""), ("/jobs", "jobs", "")),
        *(("/clips/a.mp3", "clips", "a.mp3"), ("/clips/a/b.mp3", "clips", "a/b.mp3"), ("/clips//a", "clips", "/a")),
        *(("/clips/\xff", "clips", "\xff"), ("/clips/<path>", "clips", "<path>"), ("/clips/a/", "clips", "a/")),
        *(("/jobs/1a", "job", "1a"), ("/jobs/1a/wait", "job_wait", "1a"), ("/jobs/1a/events", "job_events", "1a")),
        ("/jobs/wait", "job", "wait"),
    ],
)
def test_a_path_leads_to_its_endpoint(routes, path, name, rest):
    endpoint, found = routes.find(path)
    assert (endpoint.name, found) == (name, rest)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/clips",
            "/clips/",
            "//",
            "//clips/a",
            "/Clips/a",
            "/clipsa",
            "/library/",
            "/library/x",
            "/LIBRARY",
            "/library ",
        ),
        *("/jobs/", "/jobs//", "/jobs//wait", "/jobs/1a/", "/jobs/1a/wait/", "/jobs/1a/other", "/jobs/1a//wait"),
        *("/jobs/1a/wait/x", "/<id>", "/nothing", "/./library", "/clips\n/a"),
    ],
)
def test_no_other_spelling_leads_anywhere(routes, path):
    assert routes.find(path) is None


def test_an_endpoint_has_the_methods_of_all_its_rows(routes):
    job, _ = routes.find("/jobs/1a")
    assert job.allow == "GET, HEAD, DELETE, OPTIONS"
    assert job.routes["DELETE"].options == {"token"}
    assert job.routes["GET"].options is None
    assert routes.get("/clips/<path>").prefix == "/clips/"
    assert routes.find("/jobs")[0].allow == "POST, OPTIONS"
