"""The page: its text is page.md, what stands in braces there comes from the results."""

import pathlib

from .conclusions import ahead, conclusions, goals
from .others import sections
from .tables import Row, beside, clips, corruption, items, renders, size, wrap

_TEXT = pathlib.Path(__file__).with_name("page.md").read_text(encoding="utf-8")
_QUICK = """
**This was a quick run: one short round, in which a second decides. Look at it, but do not quote it.**
"""
_BUSY = """
**The machine was busy with other things meanwhile, so these numbers are worth little.**
"""
_DOUBT = """These sentences are chosen by the numbers alone, and numbers from a busy machine choose wrong ones.

"""
#: The part of CPU time that others use from which on numbers say more about them.
BUSY = 0.2


def picture(name: str, alt: str) -> str:
    """A picture for light and dark pages."""
    return (
        f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="benchmarks-{name}-dark.svg">\n'
        f'  <img alt="{alt}; the table below has the numbers" src="benchmarks-{name}-light.svg">\n</picture>'
    )


def _corruption(results: Row) -> str:
    def said(way: str) -> str:
        found = [each for each in results["contest"]["corruption"] if each["way"] == way]
        clips, wrong = (sum(each[key] for each in found) for key in ("requests", "wrong"))
        return f"{wrong:,} of {clips:,}"

    return wrap(
        f"In this run {said('position')} clips were wrong by the first mistake, {said('name')} by the second, and {said('engine')} by "
        "the engine. The rates are those of a load without pause; with few requests the same mistakes take days to be seen, and are there."
    )


def page(results: Row) -> str:
    """The whole document."""
    contest = results["contest"]
    machine, lengths = contest["machine"], contest["lengths"]
    rounds = max((len(each["rounds"]) for each in contest["servers"]), default=0)
    how = (
        "one round"
        if rounds == 1
        else f"{rounds} rounds, of which tables give the median, with the lowest and the highest in parentheses"
    )
    made = ", ".join(f"{name} {version}" for name, version in contest["versions"].items())
    patience = f"{lengths['patience']:g} s"
    return _TEXT.format(
        quick=(_QUICK if contest["quick"] else "") + (_BUSY if contest["busy"] > BUSY else ""),
        run=wrap(
            f"This run: {contest['date'][:10]}, {how}; {machine['cpus']} CPUs ({machine['machine']}) and {machine['memory_gib']} GiB. "
            f"It took {contest['seconds'] / 60:.0f} minutes. Versions: {made}."
        ),
        goals=goals(results),
        ahead=ahead(results),
        conclusions=(_DOUBT if contest["busy"] > BUSY else "") + conclusions(results),
        patience=patience,
        calm=f"{lengths['calm']:g} s",
        capacity=f"{lengths['capacity']:g} s",
        overload=f"{lengths['overload']:g} s",
        clips=clips(results),
        clips_picture=picture("clips", "Clips a second by server"),
        renders=renders(results),
        renders_picture=picture("goodput", "Renders in time by server"),
        beside=beside(results),
        beside_picture=picture("beside", "Latency of clips beside too many renders by server"),
        size=size(results),
        size_picture=picture("memory", "Memory at the peak by server"),
        corruption=corruption(results),
        corrupt=_corruption(results),
        configurations=items([(each["name"], each["why"]) for each in contest["servers"]]),
        left_out=items(list(contest["left_out"].items())) or "Every one of them ran.",
        others=sections(results["others"]),
    )
