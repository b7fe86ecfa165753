"""Blocks are computed once, by one thread, for those who still wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from geotranslate.livemap.blockstore import BlockStore, Key, Recent
from geotranslate.livemap.mapreader import reduce_block

BLOCK = 10 * 10 + 10 * 10
"""Bytes of a block of one band of uint8, with its mask."""


class Slow:
    """A function of blocks that waits until it may go on."""

    def __init__(self) -> None:
        self.computed: list[Key] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.began = threading.Event()

    def __call__(self, row: int, col: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        self.began.set()
        assert self.go.wait(10)
        self.computed.append((row, col))
        self.threads.add(threading.get_ident())
        if row == 99:
            raise ValueError("no such block")
        return np.full((1, 10, 10), row, np.uint8), np.ones((10, 10), bool)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def store(slow: Slow) -> Iterator[BlockStore]:
    found = BlockStore(slow, lambda block, by: reduce_block(block, by, classes=False), 100 * BLOCK)
    yield found
    slow.go.set()
    found.close()


def until_(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_blocks_nobody_waits_for_are_not_computed(slow: Slow, store: BlockStore) -> None:
    with store.wanted([(0, 0)]):
        assert slow.began.wait(10)
        with store.wanted([(1, 0), (2, 0)]), store.wanted([(2, 0)]):
            assert store.waiting == 3
        assert store.waiting == 1
        with store.wanted([(3, 0)]) as wanted:
            slow.go.set()
            assert wanted[3, 0].result(10)[0, 0, 0] == 3
    assert slow.computed == [(0, 0), (3, 0)]


def test_the_block_asked_for_last_comes_first(slow: Slow, store: BlockStore) -> None:
    with store.wanted([(0, 0)]) as first:
        assert slow.began.wait(10)
        with store.wanted([(1, 0), (2, 0)]) as others, store.wanted([(1, 0)]):
            slow.go.set()
            for future in (*first.values(), *others.values()):
                future.result(10)
    assert slow.computed == [(0, 0), (1, 0), (2, 0)]


def test_a_block_is_computed_once_for_all_who_ask(slow: Slow, store: BlockStore) -> None:
    slow.go.set()
    keys = [(row, col) for row in range(4) for col in range(3)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: store.get(keys), range(20)))
    assert sorted(slow.computed) == sorted(keys)
    assert len(slow.threads) == 1
    assert all(answer[3, 1][0, 5, 5] == 3 for answer in answers)
    assert set(store.finished(range(1, 3), range(2))) == {(1, 0), (1, 1), (2, 0), (2, 1)}


def test_those_who_ask_again_while_a_block_is_computed_get_it(
    slow: Slow, store: BlockStore
) -> None:
    with store.wanted([(0, 0)]):
        assert slow.began.wait(10)
    assert store.waiting == 0
    with store.wanted([(0, 0)]) as again:
        slow.go.set()
        assert again[0, 0].result(10)[0, 0, 0] == 0
    assert slow.computed.count((0, 0)) == 1


def test_an_error_goes_to_those_who_wait_and_is_not_kept(slow: Slow, store: BlockStore) -> None:
    slow.go.set()
    for _ in range(2):
        with pytest.raises(ValueError, match="no such block"):
            store.get([(99, 0)])
    assert slow.computed == [(99, 0)] * 2
    assert store.get([(1, 1)])[1, 1].shape == (1, 10, 10)


def test_memory_is_bounded(slow: Slow) -> None:
    slow.go.set()
    most = 7 * BLOCK
    store = BlockStore(slow, lambda block, by: reduce_block(block, by, classes=False), most)
    for row in range(30):
        store.get([(row, 0)])
        assert store.blocks.bytes + store.reduced.bytes <= most
    assert set(store.blocks) == {(row, 0) for row in range(24, 30)}
    store.get([(24, 0)])
    store.get([(30, 0)])
    assert (24, 0) in set(store.blocks)
    assert (25, 0) not in set(store.blocks)
    store.close()


def test_the_last_block_is_kept_even_if_it_is_large() -> None:
    kept = Recent(5)
    for row in range(3):
        kept.put((row, 0), np.ma.MaskedArray(np.zeros((1, 4, 4), np.uint8), False))
        assert set(kept) == {(row, 0)}


def test_a_closed_store_lets_nobody_wait(slow: Slow, store: BlockStore) -> None:
    with store.wanted([(0, 0)]):
        assert slow.began.wait(10)
        with store.wanted([(1, 0)]) as wanted:
            threading.Timer(0.05, slow.go.set).start()
            store.close()
            with pytest.raises(RuntimeError, match="closed"):
                wanted[1, 0].result(10)
