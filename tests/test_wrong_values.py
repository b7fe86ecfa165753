"""The checks of arguments meet any value at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from geotranslate.checks import choice, flag, folder_path, number, whole_number
from geotranslate.errors import InvalidInputError
from tests.wrong_values import WRONG, only_our_errors


@settings(max_examples=200)
@given(WRONG)
def test_checks_take_any_value(value: Any) -> None:
    for check in (
        lambda: number("x", value, least=0, below=1),
        lambda: whole_number("x", value, 0, 9),
        lambda: flag("x", value),
        lambda: choice("x", value, ("a", "b")),
        lambda: folder_path("x", value),
    ):
        with only_our_errors():
            check()


@pytest.mark.parametrize(
    "harm", [lambda: 1 / 0, lambda: np.ones(2**29), lambda: fail("a nested one..")]
)
def test_foreign_errors_large_arrays_and_nested_sentences_are_found(harm: Any) -> None:
    with pytest.raises((ZeroDivisionError, MemoryError, AssertionError)), only_our_errors():
        harm()


def fail(sentence: str) -> None:
    raise InvalidInputError(sentence)
