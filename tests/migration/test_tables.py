"""The tables name arguments that exist, and the pages hold the tables."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import geotranslate
from geotranslate.data.loaders import PairLoaders
from geotranslate.errors import GeotranslateWarning, InvalidInputError, UnknownArgumentError
from geotranslate.migration import ARCGIS, POSITIONS, REFERENCE, Keyword, bound, translated
from geotranslate.migration.pages import arcgis_tables, reference_tables, with_tables
from geotranslate.translators import Translator

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("table", [ARCGIS, REFERENCE])
def test_arguments_of_the_tables_exist(table: Any) -> None:
    for place, rows in table.items():
        function = next(
            getattr(owner, place)
            for owner in (Translator, PairLoaders, geotranslate)
            if hasattr(owner, place)
        )
        known = inspect.signature(function).parameters
        for row in rows:
            assert not row.ours or row.ours in known, (place, row.theirs, row.ours)
            assert row.theirs == row.ours or row.theirs not in known or place in ("save", "load")
            assert not row.clause.endswith(".") and row.clause[0].islower()


def test_every_place_is_that_of_a_row() -> None:
    for place, names in POSITIONS.items():
        rows = {row.theirs for row in ARCGIS.get(place, ())}
        assert place == "load" or set(names) <= rows, place


@pytest.mark.parametrize(
    ("page", "tables"),
    [("from_arcgis_learn.md", arcgis_tables), ("from_pytorch_cyclegan.md", reference_tables)],
)
def test_pages_hold_the_tables(page: str, tables: Any) -> None:
    text = (DOCS / page).read_text("utf-8")
    assert text == with_tables(text, tables()), "run: python docs/tables.py"


def test_pages_without_a_place_are_refused() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        with_tables("nothing", "tables")


def test_values_are_bound_by_place_and_by_name() -> None:
    assert bound("f", ("a", "b"), [1], {"c": 3}) == {"a": 1, "c": 3}
    with pytest.raises(UnknownArgumentError, match="f takes a, b by position, but 3 values"):
        bound("f", ("a", "b"), [1, 2, 3], {})
    with pytest.raises(UnknownArgumentError, match="f was given a by position and by name"):
        bound("f", ("a", "b"), [1], {"a": 1})


def test_rows_rename_convert_warn_and_refuse() -> None:
    rows = [
        Keyword("x", "y", convert=lambda value: value + 1),
        Keyword("quiet", advice="do this", otherwise="nothing"),
        Keyword("loud", advice="do this", harmless=(False,)),
        Keyword("never", advice="do that", otherwise="error"),
    ]
    assert translated(rows, {"x": 1, "z": 5, "quiet": object(), "loud": False}) == {"y": 2, "z": 5}
    with pytest.warns(
        GeotranslateWarning, match="loud is True, which has no meaning here; do this"
    ):
        assert translated(rows, {"loud": True}) == {}
    with pytest.raises(InvalidInputError, match=r"never is 3, .* do that"):
        translated(rows, {"never": 3})
    with pytest.raises(UnknownArgumentError, match="both set y"):
        translated(rows, {"x": 1, "y": 2})
    with pytest.raises(ValueError, match="neither"):
        Keyword("x")
