"""Freed memory stays within a block of `reused_memory`; the collector may pause."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from geotranslate import memory
from geotranslate.memory import collector_paused, reused_memory

resource = pytest.importorskip("resource", reason="page faults are counted on POSIX alone")

BLOCK = 200 * 2**20
PAGES = BLOCK / resource.getpagesize()

CHILD = """
import os
from geotranslate.memory import reused_memory
from tests.test_memory import use_a_block

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

print(resident())
try:
    with reused_memory():
        use_a_block()
        print(resident())
        raise ZeroDivisionError
except ZeroDivisionError:
    print(resident())
"""

needs_glibc = pytest.mark.skipif(
    os.name != "posix" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="only glibc's malloc has thresholds",
)


@pytest.fixture(autouse=True)
def chosen_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    # Dask sets one of them when it starts workers.
    for name in memory.CHOSEN_BY_USER:
        monkeypatch.delenv(name, raising=False)


def use_a_block() -> None:
    # By malloc itself: numpy asks for huge pages, torch for aligned ones.
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    block = ctypes.c_void_p(library.malloc(ctypes.c_size_t(BLOCK)))
    ctypes.memset(block, 1, BLOCK)
    library.free(block)


def faults_of_a_block() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    use_a_block()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def most_faults_again(levels: int) -> int:
    """Return the most page faults of a block after the first one, inside so many `with` blocks."""
    with reused_memory():
        with ExitStack() as stack:
            for _ in range(levels - 1):
                stack.enter_context(reused_memory())
            faults_of_a_block()
        return max(faults_of_a_block() for _ in range(5))


@needs_glibc
@pytest.mark.parametrize("levels", [1, 2])
def test_blocks_of_the_same_size_are_not_cleared_again_until_the_last_ends(levels: int) -> None:
    # In a process of its own: where a test has asked for more memory than there is, glibc has
    # moved the thread to an arena without large blocks.
    code = f"from tests.test_memory import most_faults_again; print(most_faults_again({levels}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) < PAGES / 20


@needs_glibc
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_memory_goes_back_at_the_end_even_after_an_error() -> None:
    # In a process of its own: other tests leave free memory that a block would be taken from.
    said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    before, inside, after = map(int, said.stdout.split())
    assert inside > before + BLOCK // 2
    assert after < before + BLOCK // 2


def test_thresholds_that_the_user_chose_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    monkeypatch.setattr(memory.ctypes, "CDLL", None)  # asking for the C library would fail
    with reused_memory():
        pass


@pytest.mark.parametrize("running", [True, False])
def test_the_collector_runs_again_if_it_ran_before(running: bool) -> None:
    before = gc.isenabled()
    (gc.enable if running else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError), collector_paused(), collector_paused():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() == running
    finally:
        (gc.enable if before else gc.disable)()
