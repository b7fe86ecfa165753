"""Tables as text for `print` and HTML for notebooks."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Row = Sequence[str]


@dataclass(frozen=True)
class Summary:
    """Lines of a name and a value, printed as text and shown as a table in notebooks."""

    lines: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.lines)

    def _repr_html_(self) -> str:
        return as_html(self.lines)


def as_text(rows: Sequence[Row]) -> str:
    """Return rows of cells as lines; the first column is aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def as_html(rows: Iterable[Row], align: str = "left") -> str:
    """Return rows of cells as an HTML table whose first column holds names.

    Args:
        rows: Cells, not escaped.
        align: Alignment of all but the first column, "left" or "right".
    """
    lines = (
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        + "".join(f"<td style='text-align:{align}'>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    return f"<table>{''.join(lines)}</table>"


def as_picture(png: bytes, text: str) -> str:
    """Return a picture as HTML that contains it, for notebooks.

    Args:
        png: The picture.
        text: Text in its place for those who cannot see it, not escaped.
    """
    data = base64.b64encode(png).decode()
    return (
        f"<img alt='{html.escape(text, quote=True)}' style='max-width:100%' "
        f"src='data:image/png;base64,{data}'>"
    )
