"""Waiting times and refusals of requests that arrive at random: the formulas of Erlang.

Arrivals are independent of each other and service times are exponential (M/M/c). Loads are in CPUs: requests a second × seconds each.
"""

import math


def waiting(load: float, servers: int) -> float:
    """The share of requests that wait, 0 to 1, with an unbounded queue (Erlang C). `load` is below `servers`."""
    lost = _lost(load, servers)
    used = load / servers
    return lost / (1 - used * (1 - lost))


def wait(load: float, servers: int, seconds: float, share: float) -> float:
    """The longest wait, in seconds, of a share (0 to 1) of requests that take `seconds` each."""
    beyond = waiting(load, servers) / (1 - share)
    return max(0.0, math.log(beyond) * seconds / (servers - load)) if beyond > 0 else 0.0


def refused(load: float, servers: int, places: int) -> float:
    """The share of requests that find all servers busy and all places of the queue taken, 0 to 1."""
    lost = _lost(load, servers)
    if not lost:
        return 0.0
    used = load / servers
    # Both branches take powers of a fraction below 1, which cannot overflow.
    if used <= 1:
        return used**places / (1 / lost + math.fsum(used**place for place in range(1, places + 1)))
    spare = servers / load
    return 1 / (spare**places / lost + math.fsum(spare**place for place in range(places)))


def _lost(load: float, servers: int) -> float:
    """The share refused without a queue (Erlang B), by its recurrence, which does not overflow."""
    lost = 1.0
    for number in range(1, servers + 1):
        lost = load * lost / (number + load * lost)
    return lost
