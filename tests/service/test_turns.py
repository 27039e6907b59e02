"""The fair semaphore."""

from __future__ import annotations

import threading
import time

from postproc.service.turns import Turns

_SECONDS = 10


def test_turns_let_threads_in_as_they_came() -> None:
    turns, order, threads = Turns(1), [], []

    def work(row: int) -> None:
        with turns:
            order.append(row)

    with turns:
        for row in range(8):
            threads.append(threading.Thread(target=work, args=(row,)))
            threads[-1].start()
            deadline = time.monotonic() + _SECONDS
            while len(turns._waiting) <= row:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join(_SECONDS)
    assert order == list(range(8))


def test_turns_let_in_no_more_than_there_are_places() -> None:
    turns, inside, most, lock = Turns(3), [0], [0], threading.Lock()

    def work() -> None:
        for _ in range(50):
            with turns:
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.0002)
                with lock:
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_SECONDS)
    assert inside == [0]
    assert most == [3]
    with turns, turns, turns:
        pass


def test_turns_are_given_back_by_an_error() -> None:
    turns = Turns(1)
    for _ in range(3):
        try:
            with turns:
                raise ValueError
        except ValueError:
            continue
