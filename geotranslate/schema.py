"""Checks of the types and ranges of values from files and callers.

A check takes the name of a value and the value, and returns it plain or raises an
`InvalidInputError` that names it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, get_args

from geotranslate.checks import choice, flag, number, shown, whole_number
from geotranslate.errors import InvalidInputError, said

Json: TypeAlias = dict[str, Any]
"""An object of a JSON text, as `to_json` gives and `from_json` takes it."""
Check = Callable[[str, Any], Any]
Fields = Mapping[str, Check]
"""The check of each entry of a record, by name."""
MOST_BYTES = 2**25
"""Largest JSON text that is read: enough for the names of a million chips."""
MOST_PARTS = 2**20
"""Largest number of objects and arrays in a JSON text."""


@dataclass(frozen=True)
class Later:
    """Check of an entry that files of earlier versions lack."""

    check: Check
    before: Any
    """Value of the entry if it is missing."""

    def __call__(self, name: str, value: Any) -> Any:
        """Check the entry."""
        return self.check(name, value)


def whole(least: int, most: int) -> Check:
    """Return the check of a whole number."""
    return partial(whole_number, least=least, most=most)


def real(**bounds: float) -> Check:
    """Return the check of a finite number; the bounds are those of `checks.number`."""
    return lambda name, value: number(name, value, **bounds)


def one_of(literal: Any) -> Check:
    """Return the check of a name, which is one of a `Literal` or of a collection."""
    choices: Collection[str] = get_args(literal) or literal
    return partial(choice, choices=choices)


def optional(check: Check) -> Check:
    """Return the check of a value that may be None."""
    return lambda name, value: None if value is None else check(name, value)


def several(check: Check, least: int = 0, most: int | None = None) -> Check:
    """Return the check of a list, which becomes a tuple.

    Args:
        check: Check of every value.
        least: Fewest values.
        most: Most values; None for any number.
    """

    def checked(name: str, values: Any) -> tuple[Any, ...]:
        if not isinstance(values, list | tuple):
            raise InvalidInputError(f"{name} is {shown(values)}; give a list.")
        if not least <= len(values) <= (len(values) if most is None else most):
            bounds = f"at least {least}" if most is None else f"{least} to {most}"
            count = least if least == most else bounds
            raise InvalidInputError(f"{name} has {len(values)} values; give {count}.")
        return tuple(check(f"{name}[{place}]", value) for place, value in enumerate(values))

    return checked


def table(check: Check) -> Check:
    """Return the check of an object with any names."""

    def checked(name: str, values: Any) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise InvalidInputError(f"{name} is {shown(values)}; give an object with names.")
        return {key: check(f"{name}.{_short(key)}", value) for key, value in values.items()}

    return checked


def record(fields: Fields) -> Check:
    """Return the check of an object with the names of `fields` and no others."""

    def checked(name: str, values: Any) -> dict[str, Any]:
        given = table(anything)(name, values)
        for key in given.keys() - fields.keys():
            raise InvalidInputError(
                f"{name} has an entry {shown(key)}, which this version does not know; "
                "remove it, or update geotranslate."
            )
        return {key: _entry(f"{name}.{key}", key, given, check) for key, check in fields.items()}

    return checked


def checked(values: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """Check the arguments of a call and return them.

    Raises:
        InvalidInputError: A value is invalid.
    """
    return {name: fields[name](name, value) for name, value in values.items()}


def _entry(name: str, key: str, given: Mapping[str, Any], check: Check) -> Any:
    if key in given:
        return check(name, given[key])
    if isinstance(check, Later):
        return copy(check.before)
    raise InvalidInputError(f"{name} is missing; give it.")


def anything(name: str, value: Any) -> Any:
    """Return the value as it is."""
    return value


truth: Check = flag
"""The check of True or False."""


def text(name: str, value: Any) -> str:
    """Return a value that is text.

    Raises:
        InvalidInputError: It is something else.
    """
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} is {shown(value)}; give text.")
    return value


def any_number(name: str, value: Any) -> float:
    """Return a number; JSON has infinity and NaN as the strings "inf", "-inf" and "nan".

    Raises:
        InvalidInputError: It is something else.
    """
    if isinstance(value, float) or value in ("inf", "-inf", "nan"):
        return float(value)
    return number(name, value)


def parse_json(content: bytes | str) -> Any:
    """Return the values of a JSON text of bounded size.

    Raises:
        InvalidInputError: It is not JSON, too large or nested too deeply.
    """
    if len(content) > MOST_BYTES:
        raise InvalidInputError(f"The text is larger than {MOST_BYTES >> 20} MiB.")
    encoded = content.encode() if isinstance(content, str) else content
    if encoded.count(b"{") + encoded.count(b"[") > MOST_PARTS:
        raise InvalidInputError(f"The text has more than {MOST_PARTS} parts.")
    try:
        return json.loads(content)
    except ValueError as error:
        raise InvalidInputError(f"The text is no JSON: {said(error)}.") from error
    except RecursionError:
        raise InvalidInputError("The text is nested too deeply.") from None


def finite(value: Any) -> Any:
    """Return a JSON value in which infinity and NaN, which JSON lacks, are strings."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _short(key: str) -> str:
    return key if len(key) < 40 and key.isprintable() else shown(key)
