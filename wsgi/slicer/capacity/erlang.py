"""How long requests wait and how many are refused, where they come at random: the formulas of Erlang.

Arrivals are independent of each other and service times are exponential (M/M/c). Loads are in CPUs: requests a second × seconds each.
"""

import math


def waiting(load: float, servers: int) -> float:
    """The share of requests that wait at all, 0 to 1, with a queue without end (Erlang C). `load` is below `servers`."""
    lost = _lost(load, servers)
    used = load / servers
    return lost / (1 - used * (1 - lost))


def wait(load: float, servers: int, seconds: float, share: float) -> float:
    """The seconds that so large a share of requests, 0 to 1, waits at most, where each takes `seconds`."""
    beyond = waiting(load, servers) / (1 - share)
    return max(0.0, math.log(beyond) * seconds / (servers - load)) if beyond > 0 else 0.0


def refused(load: float, servers: int, places: int) -> float:
    """The share of requests that find all servers busy and all places of the queue taken, 0 to 1."""
    lost = _lost(load, servers)
    if not lost:
        return 0.0
    used = load / servers
    # The same fraction twice: powers of what is below 1 cannot overflow.
    if used <= 1:
        return used**places / (1 / lost + math.fsum(used**place for place in range(1, places + 1)))
    spare = servers / load
    return 1 / (spare**places / lost + math.fsum(spare**place for place in range(places)))


def _lost(load: float, servers: int) -> float:
    """The share that would be refused without a queue (Erlang B), by its recurrence, which overflows nowhere."""
    lost = 1.0
    for number in range(1, servers + 1):
        lost = load * lost / (number + load * lost)
    return lost
