"""The slowest rate of a client, within a window of time."""

from __future__ import annotations

import asyncio
import time

import pytest

from postproc.service.http.patience import SLOWEST, TURNS, Pace, Patience

DUE = SLOWEST * TURNS  # of a window of as many seconds


def turns_kept(counts: list[int]) -> int:
    """Return after how many turns of a second a client is too slow; all of them if it never is."""
    pace = Pace(float(TURNS))
    for turn, count in enumerate(counts):
        pace.add(count)
        if not pace.end_turn():
            return turn + 1
    return len(counts)


def test_what_was_sent_before_the_window_gives_no_credit() -> None:
    assert turns_kept([16 << 20] + [1] * 100) == TURNS + 1


def test_a_client_at_the_slowest_rate_goes_on_and_one_below_it_does_not() -> None:
    assert turns_kept([SLOWEST] * 100) == 100
    assert turns_kept([SLOWEST - 1] * 100) == TURNS


def test_a_client_may_pause_where_it_sends_enough_in_between() -> None:
    assert turns_kept([*[0] * (TURNS - 1), DUE] * 10) == 10 * TURNS
    assert turns_kept([DUE, *[0] * TURNS, DUE]) == TURNS + 1


def test_time_outside_of_the_context_and_standing_still_are_not_the_clients() -> None:
    async def run() -> None:
        patience = Patience(0.4)
        for _ in range(3):
            with patience:
                await asyncio.sleep(0)
            await asyncio.sleep(0.5)  # as long as a block is being parsed
        with patience:
            time.sleep(0.5)  # the loop stands still
            await asyncio.sleep(0.1)
        for _ in range(100):  # the pauses of a client add up
            with patience:
                await asyncio.sleep(0.03)
            patience.add(1)

    with pytest.raises(TimeoutError):
        asyncio.run(run())
