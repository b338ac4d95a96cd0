"""Conclusions as sentences that the numbers choose."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .bars import number_of
from .others import missed, wanted
from .tables import Row, wrap

#: A difference smaller than this is none, on a machine where rounds differ by as much.
SAME = 0.1
#: A server that makes a smaller part than this of what it can make is one that broke down.
LITTLE = 0.6


class Question(NamedTuple):
    """Something in which one server can be ahead of another."""

    what: str
    key: str
    more: bool
    unit: str
    goal: bool = False  #: whether it is a goal of Slicer's to be ahead of all
    enough: str = ""  #: the number in which a server must not be behind to be ahead in this one


QUESTIONS = (
    Question("goodput of renders at ten times capacity", "goodput", True, "/s", True),
    Question("p95 latency of clips meanwhile", "clips_beside_p95_ms", False, " ms", True),
    Question("clips a second without other load", "clips_per_second", True, "/s"),
    Question("p95 latency of clips without other load", "clips_p95_ms", False, " ms", enough="clips_per_second"),
    Question("peak memory", "memory_mib", False, " MiB"),
    Question("time to recover", "calm_s", False, " s", enough="goodput"),
)


def others(results: Row) -> dict[str, Row]:
    """The medians of servers that are not Slicer's, by their names."""
    return {each["name"]: each["median"] for each in results["contest"]["servers"] if not each["slicer"]}


def _medians(results: Row) -> dict[str, Row]:
    return {each["name"]: each["median"] for each in results["contest"]["servers"]}


def ours(results: Row) -> str:
    """The name of Slicer's own server; empty where it took no part."""
    return next((each["name"] for each in results["contest"]["servers"] if each["ours"]), "")


def better(results: Row, question: Question) -> list[tuple[str, float]]:
    """The servers ahead of Slicer in a question, the best first."""
    mine, found = _medians(results)[ours(results)], []
    bound = mine[question.key] * (1 + SAME if question.more else 1 - SAME)
    for name, median in others(results).items():
        # Quick answers to few are no answers to all.
        enough = not question.enough or median[question.enough] >= mine[question.enough] * (1 - SAME)
        if enough and (median[question.key] > bound if question.more else median[question.key] < bound):
            found.append((name, median[question.key]))
    return sorted(found, key=lambda pair: -pair[1] if question.more else pair[1])


def goals(results: Row) -> str:
    """For each goal, whether Slicer reaches it, and the best of the other servers."""
    own = ours(results)
    if not own:
        return "Slicer's own server took no part in this run."
    return "\n".join(wrap(f"- {_goal(results, question)}", "  ") for question in QUESTIONS if question.goal)


def _goal(results: Row, question: Question) -> str:
    mine = _medians(results)[ours(results)][question.key]
    values = {name: median[question.key] for name, median in others(results).items()}
    said = f"**{_capital(question.what)}**: "
    said += "missed" if any(not _worse(value, mine, question) for value in values.values()) else "reached"
    said += f". Slicer has {_precise(mine)}{question.unit}"
    if values:
        best = (max if question.more else min)(values, key=lambda name: values[name])
        said += f", the best other server {_precise(values[best])}{question.unit} ({best})"
    return said + "."


def _precise(value: float) -> str:
    """With a digit more than in lists: places are decided by little."""
    return f"{value:.3g}" if value < 100 else number_of(value)


def ahead(results: Row) -> str:
    """The servers that beat Slicer in anything that is no goal, and in what; then the questions in which none does."""
    own = ours(results)
    if not own:
        return "Slicer's own server took no part in this run."
    behind, first = [], []
    for question in (question for question in QUESTIONS if not question.goal):
        mine = number_of(_medians(results)[own][question.key]) + question.unit
        found = better(results, question)
        if found:
            named = ", ".join(f"{name} ({number_of(value)})" for name, value in found)
            behind.append(wrap(f"- {_capital(question.what)}: {named}; Slicer has {mine}.", "  "))
        else:
            first.append(wrap(f"- {_capital(question.what)}: none; Slicer has {mine}.", "  "))
    if not behind:
        behind = ["No server is ahead of Slicer in anything else that was measured."]
    return "\n".join(behind) + ("\n\n" + "\n".join(first) if first else "")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _list(names: Sequence[str]) -> str:
    """Up to three names; of more, their number."""
    if len(names) > 3:
        return f"{len(names)} servers"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _where(results: Row, true: Callable[[Row], bool]) -> list[str]:
    return [name for name, median in others(results).items() if true(median)]


def _worse(value: float, mine: float, question: Question) -> bool:
    """Whether another server's number is worse than Slicer's, by however little."""
    return value < mine if question.more else value > mine


def _queues(results: Row) -> str:
    mine = _medians(results)[ours(results)]["clips_beside_p95_ms"]
    found = _where(results, lambda each: each["clips_beside_p95_ms"] > 10 * mine)
    if not found:
        return "No server delays clips ten times as long as Slicer does under overload."
    return f"Separate pools keep cheap work quick: p95 of clips is over ten times Slicer's {number_of(mine)} ms in {_list(found)}."


def _limited(results: Row) -> str:
    medians = _medians(results)
    for name, limited in medians.items():
        other = name.removesuffix(" (renders limited)")
        if other == name or other not in medians:
            continue
        before, after = number_of(medians[other]["clips_beside_p95_ms"]), number_of(limited["clips_beside_p95_ms"])
        if limited["clips_beside_p95_ms"] * 2 < medians[other]["clips_beside_p95_ms"]:
            return f"A limit on renders in Nginx cuts p95 of clips in {other} from {before} to {after} ms."
        return f"A limit on renders in Nginx does little for {other}: p95 of clips is {after} ms, {before} ms without."
    return ""


def _late(results: Row) -> str:
    low = _where(results, lambda each: each["goodput_of_capacity"] < LITTLE)
    if not low:
        return "Every server keeps at least 60 % of its capacity at ten times that load."
    return f"Long queues waste work: goodput falls below 60 % of capacity in {_list(low)}."


def _refusals(results: Row) -> str:
    refusing = {name: each for name, each in _medians(results).items() if each["refused"] >= 0.05}
    quick = [name for name, each in refusing.items() if each["refused_p95_s"] < 0.5]
    slow = [name for name in refusing if name not in quick]
    said = f"{_list(quick)} refuse in less than 0.5 s" if quick else "No server refuses in less than 0.5 s"
    return said + (f", {_list(slow)} later." if slow else ".") + " All others let clients time out."


def _growth(results: Row) -> str:
    found = []
    for name, each in _medians(results).items():
        memory = f"from {each['idle_memory_mib']:,.0f} to {each['memory_mib']:,.0f} MiB"
        if each["processes"] >= 1.5 * each["idle_processes"]:
            found.append(f"{name} from {each['idle_processes']:.0f} to {each['processes']:.0f} processes and {memory}")
        elif each["memory_mib"] >= max(2 * each["idle_memory_mib"], each["idle_memory_mib"] + 100):
            found.append(f"{name} {memory}")
    if not found:
        return "No server grows much under overload."
    return f"Pools without a bound grow under overload: {'; '.join(found)}."


def _killed(results: Row) -> str:
    found = _where(results, lambda each: each.get("before_right", 0) > 0.9 and each["killed_failed"] > 0.5)
    return f"A killed process stays away without a supervisor in {_list(found)}." if found else ""


def _slow(results: Row) -> str:
    found = [
        name
        for name, each in _medians(results).items()
        if each.get("before_right", 0) > 0.9 and each.get("slow_right", 1) < 0.9
    ]
    if not found:
        return ""
    return f"Twenty slow readers block {_list(found)} without Nginx in front, which buffers responses."


def _throughput(results: Row) -> str:
    medians = _medians(results)
    mine = medians[ours(results)]["clips_per_second"]
    best = max(medians, key=lambda name: medians[name]["clips_per_second"])
    if best not in others(results):
        return "Slicer is also the fastest at cheap work alone."
    times = medians[best]["clips_per_second"] / mine if mine else 0
    return (
        f"{best} serves {number_of(times)} times as many clips a second without other load. Slicer pays for the socket between its "
        "daemons and Apache."
    )


def _wrong(results: Row) -> str:
    contest = results["contest"]
    checked = sum(each["answers_checked"] for server in contest["servers"] for each in server["rounds"])
    bad = {server["name"]: sum(each["wrong"] for each in server["rounds"]) for server in contest["servers"]}
    found = [name for name, wrong in bad.items() if wrong]
    if found:
        return f"{sum(bad.values()):,.0f} of {checked:,.0f} responses were wrong, from {_list(found)}."
    return f"None of {checked:,.0f} responses was wrong by a byte."


def _targets(results: Row) -> str:
    lines = list(dict.fromkeys(missed(results["others"])))
    count = wanted(results["others"])
    if not count:
        return ""
    if not lines:
        return f"The other benchmarks reach all of their {count} targets."
    return f"The other benchmarks miss {len(lines)} of their {count} targets: {'; '.join(lines)}."


_SENTENCES = (_queues, _limited, _late, _refusals, _growth, _slow, _killed, _throughput, _wrong, _targets)


def conclusions(results: Row) -> str:
    """One sentence or two for each conclusion; nothing where Slicer's own server took no part."""
    if not ours(results):
        return "Nothing, without Slicer's own server."
    return "\n".join(wrap(f"- {said}", "  ") for said in (sentence(results) for sentence in _SENTENCES) if said)
