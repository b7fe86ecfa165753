"""Loaders in notebooks."""

from __future__ import annotations

import io
from typing import Any, Protocol

from fastai.data.core import TfmdDL
from matplotlib import pyplot

from geotranslate.chips.bands import DataCard
from geotranslate.data.plotting import draw_table
from geotranslate.errors import GeotranslateError
from geotranslate.tables import Summary, as_picture

PAIRS = 2
"""Pairs in the picture."""
SIDE, DPI = 2.4, 80
"""Side of a chip in the picture, inches, and pixels of an inch."""


class Loaders(Protocol):
    """Loaders with a description of their data."""

    card: DataCard

    @property
    def validates_pairs(self) -> bool:
        """Whether the sides are paired."""

    def summary(self) -> Summary:
        """Return a description of the chips."""

    def part(self, which: Any) -> TfmdDL:
        """Return a loader of some chips."""


def loaders_html(data: Loaders) -> str:
    """Return the summary of loaders as HTML, with a picture of the first training pairs."""
    return f"{_picture(data)}{data.summary()._repr_html_()}"


def _picture(data: Loaders) -> str:
    """Return a picture of pairs; nothing for unpaired chips, which would be drawn at random."""
    if not data.validates_pairs:
        return ""
    try:
        pairs = data.part("train").dataset
        rows = [tuple(pairs[place])[:2] for place in range(min(PAIRS, len(pairs)))]
    except GeotranslateError:  # chips that are gone; the table still tells about them
        return ""
    sides = (data.card.source, data.card.target)
    figure = draw_table(rows, ("source", "target"), SIDE, sides=sides)
    try:
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI)
    finally:
        pyplot.close(figure)
    return as_picture(png.getvalue(), "First training pairs, source and target")
