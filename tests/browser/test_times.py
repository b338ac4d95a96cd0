"""Times on the page mean the same samples as on the server, and are written as short as can be."""

import random
from fractions import Fraction

from mp3_slicer.mp3 import SECOND
from mp3_slicer.timespan import TimeSpan, TimeSpanError

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def nearest(nanoseconds: int, rate: int) -> int:
    return (nanoseconds * rate * 2 + SECOND) // (2 * SECOND)


def module(page):
    """Evaluate an expression with the page's own module at hand."""
    source = page.locator("script[type=module]").get_attribute("src").replace("main.js", "times.js")
    return lambda expression, value: page.evaluate(
        f"async (value) => {{ const times = await import('{source}'); return ({expression})(times, value); }}", value
    )


def test_a_sample_becomes_the_shortest_time_that_means_it(visit):
    run = module(visit())
    chance = random.Random(6)
    samples = [
        (rate, number)
        for rate in RATES
        for number in [0, 1, 2, rate - 1, rate, *chance.choices(range(rate * 90_000), k=60)]
    ]
    texts = run("(times, all) => all.map(([rate, sample]) => times.secondsText(sample, rate))", samples)
    clocks = run("(times, all) => all.map(([rate, sample]) => times.clockText(sample, rate))", samples)
    for (rate, sample), text, clock in zip(samples, texts, clocks, strict=True):
        assert nearest(TimeSpan.parse(f"0,{text}").end, rate) == sample if sample else text == "0"
        assert TimeSpan.parse(clock).start == TimeSpan.parse(text).start
        places = len(text.partition(".")[2])
        if places:
            unit = 10 ** (places - 1)
            around = int(Fraction(text) * unit)
            assert all(nearest(each * SECOND // unit, rate) != sample for each in (around, around + 1)), (
                text,
                sample,
                rate,
            )


def test_texts_are_read_and_refused_as_by_the_server(visit):
    run = module(visit())
    texts = [
        *("3000", "0.5", "00:50:00", "50:00", "npt:0:50:00", "3010.000", "1.", "999999:59:59.999999999", "0"),
        *(
            "-1",
            "+1",
            "1e3",
            "ten",
            "0:50",
            "00:60",
            "1.0123456789",
            "smpte:0:00:10",
            "١٢",
            "1:1:1",
            "1 0",
            "12:34:5",
            "1234567890",
        ),
    ]
    read = run(
        "(times, all) => all.map((text) => { try { return String(times.parseTime(text)); } catch (error) { return error.message; } })",
        texts,
    )
    for text, found in zip(texts, read, strict=True):
        try:
            assert found == str(TimeSpan.parse(text).start)
        except TimeSpanError:
            assert not found.isdecimal(), text
            assert found.endswith("."), found
