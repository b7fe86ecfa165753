"""Memory does not grow with the height of a scene."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.evaluation_memory import peak


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    low, high = (peak(tmp_path, 512, height, window=128) for height in (512, 4096))
    assert high <= 1.1 * low
