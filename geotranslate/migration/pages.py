"""The tables of the pages "Coming from ..." of the documentation."""

from __future__ import annotations

from collections.abc import Iterable

from geotranslate.migration.arcgis_learn import ARCGIS, ATTRIBUTES, FUNCTIONS
from geotranslate.migration.keyword import Keyword
from geotranslate.migration.reference_code import REFERENCE

BEGIN, END = "<!-- begin of the tables -->", "<!-- end of the tables -->"
"""Lines of a page between which its tables stand."""


def arcgis_tables() -> str:
    """Return the tables of arcgis.learn in Markdown."""
    parts = [_section(place, rows, "arcgis.learn") for place, rows in ARCGIS.items()]
    parts.append(_pairs("Attributes and results", "arcgis.learn", _code(ATTRIBUTES.items())))
    others = [
        (f"`{name}`", f"{advice[0].upper()}{advice[1:]}.") for name, advice in FUNCTIONS.items()
    ]
    parts.append(_pairs("Other functions", "arcgis.learn", others))
    return "\n\n".join(parts)


def reference_tables() -> str:
    """Return the tables of pytorch-CycleGAN-and-pix2pix in Markdown."""
    return "\n\n".join(_section(place, rows, "option", "--") for place, rows in REFERENCE.items())


def with_tables(page: str, tables: str) -> str:
    """Return the text of a page with other tables.

    Raises:
        ValueError: The page has no place for tables.
    """
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def _section(place: str, rows: Iterable[Keyword], title: str, prefix: str = "") -> str:
    """Return the table of a function."""
    lines = [
        (f"`{prefix}{row.theirs}`", f"`{row.ours}`" if row.ours else "", _remark(row))
        for row in rows
    ]
    return "\n".join(
        [f"## `{place}`", "", f"| {title} | here | remark |", "|---|---|---|"]
        + [f"| {' | '.join(line)} |" for line in lines]
    )


def _remark(row: Keyword) -> str:
    if not row.advice:
        return ""
    return f"{row.advice[0].upper()}{row.advice[1:]}."


def _pairs(title: str, theirs: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {left} | {right} |" for left, right in rows]
    return "\n".join([f"## {title}", "", f"| {theirs} | here |", "|---|---|", *lines])


def _code(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(f"`{left}`", f"`{right}`") for left, right in rows]
