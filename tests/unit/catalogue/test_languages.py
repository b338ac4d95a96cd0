"""Words of many languages: what a query must find, and what it must not."""

import pytest

from mp3_slicer.catalogue import Catalogue, Query
from mp3_slicer.catalogue.build import update
from mp3_slicer.catalogue.documents import Document, Part, Seen
from mp3_slicer.catalogue.parts import pack, words
from mp3_slicer.tags import Names
from mp3_slicer.transcripts import Cue

#: By name: what is said.
SAID = {
    "english": "Don't you think the naïve façade of New York's café was re-opened? It cost £5.50.",
    "german": "Die Donaudampfschifffahrtsgesellschaft grüßt die Straße in München, aber nicht Muenchen.",
    "french": "L'œuvre d'un élève à Noël",
    "greek": "Ο άνθρωπος είπε καλημέρα στους φίλους της Ελλάδας ΟΔΟΣ",
    "russian": "Он пришёл домой, и ёлка стояла",
    "arabic": "قالَ الأُستاذُ إنّ المدرسةَ في القاهرة جميلةٌ والفتى على حقّ",
    "persian": "او به کتاب‌خانه می‌رود",
    "hebrew": "הַשָּׁלוֹם הגיע אל העיר ירושלים",
    "hindi": "मैं हिन्दी में किताब पढ़ता हूँ।",
    "thai": "ฉันรักภาษาไทยและอาหารไทย",
    "chinese": "我们在北京大学学习自然语言处理。",
    "japanese": "東京タワーでカメラを買いました。ガラスのグラス",
    "korean": "우리는 한국어를 공부합니다",
    "turkish": "İstanbul'da ışık",
    "half-width": "ｶﾒﾗ ＡＢＣ１２３",
    "japanese and latin": "NHKのニュースです、2021年に大阪フェスが延期。ＰＣｶﾞﾗｽ",
    "chinese and latin": "我用iPhone手机拍照3D电影票",
    "korean and latin": "KBS뉴스를 봅니다",
    "thai and latin": "TVสวัสดีครับ2ครั้งน้ำ",
    "numbers": "第1回大会の第12回定例会",
}
FOUND = [
    ("english", ["don't", "naive", "NAÏVE", "facade", '"new york"', "cafe", "yor*", "*open*", "5.50", "re-opened"]),
    ("german", ["grüsst", "GRÜSST", "grusst", "strasse", "STRAẞE", "munchen", "muenchen", "*schifffahrt*", "donaudampf*", "*gesellschaft"]),
    ("french", ["oeuvre", "œuvre", "eleve", "ÉLÈVE", "noel", '"l\'oeuvre d\'un"']),
    ("greek", ["ανθρωπος", "ΆΝΘΡΩΠΟΣ", "καλημερα", "οδος", "φιλο*"]),
    ("russian", ["пришел", "ПРИШЁЛ", "елка", "ёлка"]),
    ("arabic", ["قال", "الاستاذ", "ان", "المدرسه", "القاهره", "علي", "والفتي", '"في القاهرة"', "*مدرس*"]),
    ("persian", ["کتابخانه", "كتابخانه", "می‌رود", "ميرود"]),
    ("hebrew", ["השלום", "הגיע", "ירושל*"]),
    ("hindi", ["हिन्दी", "किताब", "पढ़ता", "*ताब*"]),
    ("thai", ["ภาษาไทย", "ภาษา", "อาหาร", "ไทย"]),
    ("chinese", ["北京", "北京大学", "大学", "语言处理", "学", "理", "自然"]),
    ("japanese", ["東京", "東京タワー", "タワー", "カメラ", "買い", "ガラス", "グラス"]),
    ("korean", ["한국어", "한국", "공부", "우리는"]),
    ("turkish", ["istanbul", "isik", "ISTANBUL"]),
    ("half-width", ["カメラ", "abc123", "ABC*"]),
    ("japanese and latin", ["NHK", "nhkの", "ニュース", "*ニュース*", "2021", "2021年に", "大阪", "フェス", "延期", "pc", "ガラス"]),
    ("chinese and latin", ["我用", "iphone", "iPho*", "*phon*", "手机", "拍照", "iphone手机", "用iphone手", "3d", "电影票", "照3d电"]),
    ("korean and latin", ["kbs", "뉴스", "뉴스를", "kbs뉴스", "*뉴스*"]),
    ("thai and latin", ["tv", "สวัสดี", "ครับ", "ครั้ง", "2ครั้ง", "น้ำ"]),
    ("numbers", ["大会", "第1回", "1回大会", "第12回", "12", "定例会"]),
]  # fmt: skip
#: What stands in none of them, however close it is.
NOT_FOUND = [
    *(
        "dont",
        '"york new"',
        "yor",
        "*cafes*",
        "schifffahrt",
        "gesellschaft",
        "stras",
        "munch",
        "oeuvr",
        "ανθρωπ",
        "домо",
    ),
    *(
        "مدرسه",
        "שלום",
        "ירושל",
        "हिन",
        "京北",
        "学大",
        "京大学习",
        "カラス",
        "グガ",
        "ภาไท",
        "国한",
        "어한",
        "북경",
        "ısta",
        "nhkニュ",
        "hk",
        "021",
        "フェス2021",
        "手iphone",
        "第2回",
    ),
]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = str(tmp_path_factory.mktemp("index"))
    seen = [Seen(f"{name}.mp3".encode(), "1", number) for number, name in enumerate(SAID)]
    update(folder, "/media", seen, lambda changed: map(document, changed))
    return Catalogue(folder, "/media")


def document(seen: Seen) -> Document:
    text = SAID[seen.path.decode().removesuffix(".mp3")]
    cues = [Cue(1000, 3000, text)]
    names = Names()
    part = Part(pack(cues), words(cues))
    # The name would be found too.
    return Document(b"x%d.mp3" % seen.mtime_ns, seen.path, b"", "1", 1, seen.mtime_ns, 60_000, names, b"", 1, (part,))


def results(catalogue: Catalogue, query: str) -> list[str]:
    return [list(SAID)[found.file.mtime_ns] for found in catalogue.search(Query.parse(query)).results]


@pytest.mark.parametrize(("name", "queries"), FOUND, ids=[name for name, _ in FOUND])
def test_what_must_be_found(catalogue: Catalogue, name: str, queries: list[str]) -> None:
    missing = [query for query in queries if name not in results(catalogue, query)]
    assert missing == []


@pytest.mark.parametrize("query", NOT_FOUND)
def test_what_must_not_be_found(catalogue: Catalogue, query: str) -> None:
    assert results(catalogue, query) == []


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("strasse", ["Straße"]),
        ('"new york"', ["New York"]),
        ("*schifffahrt*", ["Donaudampfschifffahrtsgesellschaft"]),
        ("北京", ["北京"]),
        ("语言处理", ["语言处理"]),
        ("ニュース", ["ニュース"]),
        ("2021", ["2021"]),
        ("iphone手机", ["iPhone手机"]),
        ("大会", ["大会"]),
        ("น้ำ", ["น้ำ"]),
        ("grusst munchen", ["grüßt", "München"]),
        ("القاهره", ["القاهرة"]),
        ("कit*", []),
    ],
)
def test_what_is_found_is_marked(catalogue: Catalogue, query: str, marked: list[str]) -> None:
    page = catalogue.search(Query.parse(query))
    found = [text for each in page.results if each.hit for text, is_hit in each.hit.words if is_hit]
    assert found == marked
    for each in page.results:
        assert each.hit
        assert "".join(text for text, _ in each.hit.words) in SAID.values()
