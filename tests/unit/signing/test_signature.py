"""What a signature is of: every spelling of a URL has one, and nothing else has it."""

import hashlib
import hmac
from urllib.parse import parse_qsl, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp3_slicer.signing import (
    Key,
    Keys,
    SignatureExpiredError,
    SignatureMissingError,
    SignatureWrongError,
    check,
    signed_url,
)

ONE, TWO = Key("one", bytes(range(32))), Key("two", bytes(range(32, 64)))
KEYS = Keys([ONE, TWO])
NOW = 1_800_000_000


def parsed(url: str) -> tuple[bytes, list[tuple[str, str]]]:
    path, _, query = url.partition("?")
    return unquote_to_bytes(path), parse_qsl(query, keep_blank_values=True, errors="surrogateescape")


def made(url: str = "/clips/show.mp3?t=3000,3010", key: Key = ONE, expires: int = NOW + 60) -> str:
    return signed_url(*parsed(url), key, expires)


def checked(url: str, keys: Keys = KEYS, now: float = NOW):
    return check(*parsed(url), keys, now)


def test_the_form_is_the_one_that_is_written_down() -> None:
    rest = f"/clips/show.mp3?expires={NOW + 60}&key=one&t=3000,3010"
    mac = hmac.new(ONE.secret, rest.encode(), hashlib.sha256).hexdigest()
    assert made() == f"{rest}&signature={mac}"


def test_it_is_right_until_its_time_is_over() -> None:
    url = made()
    assert checked(url).key is ONE
    assert checked(url).expires == NOW + 60
    assert checked(url, now=NOW + 59.999)
    with pytest.raises(SignatureExpiredError) as error:
        checked(url, now=NOW + 60)
    assert error.value.expires == NOW + 60


def test_every_key_of_the_file_counts_and_no_other() -> None:
    assert checked(made(key=TWO)).key is TWO
    for keys in (Keys([TWO]), Keys([Key("one", TWO.secret)])):
        with pytest.raises(SignatureWrongError):
            checked(made(), keys)


def test_a_key_without_a_name_is_nobodys() -> None:
    """What stands in for a key that is not there must not open anything, and nor must no key at all."""
    url = made(key=Key("", bytes(32)))
    with pytest.raises(SignatureWrongError):
        checked(url)


SPELLINGS = [
    "/clips/show.mp3?t=npt:3000,3010&expires={}&key=one&signature={}",
    "/clips/show.mp3?signature={1}&t=50:00,50:10&key=one&expires={0}",
    "/clips/show.mp3?t=3000.0%2C0:50:10.000&expires={}&key=one&signature={}",
    "/%63lips/s%68ow%2emp3?%74=3000,3010&expires={}&key=%6fne&signature={}",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_has_one_signature(spelling: str) -> None:
    assert checked(spelling.format(NOW + 60, made().rpartition("=")[2]))


CHANGES = [
    ("show.mp3", "other.mp3"),
    ("/clips/", "/info/"),
    ("t=3000,3010", "t=3000,3011"),
    ("t=3000,3010", "t=3000"),
    ("&t=3000,3010", ""),
    ("t=3000,3010", "t=3000,3010&download=x"),
    ("t=3000,3010", "t=3000,3010&t=1,2"),
    (f"expires={NOW + 60}", f"expires={NOW + 61}"),
    (f"expires={NOW + 60}", f"expires=0{NOW + 60}"),
    (f"expires={NOW + 60}&", ""),
    ("key=one", "key=two"),
    ("key=one", "key=nobody"),
    ("key=one&", ""),
    ("signature=", "signature=0"),
    ("signature=", "signature=%ff"),
    ("signature=", "signature=&x="),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_nothing_of_it_can_be_changed(old: str, new: str) -> None:
    url = made()
    assert old in url
    with pytest.raises(SignatureWrongError):
        checked(url.replace(old, new))


def test_it_is_lower_case_only_and_whole() -> None:
    rest, _, mac = made().rpartition("=")
    for other in (mac.upper(), mac[:-1], mac + "0", mac[:-1] + "g", ""):
        with pytest.raises(SignatureWrongError):
            checked(f"{rest}={other}")


def test_an_expired_url_that_is_wrong_too_is_wrong() -> None:
    with pytest.raises(SignatureWrongError):
        checked(made(expires=NOW - 1).replace("3010", "3011"))


def test_none_at_all_is_missing() -> None:
    with pytest.raises(SignatureMissingError):
        checked("/clips/show.mp3?t=3000,3010")


@pytest.mark.parametrize("expires", ["", "0", "-1", "+1", "1e9", "1.5", "९", "1" * 12, "x"])
def test_a_time_that_is_none_is_wrong_even_if_signed(expires: str) -> None:
    rest = f"/clips/show.mp3?expires={expires}&key=one"
    path, pairs = parsed(rest)
    mac = signed_url(path, pairs, ONE, 1)  # of another time; what counts is that nothing but an error comes of it
    with pytest.raises(SignatureWrongError):
        check(path, [*pairs, ("signature", mac.rpartition("=")[2])], KEYS, NOW)


def test_spans_keep_their_order_and_other_options_lose_it() -> None:
    url = made("/renders/show.opus?t=1,2&t=3,4&gain=-3&fade=1,1")
    assert "fade=1,1&gain=-3&key=one&t=1,2&t=3,4&" in url
    assert checked(url.replace("gain=-3&", "") + "&gain=-3")
    with pytest.raises(SignatureWrongError):
        checked(url.replace("t=1,2&t=3,4", "t=3,4&t=1,2"))


def test_a_new_signature_takes_the_place_of_an_old_one() -> None:
    assert checked(made(made(key=TWO, expires=5)))
    assert made(made()).count("signature=") == 1


@given(
    path=st.binary(max_size=40),
    pairs=st.lists(st.tuples(st.sampled_from(["t", "gain", "download"]), st.text(max_size=20)), max_size=5),
    other=st.lists(st.tuples(st.sampled_from(["t", "gain", "download"]), st.text(max_size=20)), max_size=5),
)
def test_whatever_is_signed_is_right_and_of_nothing_else(path, pairs, other) -> None:
    pairs, other = (
        [(name, value.encode("utf-8", "replace").decode()) for name, value in each] for each in (pairs, other)
    )
    url = signed_url(b"/clips/" + path, pairs, ONE, NOW + 60)
    assert url.isascii()
    assert " " not in url
    found, options = parsed(url)
    assert found == b"/clips/" + path
    assert check(found, options, KEYS, NOW).expires == NOW + 60
    signature = [pair for pair in options if pair[0] in {"expires", "key", "signature"}]
    if signed_url(b"/clips/" + path, other, ONE, NOW + 60) != url:
        with pytest.raises(SignatureWrongError):
            check(found, [*other, *signature], KEYS, NOW)
