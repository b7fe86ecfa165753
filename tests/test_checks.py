from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.checks import folder_path, number
from geotranslate.errors import InvalidInputError

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, FINITE, FINITE)
def test_numbers_within_their_bounds_pass_and_others_are_refused(
    value: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    for bounds, kept in (
        ({"least": low, "most": high}, low <= value <= high),
        ({"above": low, "below": high}, low < value < high),
        ({"least": low}, low <= value),
        ({"below": high}, value < high),
    ):
        if kept:
            assert number("x", value, **bounds) == value
        else:
            with pytest.raises(InvalidInputError, match=r"^x is .*; give a number .*\.$"):
                number("x", value, **bounds)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.int64(1), np.uint8(0)])
def test_numpys_numbers_pass(value: Any) -> None:
    assert number("x", value, least=0, most=1) == value


@pytest.mark.parametrize("value", ["0.1", None, True, np.True_, math.nan, math.inf, [0.5], 1j])
def test_what_is_no_number_is_refused_in_a_sentence(value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        number("share", value, least=0, below=1)
    assert re.fullmatch(
        r"share is .+; give a number of at least 0 and below 1\.", str(caught.value)
    )


def test_what_is_no_path_is_refused_in_a_sentence() -> None:
    assert folder_path("folder", "a") == folder_path("folder", Path("a")) == Path("a")
    with pytest.raises(InvalidInputError, match=r"^folder is None; give the path of a folder\.$"):
        folder_path("folder", None)
