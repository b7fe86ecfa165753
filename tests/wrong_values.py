"""Values that no argument expects, and the promise that they end in one of our sentences."""

from __future__ import annotations

import contextlib
import math
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from hypothesis import strategies as st

from geotranslate.errors import GeotranslateError

GIB = 2**30

SIMPLE: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63, 10**30, -(10**30), 10**400),
    *(0.0, -0.5, 0.5, 1.5, 1e-9, 1e-300, 1e9, 1e300, math.nan, math.inf, -math.inf, 1j, Decimal(1)),
    *("", " ", "x", "no", "0", "nan", "a\0b", "\udcff", "ä" * 300, b"", b"x", "auto", ".", "/"),
    *(object(), type, len, Ellipsis, range(3), Path("missing/file.tif"), Path("missing.tif")),
]

ARRAYS: list[Any] = [
    np.float32(0.5),
    np.bool_(True),
    np.array(None),
    np.array("x"),
    np.zeros(0),
    np.zeros((3, 0, 0)),
    np.zeros((1, 2, 3, 4, 5), np.uint8),
    np.full((3, 4, 4), None, object),
    np.full((3, 4, 4), np.nan),
    np.ones((3, 4, 4), complex),
    np.array(["2020-01-01"], "datetime64[D]"),
]


def _nested(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from([None, "", "x", 0, 1, 0.5])
    return (
        st.lists(values, max_size=3)
        | st.lists(values, max_size=3).map(tuple)
        | st.dictionaries(keys, values, max_size=2)
    )


# Python converts no integer of more than 4300 digits to text, not even for the report of a test.
UNPRINTABLE = st.just(5000).map(lambda digits: 10**digits)
# Those in between are right for some sizes, and take some GB.
INTEGERS = st.integers(-300, 300) | st.integers(2**31) | st.integers(max_value=-(2**31))

WRONG: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([*SIMPLE, *ARRAYS])
    | INTEGERS
    | UNPRINTABLE
    | st.floats()
    | st.text(max_size=5),
    _nested,
    max_leaves=3,
)
"""Any value: some arguments take some of them, and none takes most."""


@contextlib.contextmanager
def only_our_errors() -> Iterator[None]:
    """Let one of our sentences pass, and nothing else; neither may more than 1 GiB be taken."""
    with _little_memory():
        try:
            yield
        except GeotranslateError as error:
            assert_one_sentence(str(error))


def assert_one_sentence(text: str) -> None:
    """Fail unless a message ends with one full stop and is of a length to read."""
    assert text.endswith((".", '."')), text
    assert not re.search(r"\w\.\.(\s|$)", text), text
    assert len(text) < 3000, text


@contextlib.contextmanager
def _little_memory() -> Iterator[None]:
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    former = resource.getrlimit(resource.RLIMIT_AS)
    taken = psutil.Process().memory_info().vms
    # The addresses that threads reserve without using them are as many again.
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2 * GIB, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, former)
