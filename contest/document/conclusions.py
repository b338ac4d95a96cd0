"""What to conclude, in sentences that the numbers choose."""

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
    limit: bool = False  #: whether Slicer set itself the limit of being ahead of all
    enough: str = ""  #: the number in which a server must not be behind to be ahead in this one


QUESTIONS = (
    Question("renders made in time when ten times as many are asked for as can be made", "goodput", True, "/s", True),
    Question("the 95th percentile of clips meanwhile", "clips_beside_p95_ms", False, " ms", True),
    Question("clips a second with nothing else to do", "clips_per_second", True, "/s"),
    Question("the 95th percentile of clips then", "clips_p95_ms", False, " ms", enough="clips_per_second"),
    Question("memory at the peak", "memory_mib", False, " MiB"),
    Question("the time until it is calm again", "calm_s", False, " s", enough="goodput"),
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
    """Who is ahead of us in a question, the best first."""
    mine, found = _medians(results)[ours(results)], []
    # A limit that was set is missed by however little.
    margin = 0.0 if question.limit else SAME
    bound = mine[question.key] * (1 + margin if question.more else 1 - margin)
    for name, median in others(results).items():
        # Quick answers to few are no answers to all.
        enough = not question.enough or median[question.enough] >= mine[question.enough] * (1 - SAME)
        if enough and (median[question.key] > bound if question.more else median[question.key] < bound):
            found.append((name, median[question.key]))
    return sorted(found, key=lambda pair: -pair[1] if question.more else pair[1])


def ahead(results: Row) -> str:
    """Who is ahead of Slicer and where, before anything else; then where nobody is."""
    own = ours(results)
    if not own:
        return "Slicer's own server took no part in this run."
    behind, first = [], []
    for question in QUESTIONS:
        mine = number_of(_medians(results)[own][question.key]) + question.unit
        found = better(results, question)
        if found:
            named = ", ".join(f"{name} ({number_of(value)})" for name, value in found)
            behind.append(wrap(f"- In {question.what} these are ahead of Slicer's {mine}: {named}.", "  "))
        else:
            first.append(wrap(f"- In {question.what} none is ahead of Slicer's {mine}.", "  "))
    if not behind:
        behind = ["In nothing that was measured is another server ahead of Slicer."]
    return "\n".join(behind) + ("\n\n" + "\n".join(first) if first else "")


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _where(results: Row, true: Callable[[Row], bool]) -> list[str]:
    return [name for name, median in others(results).items() if true(median)]


def _behind(results: Row, question: Question) -> bool:
    """Whether every other server is behind Slicer's, by however little."""
    mine = _medians(results)[ours(results)][question.key]
    values = [median[question.key] for median in others(results).values()]
    return all(value < mine if question.more else value > mine for value in values)


def _limits(results: Row) -> str:
    limits = [question for question in QUESTIONS if question.limit]
    missing = [question.what for question in limits if not _behind(results, question)]
    if missing:
        return f"Slicer set itself the limit of being ahead of all in two of these questions, and misses it in {_list(missing)}."
    return (
        f"Slicer set itself the limit of being ahead of all in {_list([each.what for each in limits])}, and keeps it."
    )


def _queues(results: Row) -> str:
    mine = _medians(results)[ours(results)]["clips_beside_p95_ms"]
    found = _where(results, lambda each: each["clips_beside_p95_ms"] > 10 * mine)
    if not found:
        return "No server let clips wait ten times as long as Slicer does while renders piled up."
    return (
        f"A cheap request is as quick as the queue it stands in. With {_list(found)}, clips stand in one queue with renders, and their "
        f"95th percentile is more than ten times Slicer's {number_of(mine)} ms, or they get no answer. A pool of its own for each kind "
        "of work, and a bounded queue before each, is what keeps them apart."
    )


def _limited(results: Row) -> str:
    medians = _medians(results)
    for name, limited in medians.items():
        other = name.removesuffix(" (renders limited)")
        if other == name or other not in medians:
            continue
        before, after = medians[other]["clips_beside_p95_ms"], limited["clips_beside_p95_ms"]
        if after * 2 < before:
            return (
                f"Much of that does not depend on the server: where Nginx lets only a few renders through to {other}, the 95th percentile "
                f"of clips falls from {number_of(before)} to {number_of(after)} ms. To refuse early is worth more than to change servers."
            )
        return (
            f"To limit renders in Nginx alone does little for {other}: the 95th percentile of clips is {number_of(after)} ms with it and "
            f"{number_of(before)} ms without, since a render that is let through still shares its process with clips."
        )
    return ""


def _late(results: Row) -> str:
    low = _where(results, lambda each: each["goodput_of_capacity"] < LITTLE)
    if not low:
        return (
            "Every server made at least six in ten of the renders it can make while ten times as many were asked for."
        )
    return (
        f"Work that comes too late is work for nobody. While ten times as many were asked for, {_list(low)} made less than six in ten "
        "of the renders that they can make in time for somebody who still waited."
    )


def _refusals(results: Row) -> str:
    refusing = {name: each for name, each in _medians(results).items() if each["refused"] >= 0.05}
    quick = [name for name, each in refusing.items() if each["refused_p95_s"] < 0.5]
    slow = [name for name in refusing if name not in quick]
    said = (
        f"Refusals come in less than half a second from {_list(quick)}"
        if quick
        else "No server refuses in less than half a second"
    )
    return (
        said
        + (f", and later from {_list(slow)}." if slow else ".")
        + " The others let clients wait until they give up."
    )


def _growth(results: Row) -> str:
    found = []
    for name, each in _medians(results).items():
        memory = f"{each['idle_memory_mib']:,.0f} to {each['memory_mib']:,.0f} MiB"
        if each["processes"] >= 1.5 * each["idle_processes"]:
            found.append(
                f"{name} from {each['idle_processes']:.0f} to {each['processes']:.0f} processes and from {memory}"
            )
        elif each["memory_mib"] >= max(2 * each["idle_memory_mib"], each["idle_memory_mib"] + 100):
            found.append(f"{name} from {memory}")
    if not found:
        return "No server grew much under that load."
    return f"What is not fixed beforehand grows when it can be afforded least: {'; '.join(found)}."


def _killed(results: Row) -> str:
    found = _where(results, lambda each: each.get("before_right", 0) > 0.9 and each["killed_failed"] > 0.5)
    return f"Nobody starts {_list(found)} again when a process is killed: they need a supervisor." if found else ""


def _slow(results: Row) -> str:
    found = [
        name
        for name, each in _medians(results).items()
        if each.get("before_right", 0) > 0.9 and each.get("slow_right", 1) < 0.9
    ]
    if not found:
        return ""
    return (
        f"Twenty clients who read nothing are enough to keep clips from {_list(found)} where they reach it without Nginx. Nginx takes "
        "answers as a whole and waits for clients instead: something that does belongs in front."
    )


def _throughput(results: Row) -> str:
    medians = _medians(results)
    mine = medians[ours(results)]["clips_per_second"]
    best = max(medians, key=lambda name: medians[name]["clips_per_second"])
    if best not in others(results):
        return "For cheap work alone, too, Slicer's server is the fastest of these."
    times = medians[best]["clips_per_second"] / mine if mine else 0
    return (
        f"For cheap work alone the server itself matters: {best} gives {number_of(times)} times as many clips a second as Slicer, where "
        "each clip is handed from a daemon through a socket to Apache. Slicer pays that for processes that nothing can make grow, and has "
        "a cache in front for clips that are asked for often."
    )


def _wrong(results: Row) -> str:
    contest = results["contest"]
    checked = sum(each["answers_checked"] for server in contest["servers"] for each in server["rounds"])
    bad = {server["name"]: sum(each["wrong"] for each in server["rounds"]) for server in contest["servers"]}
    found = [name for name, wrong in bad.items() if wrong]
    if found:
        return f"Of {checked:,.0f} answers that were compared byte for byte, {sum(bad.values()):,.0f} were wrong, from {_list(found)}."
    return f"Of {checked:,.0f} answers that were compared byte for byte none was wrong: no server corrupts what shares nothing."


def _goals(results: Row) -> str:
    lines = list(dict.fromkeys(missed(results["others"])))
    count = wanted(results["others"])
    if not count:
        return ""
    if not lines:
        return f"All {count} numbers that the other benchmarks want were reached."
    return f"Of {count} numbers that the other benchmarks want, some were not reached: {'; '.join(lines)}."


_SENTENCES = (_limits, _queues, _limited, _late, _refusals, _growth, _slow, _killed, _throughput, _wrong, _goals)


def conclusions(results: Row) -> str:
    """What follows, point by point; nothing where Slicer's own server took no part."""
    if not ours(results):
        return "Nothing, without Slicer's own server."
    return "\n".join(wrap(f"- {said}", "  ") for said in (sentence(results) for sentence in _SENTENCES) if said)
