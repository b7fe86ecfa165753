"""Checks of arguments that many functions take."""

from __future__ import annotations

import numbers
import reprlib

from geotranslate.errors import InvalidInputError


def whole_number(name: str, value: object, least: int) -> int:
    """Return `value` as an int after checking that it is a whole number of at least `least`.

    numpy's integers pass; floats, strings and booleans do not, even where they could be converted.

    Args:
        name: The argument's name, as the caller wrote it.
        value: What was given for it.
        least: Smallest value that it may have.

    Raises:
        InvalidInputError: It is something else; the sentence says what.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or int(value) < least:  # type: ignore[call-overload]
        given = str(value) if whole else reprlib.repr(value)
        raise InvalidInputError(f"{name} is {given}; give a whole number of at least {least}.")
    return int(value)  # type: ignore[call-overload]
