import heapq
import math
import random

import pytest

from mp3_slicer.capacity import erlang


def erlang_b(load: float, servers: int) -> float:
    """By its definition."""
    return (load**servers / math.factorial(servers)) / sum(load**k / math.factorial(k) for k in range(servers + 1))


@pytest.mark.parametrize("servers", [1, 2, 8, 20])
@pytest.mark.parametrize("used", [0.01, 0.5, 0.9, 0.99])
def test_the_recurrence_is_the_definition(servers, used):
    lost = erlang_b(used * servers, servers)
    assert erlang.refused(used * servers, servers, 0) == pytest.approx(lost)
    assert erlang.waiting(used * servers, servers) == pytest.approx(lost / (1 - used * (1 - lost)))


def test_one_server_is_busy_as_often_as_it_is_used():
    assert erlang.waiting(0.6, 1) == pytest.approx(0.6)


def test_a_value_of_the_printed_tables():
    assert erlang.refused(10, 15, 0) == pytest.approx(0.0365, abs=0.00005)


@pytest.mark.parametrize(("servers", "used", "places"), [(1, 0.6, 4), (2, 0.9, 3), (4, 0.8, 6), (4, 1.5, 5)])
def test_a_simulation_of_the_same_queue(servers, used, places):
    """Requests at random, served for times at random: those who find no place are refused, and without an end, all wait."""
    chance = random.Random(1)
    count = 200_000

    def simulate(most: float) -> tuple[float, list[float]]:
        now, refused, waits = 0.0, 0, []
        free = [0.0] * servers  # when each is free again
        leaving: list[float] = []  # when each who has a place starts to be served
        for _ in range(count):
            now += chance.expovariate(used * servers)
            while leaving and leaving[0] <= now:
                heapq.heappop(leaving)
            if free[0] > now and len(leaving) >= most:
                refused += 1
                continue
            start = max(now, free[0])
            heapq.heapreplace(free, start + chance.expovariate(1))
            if start > now:
                heapq.heappush(leaving, start)
            waits.append(start - now)
        return refused / count, waits

    assert erlang.refused(used * servers, servers, places) == pytest.approx(simulate(places)[0], rel=0.05, abs=0.001)
    if used < 1:
        waits = sorted(simulate(math.inf)[1])
        assert erlang.wait(used * servers, servers, 1, 0.95) == pytest.approx(waits[int(0.95 * count)], rel=0.1)


@pytest.mark.parametrize(("load", "servers"), [(1e-9, 1), (1e-9, 256), (1e9, 1), (255.999, 256), (1e9, 256)])
def test_nothing_overflows(load, servers):
    for places in (0, 4, 256):
        assert 0 <= erlang.refused(load, servers, places) <= 1
    if load < servers:
        assert 0 <= erlang.waiting(load, servers) <= 1
        assert erlang.wait(load, servers, 1, 0.95) >= 0


def test_more_places_refuse_fewer():
    shares = [erlang.refused(3.9, 4, places) for places in range(50)]
    assert shares == sorted(shares, reverse=True)
    assert len(set(shares)) == len(shares)


def test_nobody_waits_where_nobody_comes():
    assert erlang.waiting(0, 2) == erlang.refused(0, 2, 4) == erlang.wait(0, 2, 1, 0.95) == 0
