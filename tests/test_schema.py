from __future__ import annotations

import json
import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.errors import InvalidInputError
from geotranslate.schema import (
    MOST_BYTES,
    MOST_PARTS,
    Fields,
    Later,
    any_number,
    one_of,
    optional,
    parse_json,
    real,
    record,
    several,
    table,
    text,
    truth,
    whole,
)
from tests.wrong_values import assert_one_sentence

FIELDS: Fields = {
    "count": whole(1, 5),
    "share": real(least=0, below=1),
    "kind": one_of(Literal["a", "b"]),
    "names": several(text, 1, 2),
    "scores": table(any_number),
    "yes": truth,
    "later": Later(optional(text), "before"),
}
RIGHT = {"count": 2, "share": 0, "kind": "a", "names": ["x"], "scores": {"l1": "nan"}, "yes": True}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)


def test_right_values_come_back_plain() -> None:
    found = record(FIELDS)("r", RIGHT)
    assert math.isnan(found["scores"].pop("l1"))
    rest = {"count": 2, "share": 0.0, "kind": "a", "names": ("x",), "scores": {}, "yes": True}
    assert found == rest | {"later": "before"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"count": 6}, r"r\.count is 6; give a whole number of at least 1 and at most 5\."),
        ({"count": True}, r"r\.count is True; give a whole number"),
        ({"count": 2.0}, r"r\.count is 2\.0; give a whole number"),
        ({"share": math.nan}, r"r\.share is nan; give a number of at least 0 and below 1\."),
        ({"kind": []}, r"r\.kind is \[\]; give one of a, b\."),
        ({"names": "ab"}, r"r\.names is 'ab'; give a list\."),
        ({"names": []}, r"r\.names has 0 values; give 1 to 2\."),
        ({"names": ["a", 5]}, r"r\.names\[1\] is 5; give text\."),
        ({"scores": {"l1": "1"}}, r"r\.scores\.l1 is '1'; give a finite number\."),
        ({"scores": 5}, r"r\.scores is 5; give an object with names\."),
        ({"yes": 1}, r"r\.yes is 1; give True or False\."),
        ({"more": 1}, r"r has an entry 'more', which this version does not know"),
    ],
)
def test_wrong_values_are_named(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        record(FIELDS)("r", RIGHT | change)


def test_missing_values_are_named() -> None:
    for name in RIGHT:
        rest = {key: value for key, value in RIGHT.items() if key != name}
        with pytest.raises(InvalidInputError, match=rf"r\.{name} is missing; give it\."):
            record(FIELDS)("r", rest)


@given(st.sampled_from(sorted(FIELDS)), JSON)
def test_any_value_is_taken_or_refused_in_one_sentence(name: str, value: Any) -> None:
    try:
        record(FIELDS)("r", RIGHT | {name: value})
    except InvalidInputError as error:
        assert_one_sentence(str(error))


@given(JSON)
def test_json_is_parsed_as_by_python(value: Any) -> None:
    written = json.dumps(value)
    assert (
        repr(parse_json(written)) == repr(json.loads(written)) == repr(parse_json(written.encode()))
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[" * 200_000, "nested too deeply"),
        (b"[" * (MOST_PARTS + 1), "more than 1048576 parts"),
        (b" " * (MOST_BYTES + 1), "larger than 32 MiB"),
        (b"{", "is no JSON: Expecting"),
        (b"\xff\xfe\xff", "is no JSON: "),
        (b"", "is no JSON: "),
        (b"9" * 10_000, "is no JSON: "),
    ],
)
def test_json_that_is_damaged_or_hostile_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        parse_json(content)
    assert_one_sentence(str(caught.value))
