"""Sentences about arguments that a function does not have."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from geotranslate.errors import UnknownArgumentError
from geotranslate.migration.arcgis_learn import ARCGIS, POSITIONS
from geotranslate.migration.keyword import Keyword
from geotranslate.migration.reference_code import REFERENCE

P = ParamSpec("P")
R = TypeVar("R")

LIBRARIES = {"arcgis.learn": ARCGIS, "pytorch-CycleGAN-and-pix2pix": REFERENCE}
OWN = ("self", "cls", "model")
"""Names of the first parameter of methods, which no caller gives."""

_CHECKED: dict[str, list[str]] = {}
"""Arguments of the checked functions by name."""


def checks_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that a wrong set of arguments ends in a sentence.

    An argument that the function does not have is looked up among the keywords of arcgis.learn and
    pytorch-CycleGAN-and-pix2pix and among our other functions. The signature stays visible.
    """
    signature = inspect.signature(function)
    name = _name(function)
    _CHECKED[name] = [each for each in signature.parameters if each not in OWN]

    @functools.wraps(function)
    def call(*args: P.args, **keywords: P.kwargs) -> R:
        try:
            signature.bind(*args, **keywords)
        except TypeError:
            raise UnknownArgumentError(_sentence(name, signature, args, keywords)) from None
        return function(*args, **keywords)

    return call


def unknown_argument(function: str, known: Sequence[str], argument: str) -> UnknownArgumentError:
    """Return the error for an argument that a function with `**others` does not have.

    Args:
        function: Name of the function.
        known: Its arguments.
        argument: Name of the other argument.
    """
    _CHECKED[function] = list(known)
    return UnknownArgumentError(
        f"{function} has no argument {argument!r}; {_clause(function, argument)}."
    )


def _name(function: Callable[..., Any]) -> str:
    """Return the name of a function as users call it: for a constructor the class."""
    owner, _, name = function.__qualname__.rpartition(".")
    return owner if name == "__init__" else name


def _sentence(
    name: str, signature: inspect.Signature, args: Sequence[Any], keywords: Mapping[str, Any]
) -> str:
    parameters = list(signature.parameters.values())
    unknown = [given for given in keywords if given not in signature.parameters]
    if unknown:
        return f"{name} has no argument {unknown[0]!r}; {_clause(name, unknown[0])}."
    skipped = int(bool(parameters) and parameters[0].name in OWN)
    by_place = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    if len(args) > len(by_place):
        places = " and ".join(by_place[skipped:]) or "nothing"
        adapter = (
            "; geotranslate.arcgis takes the places of arcgis.learn" if name in POSITIONS else ""
        )
        return (
            f"{name} takes {places} by position, but {len(args) - skipped} values were given; give "
            f"the others by name{adapter}."
        )
    twice = [given for given in by_place[: len(args)] if given in keywords]
    if twice:
        return f"{name} was given {twice[0]} by position and by name; give it once."
    given = {*by_place[: len(args)], *keywords}
    missing = [
        each.name for each in parameters if each.default is each.empty and each.name not in given
    ]
    return f"{name} was called without {' and '.join(missing)}; give {' and '.join(missing)}."


def _clause(function: str, argument: str) -> str:
    """Return what to give in place of an argument that a function does not have."""
    for library, table in LIBRARIES.items():
        for row in table.get(function, ()):
            if row.theirs == argument:
                return f"it is of {library}: {row.clause}"
    others = [name for name, known in _CHECKED.items() if argument in known]
    if others:
        return f"give it to {' or '.join(others[:3])}"
    for library, table in LIBRARIES.items():
        for place, row in _rows(table):
            if row.theirs == argument:
                where = f" to {place}" if row.ours and not row.advice else ""
                return f"it is of {library}: {row.clause.removesuffix(' instead')}{where}"
    near = difflib.get_close_matches(argument, _CHECKED[function], 1)
    if near:
        return f"perhaps {near[0]} is meant"
    return f"it has {', '.join(_CHECKED[function])}" if _CHECKED[function] else "leave it out"


def _rows(table: Mapping[str, tuple[Keyword, ...]]) -> list[tuple[str, Keyword]]:
    return [(place, row) for place, rows in table.items() for row in rows]
