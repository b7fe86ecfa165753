from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotranslate.raster.pipeline.prefetch import DEPTH, Prefetch, WriteBehind


@settings(max_examples=20)
@given(st.lists(st.integers(), max_size=50))
def test_items_pass_both_stages_in_order(items: list[int]) -> None:
    found: list[int] = []
    with WriteBehind(found.append) as behind, Prefetch(items) as ahead:
        for item in ahead:
            behind.put(item)
    assert found == items


def test_stages_work_while_the_caller_does() -> None:
    working, made, written = (threading.Event() for _ in range(3))

    def make() -> Iterator[int]:
        for item in range(4):
            time.sleep(0.02)
            if item == 2:
                assert working.wait(60), "the caller has the item before"
                made.set()
            yield item

    def write(item: int) -> None:
        time.sleep(0.02)
        if item == 0:
            assert working.wait(60), "the caller has the next item"
            written.set()

    with WriteBehind(write) as behind, Prefetch(make()) as ahead:
        for item in ahead:
            if item == 1:
                working.set()
                assert made.wait(60)
                assert written.wait(60)
            behind.put(item)
    assert min(ahead.busy, behind.busy) > 0.06


def test_no_more_than_the_depth_waits() -> None:
    made: list[int] = []

    def count() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    with Prefetch(count()) as ahead:
        next(iter(ahead))
        time.sleep(0.2)
        assert len(made) <= 1 + DEPTH + 1


def test_failure_ahead_is_raised_after_the_items_before_it() -> None:
    def fail() -> Iterator[int]:
        yield 1
        raise OSError("torn")

    found = []
    with pytest.raises(OSError, match="torn"), Prefetch(fail()) as ahead:
        for item in ahead:
            found.append(item)
    assert found == [1]


@pytest.mark.parametrize("items", [1, 20])
def test_failure_behind_is_raised_where_items_are_handed_over_or_at_the_end(items: int) -> None:
    def fail(item: int) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"), WriteBehind(fail) as behind:
        for item in range(items):
            behind.put(item)


def test_failure_of_the_caller_stops_both() -> None:
    before = threading.active_count()

    def forever() -> Iterator[int]:
        while True:
            yield 0

    worked: list[int] = []
    with (
        pytest.raises(KeyboardInterrupt),
        WriteBehind(worked.append) as behind,
        Prefetch(forever()) as ahead,
    ):
        for number, item in enumerate(ahead):
            behind.put(item)
            if number == 5:
                raise KeyboardInterrupt
    assert threading.active_count() == before
