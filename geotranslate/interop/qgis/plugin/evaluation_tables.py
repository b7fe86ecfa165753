"""Tables of an evaluation, made from the JSON that the command prints."""

from __future__ import annotations

import csv
import html
import io
from typing import Any

NAMES = {"zones": "zone", "per_class": "class", "per_band": "band"}
HEAD = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Evaluation</title><style>'
    "body{font-family:sans-serif}table{border-collapse:collapse;margin:0 0 1.5em}"
    "th,td{padding:.2em .8em;border-bottom:1px solid #ccc;text-align:right}"
    "th:first-child,td:first-child{text-align:left}</style></head><body>"
)


def overall(found: dict[str, Any]) -> list[list[Any]]:
    """Return rows of the measures of all bands, with the bounds of their intervals."""
    intervals = found.get("intervals", {})
    rows: list[list[Any]] = [["measure", "value", "low", "high"]]
    for name, value in found.items():
        if name != "block_size" and (value is None or isinstance(value, (int, float))):
            rows.append([name, value, *intervals.get(name, (None, None))])
    return rows


def parts(found: dict[str, Any], name: str) -> list[list[Any]]:
    """Return rows of the measures of each band, class or zone; none if there are none."""
    entries = found.get(name) or {}
    if isinstance(entries, dict):
        entries = [{NAMES[name]: label, **row} for label, row in entries.items()]
    if not entries:
        return []
    columns = list(entries[0])
    return [columns, *([row.get(column) for column in columns] for row in entries)]


def as_csv(found: dict[str, Any]) -> str:
    """Return the measures of all bands as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(overall(found))
    return text.getvalue()


def as_html(found: dict[str, Any]) -> str:
    """Return a page with all tables."""
    tables = [overall(found), *(parts(found, name) for name in NAMES)]
    return HEAD + "".join(_table(rows) for rows in tables if rows) + "</body></html>\n"


def _table(rows: list[list[Any]]) -> str:
    head, *others = rows
    lines = [_row("th", head), *(_row("td", row) for row in others)]
    return f"<table>{''.join(lines)}</table>"


def _row(kind: str, row: list[Any]) -> str:
    cells = (f"<{kind}>{html.escape(_shown(value))}</{kind}>" for value in row)
    return f"<tr>{''.join(cells)}</tr>"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
