from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.checks import choice, file_path, flag, folder_path, number, whole_number
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


@pytest.mark.parametrize("value", [None, "", " ", 5, b"a", ["a"], True, "a\0b"])
def test_what_is_no_path_is_refused_in_a_sentence(value: Any) -> None:
    for check, kind in ((folder_path, "a folder"), (file_path, "a file")):
        assert check("folder", "a") == check("folder", Path("a")) == Path("a")
        sentence = f"folder is {value!r}; give the path of {kind}."
        with pytest.raises(InvalidInputError, match=f"^{re.escape(sentence)}$"):
            check("folder", value)


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**5000], ids=["400", "-400", "5000"])
def test_numbers_beyond_all_floats_are_refused_in_a_short_sentence(value: int) -> None:
    for check in (
        lambda: number("x", value, least=0, most=1),
        lambda: whole_number("x", value, -1, 1),
    ):
        with pytest.raises(InvalidInputError, match=r"^x is .{,60}; give a .*number .*\.$"):
            check()


@given(st.integers(), st.integers(-9, 9), st.integers(-9, 9))
def test_whole_numbers_within_their_bounds_pass(value: int, one: int, other: int) -> None:
    low, high = sorted((one, other))
    if low <= value <= high:
        assert whole_number("x", value, low, high) == value
    else:
        sentence = rf"^x is {value}; give a whole number of at least {low} and at most {high}\.$"
        with pytest.raises(InvalidInputError, match=sentence):
            whole_number("x", value, low, high)


@pytest.mark.parametrize("value", [2**63, 10**30])
def test_whole_numbers_without_a_bound_have_at_most_64_bits(value: int) -> None:
    assert whole_number("x", 2**63 - 1, 0) == 2**63 - 1
    sentence = r"give a whole number of at least 0 and at most 9223372036854775807\.$"
    with pytest.raises(InvalidInputError, match=sentence):
        whole_number("x", value, 0)


@pytest.mark.parametrize("value", ["c", "", None, 1, ["a"]])
def test_names_that_are_no_choice_are_refused_with_the_choices(value: Any) -> None:
    assert choice("x", "a", ("a", "b")) == "a"
    sentence = rf"^x is {re.escape(repr(value))}; give one of a, b\.$"
    with pytest.raises(InvalidInputError, match=sentence):
        choice("x", value, ("a", "b"))


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_flags_pass(value: Any) -> None:
    assert flag("overwrite", value) is bool(value)


@pytest.mark.parametrize("value", ["no", "", None, 0, 1, 1.0, [], np.array([True])])
def test_what_is_no_flag_is_refused_in_a_sentence(value: Any) -> None:
    sentence = rf"^overwrite is {re.escape(repr(value))}; give True or False\.$"
    with pytest.raises(InvalidInputError, match=sentence):
        flag("overwrite", value)
