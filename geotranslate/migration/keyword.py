"""Rows of the tables that translate keywords of other libraries, and their use."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError, UnknownArgumentError, warn

LEAVE_OUT: Final = object()
"""Result of a conversion for which our default is right."""

Otherwise = Literal["nothing", "warning", "error"]


@dataclass(frozen=True)
class Keyword:
    """A keyword of a function of another library, and what to give here.

    Raises:
        ValueError: It has neither a counterpart nor advice.
    """

    theirs: str
    ours: str = ""
    """Keyword of the same function here; empty if it has none."""
    advice: str = ""
    """Clause in the imperative that says what to do, or how the meaning differs."""
    convert: Callable[[Any], Any] | None = None
    """Function from their value to ours, or to `LEAVE_OUT`."""
    harmless: tuple[Any, ...] = (None,)
    """Values that need nothing here, if there is no counterpart."""
    otherwise: Otherwise = "warning"
    """Outcome of other values, if there is no counterpart."""

    def __post_init__(self) -> None:
        if not (self.ours or self.advice):
            raise ValueError(f"{self.theirs} has neither a counterpart nor advice")

    @property
    def clause(self) -> str:
        """The advice, or the name here, after "there is no such argument; "."""
        return self.advice or f"give {self.ours} instead"

    def pair(self, value: Any) -> dict[str, Any]:
        """Return our keyword with our value, or nothing if it is not needed.

        Raises:
            InvalidInputError: The value has no meaning here.
        """
        if self.ours:
            given = value if self.convert is None else self.convert(value)
            return {} if given is LEAVE_OUT else {self.ours: given}
        if self.otherwise == "nothing" or self._is_harmless(value):
            return {}
        sentence = f"{self.theirs} is {shown(value)}, which has no meaning here; {self.advice}."
        if self.otherwise == "error":
            raise InvalidInputError(sentence)
        warn(sentence)
        return {}

    def _is_harmless(self, value: Any) -> bool:
        return any(type(value) is type(one) and value == one for one in self.harmless)


Table = Mapping[str, tuple[Keyword, ...]]
"""Keywords by the function of geotranslate that replaces their function."""


def signature_of(
    rows: Sequence[Keyword], positions: Sequence[str], own: Sequence[str] = ()
) -> inspect.Signature:
    """Return the signature that a function has in the other library, for editors.

    Args:
        rows: Keywords of the function.
        positions: Names of the arguments that may be given by position.
        own: First parameters of a method.
    """
    place, name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    others = [row.theirs for row in rows if row.theirs not in positions]
    return inspect.Signature(
        [
            *(inspect.Parameter(each, place) for each in own),
            *(inspect.Parameter(each, place, default=None) for each in positions),
            *(inspect.Parameter(each, name, default=None) for each in others),
            inspect.Parameter("keywords", inspect.Parameter.VAR_KEYWORD),
        ]
    )


def bound(
    function: str, positions: Sequence[str], args: Sequence[Any], keywords: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all arguments of a call by name.

    Args:
        function: Name of the function, for errors.
        positions: Names of the arguments that may be given by position.
        args: Values given by position.
        keywords: Values given by name.

    Raises:
        UnknownArgumentError: There are too many values, or one is given twice.
    """
    if len(args) > len(positions):
        raise UnknownArgumentError(
            f"{function} takes {', '.join(positions)} by position, but {len(args)} values were "
            "given; give the others by name."
        )
    found = dict(zip(positions, args, strict=False))
    for name in keywords:
        if name in found:
            raise UnknownArgumentError(
                f"{function} was given {name} by position and by name; give it once."
            )
    return found | dict(keywords)


def translated(rows: Sequence[Keyword], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with our names and values; those that are in no row are kept.

    Raises:
        InvalidInputError: A value has no meaning here.
        UnknownArgumentError: An argument is given by two names.
    """
    known = {row.theirs: row for row in rows}
    found: dict[str, Any] = {}
    for name, value in given.items():
        pairs = known[name].pair(value) if name in known else {name: value}
        for ours in pairs.keys() & found.keys():
            raise UnknownArgumentError(f"{name} and another argument both set {ours}; give one.")
        found |= pairs
    return found
