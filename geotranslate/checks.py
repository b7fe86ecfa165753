"""Checks of arguments that many functions take."""

from __future__ import annotations

import importlib
import math
import numbers
import os
import reprlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from geotranslate.errors import InvalidInputError, MissingPackageError, said

LARGEST = 2**63 - 1
"""Largest whole number of any argument: neither GDAL nor torch counts further."""


def whole_number(name: str, value: object, least: int, most: int | None = None) -> int:
    """Return `value` as an int after checking that it is a whole number between bounds.

    numpy's integers pass; floats, strings and booleans do not, even where they could be converted.

    Args:
        name: The argument's name, as the caller wrote it.
        value: What was given for it.
        least: Smallest value that it may have.
        most: Largest value that it may have; `LARGEST` if None.

    Raises:
        InvalidInputError: It is something else; the sentence says what.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not least <= int(value) <= (LARGEST if most is None else most):  # type: ignore[call-overload]
        far = most is not None or (whole and int(value) > LARGEST)  # type: ignore[call-overload]
        bounds = f"of at least {least}" + (
            f" and at most {LARGEST if most is None else most}" if far else ""
        )
        raise InvalidInputError(f"{name} is {shown(value)}; give a whole number {bounds}.")
    return int(value)  # type: ignore[call-overload]


def number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """Return `value` as a float after checking that it is a finite number between bounds.

    numpy's numbers pass; strings and booleans do not.

    Args:
        name: The argument's name, as the caller wrote it.
        value: What was given for it.
        least: Smallest value that it may have.
        above: Bound that it must exceed.
        most: Largest value that it may have.
        below: Bound that it must stay below.

    Raises:
        InvalidInputError: It is something else; the sentence says what.
    """
    given = math.nan
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # an integer beyond the range of floats
            given = float(value)
    bounds = [
        (f"of at least {least}", least is None or given >= least),
        (f"above {above}", above is None or given > above),
        (f"of at most {most}", most is None or given <= most),
        (f"below {below}", below is None or given < below),
    ]
    if not (math.isfinite(given) and all(kept for _, kept in bounds)):
        asked = (least, above, most, below)
        words = [text for (text, _), bound in zip(bounds, asked, strict=True) if bound is not None]
        wanted = f"a number {' and '.join(words)}" if words else "a finite number"
        raise InvalidInputError(f"{name} is {shown(value)}; give {wanted}.")
    return given


def choice(name: str, value: Any, choices: Collection[str]) -> Any:
    """Return `value` after checking that it is one of some names.

    Raises:
        InvalidInputError: It is something else; the message lists the names.
    """
    if not isinstance(value, str) or value not in choices:
        raise InvalidInputError(f"{name} is {shown(value)}; give one of {', '.join(choices)}.")
    return value


def flag(name: str, value: object) -> bool:
    """Return `value` as a bool after checking that it is one; numpy's booleans pass.

    Raises:
        InvalidInputError: It is something else, "no" or 0 for example.
    """
    if not isinstance(value, bool | np.bool_):
        raise InvalidInputError(f"{name} is {shown(value)}; give True or False.")
    return bool(value)


def finite_numbers(name: str, value: object, count: int) -> tuple[float, ...]:
    """Return one number, or one for each of `count` bands, as floats.

    Raises:
        InvalidInputError: It is something else, or empty; the sentence says what.
    """
    several = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
    given: list[Any] = list(value) if several else [value]  # type: ignore[call-overload]
    if len(given) not in (1, count):
        raise InvalidInputError(
            f"{name} has {len(given)} values for {count} band{'s' if count != 1 else ''}; give one "
            "value, or one for each band."
        )
    return tuple(number(name, one) for one in given)


def folder_path(name: str, value: object) -> Path:
    """Return `value` as a path after checking that it is one.

    Raises:
        InvalidInputError: It is something else, or empty; the sentence says what.
    """
    return _path(name, value, "a folder")


def file_path(name: str, value: object) -> Path:
    """Return `value` as a path after checking that it is one.

    Raises:
        InvalidInputError: It is something else, or empty; the sentence says what.
    """
    return _path(name, value, "a file")


def _path(name: str, value: object, kind: str) -> Path:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    # An empty path would be the working directory, and the system ends names at a null character.
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InvalidInputError(f"{name} is {shown(value)}; give the path of {kind}.")
    if not is_unicode(text):
        raise InvalidInputError(
            f"{name} is {text!r}, which is not UTF-8 as GDAL needs it; give the path of {kind} "
            "with another name."
        )
    return Path(text)


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8, as paths of other bytes cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def listed(value: object) -> list[Any]:
    """Return the items of a value, or only the value if it is not iterable."""
    try:
        return list(value)  # type: ignore[call-overload]
    except TypeError:
        return [value]


def shown(value: object) -> str:
    """Return a short text of any value for messages."""
    # For numpy's numbers, the text is shorter than the representation.
    if isinstance(value, numbers.Real) and not isinstance(value, int):
        return str(value)
    try:
        return reprlib.repr(value)
    except ValueError:  # Python converts no integer of more than 4300 digits to text
        name = type(value).__name__
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name} with too many digits"


def class_list(numbers: Sequence[float], most: int = 8) -> str:
    """Return class numbers in words for messages, only the first of many."""
    shown = ", ".join(f"{number:.9g}" for number in numbers[:most])
    return shown if len(numbers) <= most else f"{shown} and {len(numbers) - most} more"


def required(package: str, extra: str, purpose: str) -> Any:
    """Import a package of an extra and return it.

    Args:
        package: Its name as a module.
        extra: Name of the extra of geotranslate that brings it.
        purpose: The thing that needs it, as the beginning of a sentence.

    Raises:
        MissingPackageError: It cannot be imported.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(
            f"{purpose} needs {package}, which cannot be imported ({said(error)}); install it by: "
            f"pip install 'geotranslate[{extra}]'."
        ) from error
