"""The catalogue: built, brought up to date, read while that happens, paged, damaged, and with what is hidden."""

import os
import random
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from mp3_slicer.catalogue import Catalogue, CatalogueError, Query, QueryError, build, generations, places
from mp3_slicer.catalogue.build import Outcome, update
from mp3_slicer.catalogue.documents import Document, Part, Seen
from mp3_slicer.catalogue.parts import PART, pack, split, unpack, words
from mp3_slicer.catalogue.places import TOGETHER
from mp3_slicer.tags import Names
from mp3_slicer.transcripts import Cue

Said = dict[str, list[Cue]]


def cue(start: int, text: str, speaker: str = "") -> Cue:
    return Cue(start, start + 2000, text, speaker)


class Archive:
    """Files by name, with what is said in them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = str(folder)
        self.files: dict[str, tuple[int, Names, list[Cue]]] = {}
        self.read: list[str] = []
        self.catalogue = Catalogue(self.folder, "/media")

    def put(self, name: str, *cues: Cue, title: str = "", version: int = 1) -> None:
        self.files[name] = (version, Names(title=title), list(cues))

    def update(self) -> Outcome:
        seen = [Seen(name.encode(), str(version), 0) for name, (version, *_) in self.files.items()]
        return update(self.folder, "/media", seen, self.documents)

    def documents(self, changed: list[Seen]) -> Iterable[Document]:
        for each in changed:
            name = each.path.decode()
            self.read.append(name)
            _, names, cues = self.files[name]
            parts = tuple(Part(pack(part), words(part)) for part in split(cues))
            inner = b"members/" + each.path if name.startswith("link") else each.path
            yield Document(each.path, inner, b"", each.stamp, 10, 0, 60_000, names, b"", len(cues), parts)

    def search(self, text: str, **options: object) -> list[tuple[str, int | None]]:
        page = self.catalogue.search(Query.parse(text), **options)  # type: ignore[arg-type]
        return [(each.file.path.decode(), each.hit.start if each.hit else None) for each in page.results]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    # No letter of a path means anything else.
    archive = Archive(tmp_path / "a?b#c%20 d")
    archive.put("a.mp3", cue(0, "Good morning"), cue(3000, "and welcome to the harbour"), cue(6000, "harbour again"))
    archive.put("b/lighthouse.mp3", cue(0, "nothing of it"), title="The Old Harbour")
    archive.put("c.mp3", cue(1000, "to the"), cue(3000, "harbour", "Ann"), cue(PART + 5, "late harbour"))
    archive.update()
    return archive


def test_names_come_first_and_then_the_best_moment_of_each_file(archive: Archive) -> None:
    found = archive.search("harbour")
    assert found[0] == ("b/lighthouse.mp3", None)
    assert sorted(found[1:]) in ([("a.mp3", 3000), ("c.mp3", 3000)], [("a.mp3", 3000), ("c.mp3", PART + 5)])
    assert archive.search("lighthouse") == [("b/lighthouse.mp3", None)]
    assert archive.search("nobody") == []


def test_all_moments_in_pages(archive: Archive) -> None:
    every = archive.search("harbour", moments=True, limit=100)
    assert sorted(every[1:]) == [("a.mp3", 3000), ("a.mp3", 6000), ("c.mp3", 3000), ("c.mp3", PART + 5)]
    pages = [archive.search("harbour", moments=True, start=start, limit=2) for start in (0, 2, 4)]
    assert [each for page in pages for each in page] == every
    query = Query.parse("harbour")
    assert [archive.catalogue.search(query, moments=True, start=start, limit=2).goes_on for start in (0, 2, 4)] == [
        *(True, True, False),
    ]
    assert archive.catalogue.search(query).files == 3


def test_a_phrase_goes_across_cues_and_its_moment_too(archive: Archive) -> None:
    (found,) = archive.catalogue.search(Query.parse('"to the harbour"'), prefix=b"c").results
    assert found.hit is not None
    assert (found.hit.start, found.hit.end, found.hit.speaker) == (1000, 5000, "")
    assert [text for text, is_hit in found.hit.words if is_hit] == ["to the harbour"]
    assert archive.search('"harbour the"') == []


def test_several_words_are_one_moment_where_they_are_close(archive: Archive) -> None:
    archive.put("far.mp3", cue(0, "north"), cue(TOGETHER * 2, "north"), cue(TOGETHER * 2 + 3000, "south"))
    archive.update()
    archive.put("apart.mp3", cue(0, "east"), cue(TOGETHER + 1, "west"))
    archive.update()
    assert archive.search("north south") == [("far.mp3", TOGETHER * 2)]
    (apart,) = archive.catalogue.search(Query.parse("east west")).results
    assert apart.hit is not None
    assert (apart.hit.start, apart.hit.end) == (0, 2000)


def test_what_changed_is_read_and_nothing_else(archive: Archive) -> None:
    assert archive.update() == Outcome(3, 0, 0)
    before = generations.current(generations.folder_of(archive.folder, "/media"))
    archive.read.clear()
    archive.put("a.mp3", cue(0, "Good evening"), version=2)
    del archive.files["c.mp3"]
    archive.put("d.mp3", cue(0, "a harbourmaster speaks"))
    assert archive.update() == Outcome(3, 2, 1)
    assert sorted(archive.read) == ["a.mp3", "d.mp3"]
    assert archive.search("harbour") == [("b/lighthouse.mp3", None)]
    assert archive.search("evening") == [("a.mp3", 0)]
    assert archive.search("morning") == []
    assert archive.search("*ourmas*") == [("d.mp3", 0)]
    assert generations.current(generations.folder_of(archive.folder, "/media")) != before


def test_readers_of_the_generation_before_go_on(archive: Archive) -> None:
    with archive.catalogue._connected() as database:
        archive.put("new.mp3", cue(0, "harbour"))
        archive.update()
        assert database.execute("SELECT count(*) FROM files").fetchone() == (3,)
    assert len(archive.search("harbour")) == 4
    archive.put("newer.mp3", cue(0, "harbour"))
    archive.update()
    names = os.listdir(generations.folder_of(archive.folder, "/media"))
    assert len([name for name in names if name.startswith("generation")]) == 2
    assert not [name for name in names if name.endswith(".tmp")]


def test_names_are_listed_in_order_and_paged(archive: Archive) -> None:
    for name in ("x/harbour 2.mp3", "x/harbour_10.mp3", "y.mp3"):
        archive.put(name)
    archive.update()

    def listed(text: str, **options: object) -> list[bytes]:
        return [each.path for each in archive.catalogue.names(Query.parse(text), **options)]  # type: ignore[arg-type]

    assert listed("harb*") == [b"b/lighthouse.mp3", b"x/harbour 2.mp3", b"x/harbour_10.mp3"]
    assert listed("harbour", after=b"b/lighthouse.mp3", limit=1) == [b"x/harbour 2.mp3"]
    assert listed("harbour", prefix=b"x/") == [b"x/harbour 2.mp3", b"x/harbour_10.mp3"]
    assert archive.catalogue.known([b"b/lighthouse.mp3", b"none"])[b"b/lighthouse.mp3"].title == "The Old Harbour"


def test_what_is_hidden_is_neither_found_nor_counted(archive: Archive) -> None:
    archive.put("members/x.mp3", cue(0, "harbour secret"), title="harbour")
    archive.put("link.mp3", cue(0, "harbour secret"))
    archive.update()
    query = Query.parse("harbour")

    def hidden(path: bytes) -> bool:
        return path.startswith(b"members/")

    page = archive.catalogue.search(query, hidden=hidden, moments=True)
    assert page.files == 3
    assert not {each.file.path for each in page.results} & {b"members/x.mp3", b"link.mp3"}
    assert archive.catalogue.search(query).files == 5
    assert archive.catalogue.search(Query.parse("secret"), hidden=hidden) == ([], 0, False, False)
    assert [each.path for each in archive.catalogue.names(query, hidden=hidden)] == [b"b/lighthouse.mp3"]


def test_more_than_are_ranked_are_said_to_be_more(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mp3_slicer.catalogue.ranking.MOST_RANKED", 2)
    for number in range(5):
        archive.put(f"many{number}.mp3", cue(0, "seagulls"))
    archive.update()
    page = archive.catalogue.search(Query.parse("seagulls"))
    assert (page.files, page.more) == (2, True)


def test_moments_of_more_half_hours_than_are_opened_are_said_to_be_more(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mp3_slicer.catalogue.reader._MOST_PARTS", 4)
    for number in range(4):
        archive.put(f"many{number}.mp3", cue(0, "seagulls"), cue(5000, "seagulls"))
    archive.update()
    query = Query.parse("seagulls")

    def shown(start: int, limit: int) -> tuple[int, bool, bool]:
        page = archive.catalogue.search(query, moments=True, start=start, limit=limit)
        return len(page.results), page.more, page.goes_on

    # Exactly as many as are opened are all of them.
    assert [shown(0, 8), shown(0, 5), shown(5, 5)] == [(8, False, False), (5, False, True), (3, False, False)]
    archive.put("many4.mp3", cue(0, "seagulls"))
    archive.update()
    assert [shown(0, 7), shown(0, 8), shown(6, 5)] == [(7, False, True), (8, True, False), (2, True, False)]


def test_more_words_with_a_part_than_are_looked_for_are_said_to_be_more(archive: Archive) -> None:
    for number in range(64):
        archive.put(f"{number}.mp3", cue(0, f"{number}dampfer"))
    archive.update()
    page = archive.catalogue.search(Query.parse("*dampfe*"))
    assert (page.files, page.more) == (64, False)
    archive.put("64.mp3", cue(0, "64dampfer"))
    archive.update()
    for text in ("*dampfe*", "*4damp* *dampfe*", "*dampfe* *4damp*"):
        assert archive.catalogue.search(Query.parse(text)).more, text


@pytest.mark.parametrize("rebuilt", [True, False])
def test_long_words_are_found_by_a_part(tmp_path: Path, rebuilt: bool) -> None:
    archive = Archive(tmp_path / "long")
    if not rebuilt:
        archive.put("z.mp3")
        archive.update()
    word = "rindfleischetikettierungsueberwachungsaufgabenuebertragungsgesetz"
    archive.put("a.mp3", cue(0, f"the {word}"))
    archive.update()
    assert [archive.search(f"*{part}*") for part in ("gesetz", "ueberwach", "tragungsgese")] == [
        *([], [("a.mp3", 0)], [("a.mp3", 0)]),
    ]
    archive.put("b.mp3", cue(0, word[1:]))
    archive.update()
    assert archive.search("*gesetz*") == [("b.mp3", 0)]


# -------------------------------------------------------------------------------------------------------------- damage


def test_without_a_catalogue_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="there is no catalogue"):
        Catalogue(str(tmp_path), "/media").search(Query.parse("x"))


@pytest.mark.parametrize("damage", ["cut", "overwritten", "empty", "gone", "named"])
def test_a_damaged_catalogue_is_an_error_and_is_built_anew(archive: Archive, damage: str) -> None:
    folder = generations.folder_of(archive.folder, "/media")
    path = Path(generations.current(folder) or "")
    data = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "overwritten":
            path.write_bytes(data[:100] + os.urandom(len(data) - 100))
        case "empty":
            path.write_bytes(b"")
        case "gone":
            path.unlink()
        case _:
            Path(folder, "current").write_bytes(b"../../../etc/passwd\n")
    catalogue = Catalogue(archive.folder, "/media")
    with pytest.raises(CatalogueError):
        catalogue.search(Query.parse("harbour"))
    assert archive.update().files == 3
    assert len(archive.search("harbour")) == 3


#: Damage that SQLite does not see.
WRONG = (
    "DELETE FROM cues",
    "DELETE FROM files",
    "DELETE FROM parts",
    "UPDATE files SET duration = 'x'",
    "UPDATE files SET title = x'00'",
    "UPDATE files SET path = CAST(path AS TEXT)",
    "UPDATE files SET inner = 5",
    "UPDATE files SET mtime_ns = x'00'",
    "UPDATE files SET mtime_ns = 'x'",
    "UPDATE parts SET file = 'x'",
    "UPDATE cues SET packed = 'x'",
    "UPDATE cues SET packed = 5",
    "DELETE FROM terms",
)


def damaged(archive: Archive, change: str, *values: object) -> Catalogue:
    """Change the generation that counts, and open it."""
    path = generations.current(generations.folder_of(archive.folder, "/media"))
    with closing(sqlite3.connect(path or "")) as database:
        database.execute(change, values)
        database.commit()
    return Catalogue(archive.folder, "/media")


def searched(catalogue: Catalogue) -> int:
    """Ask for all that can be asked for; returns how often the catalogue could not be read."""
    query, prefix = Query.parse("*arbou*"), b"b"
    wanted = (
        lambda: catalogue.search(query),
        lambda: catalogue.search(query, moments=True, hidden=lambda path: path.startswith(b"x")),
        lambda: catalogue.search(query, prefix=prefix, hidden=lambda path: path.startswith(b"x")),
        lambda: catalogue.names(query, hidden=lambda path: path.startswith(b"x")),
        lambda: catalogue.known([b"a.mp3", b"b/lighthouse.mp3"]),
    )
    failed = 0
    for each in wanted:
        try:
            each()
        except CatalogueError:
            failed += 1
    return failed


@pytest.mark.parametrize("change", WRONG)
def test_rows_that_are_not_as_they_were_written_are_one_error(archive: Archive, change: str) -> None:
    assert searched(Catalogue(archive.folder, "/media")) == 0
    assert searched(damaged(archive, change)) > 0


@pytest.mark.parametrize(
    "columns",
    [
        *("", "x", "{}", "5", "[" * 100_000, "[[],[],[],[]]", "[[1],[1],[1],[1]]", '[[1,2],[1],[""],[""]]'),
        *('[[1],[1],[""],[null]]', '[[1.5],[1],[""],[""]]', '[[true],[1],[""],[""]]'),
        *('[[-1],[1],[""],[""]]', '[[1],[-1],[""],[""]]', f'[[1{"0" * 400}],[1],[""],[""]]'),
    ],
)
def test_cues_that_were_not_packed_are_one_error(archive: Archive, columns: str) -> None:
    packed = zlib.compress(columns.encode())
    with pytest.raises((ValueError, zlib.error)):
        unpack(packed)
    assert searched(damaged(archive, "UPDATE cues SET packed = ?", packed)) == 2


def test_pages_that_are_not_as_they_were_written_are_one_error(archive: Archive) -> None:
    path = Path(generations.current(generations.folder_of(archive.folder, "/media")) or "")
    data, draw, failed = path.read_bytes(), random.Random(0), 0
    for number in range(200):
        changed = bytearray(data)
        page = draw.randrange(len(data) // 4096) * 4096
        if number % 2:
            changed[page : page + 4096] = bytes(4096)
        for _ in range(20):
            changed[page + draw.randrange(4096)] = draw.randrange(256)
        path.write_bytes(changed)
        failed += searched(Catalogue(archive.folder, "/media")) > 0
    assert failed > 20


@pytest.mark.parametrize("change", [False, True])
@pytest.mark.parametrize(
    "tables", ["cues", "words_data", "names_data", "files", "trigrams_data", "sqlite_autoindex_files_1"]
)
def test_damage_that_a_reader_finds_is_mended_by_the_next_run(archive: Archive, tables: str, change: bool) -> None:
    for number in range(200):
        archive.put(f"{number}.mp3", *(cue(1000 * each, f"harbour {number} word{number}{each}") for each in range(20)))
    archive.update()
    path = Path(generations.current(generations.folder_of(archive.folder, "/media")) or "")
    with closing(sqlite3.connect(path)) as database:
        pages = [page for (page,) in database.execute("SELECT pageno FROM dbstat WHERE name = ?", (tables,))]
    data = bytearray(path.read_bytes())
    for page in pages[1:] or pages:
        data[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(data)
    if change:
        archive.put("7.mp3", cue(0, "harbour again"), version=2)
    assert searched(Catalogue(archive.folder, "/media")) > 0
    assert archive.update() == Outcome(203, 203, 0)
    assert searched(Catalogue(archive.folder, "/media")) == 0
    assert archive.catalogue.search(Query.parse("harbour")).files == 203
    assert archive.update() == Outcome(203, 0, 0)
    assert not list(path.parent.glob("*.damaged"))


@pytest.mark.parametrize("change", [each for each in WRONG if each != "DELETE FROM terms"])
def test_rows_that_a_reader_finds_wrong_are_mended_by_the_next_run(archive: Archive, change: str) -> None:
    assert searched(damaged(archive, change)) > 0
    assert archive.update() == Outcome(3, 3, 0)
    assert len(archive.search("harbour")) == 3


@pytest.mark.parametrize("change", ["DROP TABLE words", "DROP TABLE cues", "DELETE FROM words_data"])
def test_tables_that_are_missing_are_mended_by_the_next_run(archive: Archive, change: str) -> None:
    assert searched(damaged(archive, change)) > 0
    assert archive.update() == Outcome(3, 3, 0)
    assert len(archive.search("harbour")) == 3


@pytest.mark.parametrize("query", ["harbour", "nobody", '"harbour', "*ab c*", "NEAR(a)", "a\0b"])
def test_no_search_of_a_whole_catalogue_leaves_a_note(
    archive: Archive, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with suppress(QueryError, CatalogueError):
        archive.search(query)
    monkeypatch.setattr("mp3_slicer.catalogue.reader._SECONDS", -1.0)
    monkeypatch.setattr("mp3_slicer.catalogue.reader._STEPS", 1)
    with suppress(QueryError, CatalogueError):
        archive.search(query)
    monkeypatch.setattr("mp3_slicer.catalogue.reader.FORMAT", "0")
    with pytest.raises(CatalogueError):
        Catalogue(archive.folder, "/media").search(Query.parse("harbour"))
    assert archive.update() == Outcome(3, 0, 0)


def test_a_catalogue_of_another_version_is_built_anew(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FORMAT", "0")
    archive.put("z.mp3")
    archive.update()
    with pytest.raises(CatalogueError, match="another version"):
        archive.search("harbour")
    monkeypatch.undo()
    assert archive.update() == Outcome(4, 4, 0)
    assert len(archive.search("harbour")) == 3


def test_a_full_disk_leaves_the_old_one(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    archive.put("z.mp3", cue(0, "harbour"))
    monkeypatch.setattr(build, "_add", full)
    with pytest.raises(OSError, match="full"):
        archive.update()
    assert len(archive.search("harbour")) == 3
    assert not [name for name in os.listdir(generations.folder_of(archive.folder, "/media")) if name.endswith(".tmp")]


def test_a_search_that_takes_too_long_ends(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mp3_slicer.catalogue.reader._SECONDS", -1.0)
    monkeypatch.setattr("mp3_slicer.catalogue.reader._STEPS", 1)
    with pytest.raises(CatalogueError, match="too long"):
        archive.search("harbour")


def test_common_words_do_not_count_where_there_are_many_files(tmp_path: Path) -> None:
    """Half of the newest of them have "the": it finds the newest, and beside a rare word it changes nothing."""
    archive = Archive(tmp_path / "many")
    for number in range(600):
        said = "the harbour and the harbour" if number == 7 else f"the {'harbour ' if number % 100 == 50 else ''}tower"
        archive.put(f"{number:03}.mp3", cue(0, said))
    archive.update()
    found = archive.search("the harbour")
    assert [name for name, _ in found] == ["007.mp3", *(f"{number}50.mp3" for number in (5, 4, 3, 2, 1, 0))]
    assert archive.search("harbour") == found
    assert [name for name, _ in archive.search("the", limit=3)] == ["599.mp3", "598.mp3", "597.mp3"]
    assert [name for name, _ in archive.search("the", start=2, limit=1, prefix=b"1")] == ["197.mp3"]
    assert archive.search("tower t*", prefix=b"00")[0] == ("009.mp3", 0)


@pytest.mark.parametrize("text", ["a", "a b", '"a b"', '"b a" c', "a* d", "*ab* d", '"a c" "d a b"'])
def test_the_first_moments_are_those_of_the_whole(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many cues are read at a time."""
    draw = random.Random(text)
    weights = (40, 9, 3, 1, 2, 300)
    terms = Query.parse(text.replace("*ab*", "*aby*")).terms
    for _ in range(40):
        lines = [" ".join(draw.choices(("a", "b", "c", "d", "xabyz", "e"), weights, k=3)) for _ in range(300)]
        cues = [cue(15_000 * number, line) for number, line in enumerate(lines)]
        for most in (1, 3, 50):
            found = places.find(cues, terms, most)
            with monkeypatch.context() as patched:
                patched.setattr(places, "_FIRST", 1000)
                assert places.find(cues, terms, most) == found


# ------------------------------------------------------------------------------------------------------------- queries


@pytest.mark.parametrize("text", ["", "  ", '""', "*", "*ab*", "...", "x" * 201, " ".join(f"w{n}" for n in range(11))])
def test_what_is_no_query(text: str) -> None:
    with pytest.raises(QueryError):
        Query.parse(text)


@pytest.mark.parametrize(
    "text", ['harbour"', "NEAR(a b)", "a AND b", "said: x", "-harbour", "^harbour", "har' OR 1=1", "a\0b"]
)
def test_no_query_means_more_than_its_words(archive: Archive, text: str) -> None:
    archive.search(text)


def test_parts_are_packed_and_unpacked() -> None:
    cues = [cue(5, "a\tb\nc", "Ann"), cue(7, "=", "Ann"), cue(7, "d", "=x"), cue(PART, "e")]
    assert [len(part) for part in split(cues)] == [3, 1]
    assert unpack(pack(cues)) == [
        Cue(5, 2005, "a\tb c", "Ann"),
        Cue(7, 2007, "=", "Ann"),
        Cue(7, 2007, "d", "=x"),
        Cue(PART, PART + 2000, "e"),
    ]
