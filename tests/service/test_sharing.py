"""Shares and turns of tenants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from postproc.service.errors import QueueFullError
from postproc.service.sharing import Shares, Turns


def taken(shares: Shares, tenant: str) -> int:
    count = 0
    while shares.take(tenant):
        count += 1
    return count


def test_a_tenant_leaves_room_for_those_that_come_later() -> None:
    shares = Shares(256)
    counts = [taken(shares, name) for name in "abc"]
    assert counts[0] >= 220  # nearly all
    assert all(counts)  # and yet something for the second and the third
    assert shares.used == sum(counts) <= 256


def test_tenants_end_at_equal_shares_while_places_come_and_go() -> None:
    shares = Shares(256)
    held = {"a": taken(shares, "a"), "b": taken(shares, "b")}
    for _ in range(1000):  # one is served, and both try to take its place, the flooding one first
        name = max(held, key=lambda name: held[name])
        shares.give_back(name)
        held[name] -= 1
        for name in held:
            held[name] += taken(shares, name)
    assert abs(held["a"] - held["b"]) <= 8


def test_a_tenant_holds_as_much_as_is_left_to_others() -> None:
    shares = Shares(32, times=1)
    assert [taken(shares, name) for name in "abc"] == [16, 8, 4]


def test_few_places_are_all_for_one_tenant() -> None:
    assert taken(Shares(4), "a") == 4


def test_what_is_larger_than_all_is_taken_alone() -> None:
    shares = Shares(100)
    assert shares.take("a", 1000)
    assert not shares.take("b", 1)
    shares.give_back("a", 1000)
    assert shares.take("b", 1)
    assert not shares.take("a", 1000)
    shares.give_back("b", 1)
    assert shares.used == 0
    assert not shares._held


def test_what_comes_in_pieces_may_be_larger_than_all_while_nobody_else_holds_any() -> None:
    shares = Shares(100)
    assert all(shares.take("a", 60, before) for before in (0, 60, 120))
    assert not shares.take("a", 1)  # another of the same tenant
    shares.give_back("a", 180)
    assert shares.take("b", 10)
    assert shares.take("a", 60)
    assert not shares.take("a", 60, 60)


def test_shares_from_many_threads() -> None:
    shares = Shares(64)

    def work(tenant: str) -> None:
        for _ in range(2000):
            if shares.take(tenant, 3):
                shares.give_back(tenant, 3)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert shares.used == 0


async def entered(
    turns: Turns, order: list[str], tenant: str, size: int = 1, pause: asyncio.Event | None = None
) -> None:
    async with turns.turn(tenant, size):
        order.append(tenant)
        await (pause.wait() if pause is not None else asyncio.sleep(0))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def started(*entries: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
    """Start tasks, each when the one before it is in, or waits."""
    tasks = []
    for entry in entries:
        tasks.append(asyncio.create_task(entry))
        await settle()
    return tasks


def test_a_single_request_comes_after_one_turn_of_the_flooding_tenant() -> None:
    async def run() -> list[str]:
        turns, order = Turns(1), []
        tasks = [asyncio.create_task(entered(turns, order, "flood")) for _ in range(50)]
        tasks.append(asyncio.create_task(entered(turns, order, "single")))
        await asyncio.gather(*tasks)
        assert (turns.used, turns.waiting) == (0, 0)
        assert not turns._held
        assert not turns._last
        return order

    assert asyncio.run(run()).index("single") <= 2


def test_tenants_take_turns() -> None:
    async def run() -> list[str]:
        turns, order = Turns(1), []
        async with turns.turn("c"):
            tasks = [asyncio.create_task(entered(turns, order, name)) for name in "aaaabbbb"]
            await settle()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == list("abababab")


def test_a_tenant_holds_no_more_than_its_most_and_holds_no_other_up() -> None:
    async def run() -> None:
        turns, order, pause = Turns(2, most=1), [], asyncio.Event()
        tasks = [asyncio.create_task(entered(turns, order, "a", 1, pause)) for _ in range(3)]
        await settle()
        assert order == ["a"]
        await asyncio.wait_for(entered(turns, order, "b"), 5)
        pause.set()
        await asyncio.gather(*tasks)
        assert order == ["a", "b", "a", "a"]

    asyncio.run(run())


def test_a_large_request_is_not_overtaken_and_one_larger_than_all_goes_alone() -> None:
    async def run() -> list[str]:
        turns, order, pause = Turns(10), [], asyncio.Event()
        tasks = [asyncio.create_task(entered(turns, order, "a", 6, pause))]
        await settle()
        tasks += [
            asyncio.create_task(entered(turns, order, name, size)) for name, size in (("b", 99), ("c", 1))
        ]
        await settle()
        assert order == ["a"]
        pause.set()
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(run()) == ["a", "b", "c"]


def test_too_many_that_wait_are_refused() -> None:
    async def run() -> None:
        turns, order, pause = Turns(1, waiting=2, retry_after=7), [], asyncio.Event()
        tasks = [asyncio.create_task(entered(turns, order, "a", 1, pause)) for _ in range(3)]
        await settle()
        with pytest.raises(QueueFullError) as caught:
            await entered(turns, order, "a")
        assert caught.value.headers["Retry-After"] == "7"
        assert turns.waiting == 2
        pause.set()
        await asyncio.gather(*tasks)
        await asyncio.wait_for(entered(turns, order, "a"), 5)

    asyncio.run(run())


def test_one_that_gives_up_leaves_nothing_behind() -> None:
    async def run() -> None:
        turns, order, pause = Turns(1), [], asyncio.Event()
        first, second = await started(entered(turns, order, "a", 1, pause), entered(turns, order, "b"))
        second.cancel()
        (third,) = await started(entered(turns, order, "c"))
        pause.set()
        first.cancel()  # in the moment in which the third may be let in
        await asyncio.gather(first, second, third, return_exceptions=True)
        assert (turns.used, turns.waiting) == (0, 0)
        assert order == ["a", "c"]

    asyncio.run(run())


def test_one_that_is_let_in_and_cancelled_at_once_gives_its_room_back() -> None:
    async def run() -> None:
        turns, order, pause = Turns(1), [], asyncio.Event()
        first, second = await started(entered(turns, order, "a", 1, pause), entered(turns, order, "b"))
        pause.set()
        await asyncio.sleep(0)  # the first leaves, and lets the second in, which does not run yet
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert turns.used == 0
        await asyncio.wait_for(entered(turns, order, "c"), 5)

    asyncio.run(run())


def test_one_that_gives_up_in_the_moment_of_its_turn_holds_up_nobody() -> None:
    async def run() -> None:
        turns, order, pause = Turns(1), [], asyncio.Event()
        (first,) = await started(entered(turns, order, "a", 1, pause))
        others = await started(*(entered(turns, order, name) for name in "bc"))
        pause.set()
        others[0].cancel()  # and the first leaves before this one runs
        await asyncio.gather(others[0], return_exceptions=True)
        await asyncio.gather(first, others[1])
        assert order == ["a", "c"]
        assert (turns.used, turns.waiting) == (0, 0)

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_large_one_that_gives_up_lets_in_those_behind_it() -> None:
    async def run() -> None:
        turns, order, pause = Turns(2), [], asyncio.Event()
        entries: tuple[Any, ...] = (("a", 1, pause), ("b", 2), ("c",))
        first, large, small = await started(*(entered(turns, order, *entry) for entry in entries))
        assert order == ["a"]
        large.cancel()
        await asyncio.wait_for(small, 10)
        pause.set()
        await first

    asyncio.run(run())
