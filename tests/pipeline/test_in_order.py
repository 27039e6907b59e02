"""Threads that work ahead of whoever takes their results."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from postproc.pipeline.in_order import map_in_order, one_ahead


@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test_map_in_order_keeps_the_order_and_works_little_ahead(num_threads: int) -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        time.sleep(0.002 * (item % 3))
        return item * item

    for taken, result in enumerate(map_in_order(work, range(30), num_threads)):
        assert result == taken * taken
        assert len(started) <= taken + 2 * num_threads
    assert sorted(started) == list(range(30))


@pytest.mark.parametrize("num_threads", [1, 2])
def test_map_in_order_raises_where_the_result_would_come_and_starts_no_more(num_threads: int) -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        return 12 // (3 - item)

    results = map_in_order(work, range(100), num_threads)
    assert [next(results) for _ in range(3)] == [4, 6, 12]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(started) <= 4 + 2 * num_threads


@pytest.mark.parametrize("num_threads", [1, 2])
def test_map_in_order_that_is_left_early_ends_its_threads(num_threads: int) -> None:
    before = threading.active_count()
    results = map_in_order(lambda item: item, range(100), num_threads)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def test_one_ahead_makes_the_next_item_while_one_is_in_use() -> None:
    made = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for row, event in enumerate(made):
            event.set()
            yield row

    ahead = one_ahead(items())
    for row in range(3):
        assert next(ahead) == row
        assert made[row + 1].wait(10)
        assert not any(event.is_set() for event in made[row + 2 :])
    assert list(ahead) == [3]


def test_one_ahead_raises_what_its_items_raise() -> None:
    ahead = one_ahead(12 // (1 - row) for row in range(3))
    assert next(ahead) == 12
    with pytest.raises(ZeroDivisionError):
        next(ahead)
