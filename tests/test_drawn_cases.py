"""Drawn cases are the same in every run, whatever ran or was imported before."""

from __future__ import annotations

import importlib
import random
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st


def drawn() -> list[float]:
    """Return the numbers that a law is tried with."""
    found = []

    @settings(max_examples=200)
    @given(st.integers() | st.floats(allow_nan=False))
    def law(number: float) -> None:
        found.append(number)

    law()
    return found


def test_constants_of_modules_are_no_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = drawn()
    constants = range(10**6, 10**6 + 500)
    (tmp_path / "numbers_of_ours.py").write_text(f"NUMBERS = {[*constants]}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("numbers_of_ours")
    assert drawn() == before


def test_draws_do_not_depend_on_what_was_drawn_before(request: pytest.FixtureRequest) -> None:
    found = random.random(), np.random.random(), torch.rand(()).item()
    seed = zlib.crc32(request.node.nodeid.encode())
    generator = torch.Generator().manual_seed(seed)
    expected = random.Random(seed).random(), np.random.RandomState(seed).random()
    assert found == (*expected, torch.rand((), generator=generator).item())
