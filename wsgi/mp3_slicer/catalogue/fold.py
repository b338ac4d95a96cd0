"""Text as it is indexed and searched: letters without case and accents, in every script.

Languages that put no blanks between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), and Korean, whose words take endings, are cut
into overlapping pairs of letters, so that any part of a sentence is found. FTS5's own tokenizers would find none of it.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

#: Of scripts whose marks are letters: Indic, Thai, Lao, Tibetan, Burmese, Khmer, and the voicing marks of kana.
_MARKS = "\u0900-\u0963\u0971-\u0df3\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ecd\u0f71-\u0fbc\u102b-\u109d\u17b4-\u17d3\u3099\u309a"
#: Scripts whose runs are cut into pairs.
_PAIRED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
#: A word as it is written, with marks of all scripts and with joiners, which folding takes away.
_WRITTEN = re.compile(
    rf"[^\W_](?:[^\W_]|[{_MARKS}\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u200c\u200d\u00ad\u0640])*"
)
_PLAIN = re.compile("[a-z0-9]+")
#: A run of those scripts, or one of all others: no blank stands between a Latin word and a Japanese one.
_RUNS = re.compile(rf"([{_PAIRED}]+)|((?:(?![{_PAIRED}])(?:[^\W_]|[{_MARKS}]))+)")
_MARK = re.compile(rf"[{_MARKS}]")
#: What neither compatibility nor case folding takes together (UAX 15, UAX 44), and people type either way.
_SAME = str.maketrans(
    {
        "œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "ħ": "h", "ŧ": "t",
        "ى": "ي", "ی": "ي", "ې": "ي", "ة": "ه", "ک": "ك", "ٱ": "ا", "ـ": None,
        "\u200c": None, "\u200d": None, "\u00ad": None,
    }
)  # fmt: skip
#: Characters of a word at most: what is longer is none, and would only fill the index.
_MOST_WORD = 64


class Token(NamedTuple):
    """A word, or a pair of letters, and where in the text it stands."""

    text: str
    start: int
    end: int


def fold(text: str) -> str:
    """The text without case and accents."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(each for each in parts if unicodedata.category(each) != "Mn" or _MARK.match(each))
    return unicodedata.normalize("NFC", kept.translate(_SAME))


def _parts(folded: str) -> Iterator[Token]:
    """The tokens of a folded word, with their places in it."""
    for match in _RUNS.finditer(folded):
        run, other = match.groups()
        if other:
            yield Token(other[:_MOST_WORD], *match.span())
            continue
        for start, pair in enumerate(pairs(run), match.start()):
            yield Token(pair, start, start + len(pair))


@lru_cache(maxsize=1 << 16)
def _of_word(word: str) -> tuple[str, ...]:
    """The tokens of a word as it is written."""
    return tuple(part.text for part in _parts(fold(word)))


def pairs(run: str) -> list[str]:
    """Overlapping pairs of letters, and the last letter alone, so that each letter begins one."""
    return [run[number : number + 2] for number in range(len(run))]


def tokens(text: str) -> list[str]:
    """The words of a text."""
    if text.isascii():
        return [word[:_MOST_WORD] for word in _PLAIN.findall(text.lower())]
    found: list[str] = []
    for word in _WRITTEN.findall(text):
        if word.isascii():
            found.append(word.lower()[:_MOST_WORD])
        else:
            found += _of_word(word)
    return found


def placed(text: str) -> Iterator[Token]:
    """The same words with their places."""
    if text.isascii():
        for match in _PLAIN.finditer(text.lower()):
            yield Token(match[0][:_MOST_WORD], *match.span())
        return
    for match in _WRITTEN.finditer(text):
        word, start, end = match[0], *match.span()
        if word.isascii():
            yield Token(word.lower()[:_MOST_WORD], start, end)
            continue
        folded = fold(word)
        origins = _origins(word, folded)
        for part in _parts(folded):
            if len(origins) == len(folded):
                yield Token(part.text, start + origins[part.start], start + origins[part.end - 1] + 1)
            else:
                yield Token(part.text, start, end)


def _origins(word: str, folded: str) -> list[int]:
    """Where in a word each letter of its folded form comes from; empty where letters have become one."""
    apart = [fold(letter) for letter in word]
    if "".join(apart) != folded:
        return []
    return [place for place, letters in enumerate(apart) for _ in letters]


def is_paired(text: str) -> bool:
    """Return whether a text is one run of a script that is cut into pairs."""
    match = _RUNS.match(text)
    return match is not None and match[1] is not None and match.end() == len(text)
