"""Classes: values of a side that are no quantities, by option, color table or guess."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import color_table
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.reader import RasterReader
from geotranslate.schema import Fields, Json, optional, record, several, whole

MOST_CLASSES = 64
"""Different values up to which a band can be guessed to hold classes."""
SURE_CLASSES = 4
"""Different values up to which no quantity is that coarse."""
TAG = "GEOTRANSLATE_CLASSES"
"""Metadata of a chip: "yes" or "no", as whoever exported it said."""
COLORS_TAG = "GEOTRANSLATE_COLOURS"
"""Metadata of a chip: its color table as JSON, where a TIFF of its dtype holds none."""
LOOKS, LOOK = 6, 256
"""Windows in each direction, and their side in px, by which a raster is judged."""

Colors = tuple[tuple[int, ...], ...]
"""Rows of value, red, green, blue and opacity, 0 to 255; black and opaque ones left out, which
GDAL fills tables with."""


@dataclass(frozen=True, slots=True)
class Codes:
    """The different whole numbers of a band, and how they lie beside each other."""

    values: tuple[int, ...] | None
    """Sorted; None for more than `MOST_CLASSES`, several bands or no integers."""
    neighbors: int = 0
    """Pairs of valid pixels side by side."""
    different: int = 0
    """Those of two values."""
    by_one: int = 0
    """Those whose values differ by exactly 1."""

    @classmethod
    def of(cls, data: NDArray[Any], valid: NDArray[np.bool_]) -> Codes:
        """Look at the valid pixels of `(bands, rows, cols)` values."""
        if len(data) != 1 or not np.issubdtype(data.dtype, np.integer):
            return cls(None)
        values = data[0, valid]
        # A few pixels tell most images.
        for step in (max(1, values.size // 1024), 1):
            found = np.unique(values[::step])
            if len(found) > MOST_CLASSES:
                return cls(None)
        both = valid[:, 1:] & valid[:, :-1]
        left, right = data[0, :, :-1][both], data[0, :, 1:][both]
        apart = np.maximum(left, right) - np.minimum(left, right)
        counts = (apart.size, np.count_nonzero(apart), np.count_nonzero(apart == 1))
        return cls(tuple(found.tolist()), *map(int, counts))

    def __add__(self, other: Codes) -> Codes:
        values = None
        if self.values is not None and other.values is not None:
            values = tuple(sorted({*self.values, *other.values}))
        return Codes(
            values if values is None or len(values) <= MOST_CLASSES else None,
            self.neighbors + other.neighbors,
            self.different + other.different,
            self.by_one + other.by_one,
        )

    @property
    def are_classes(self) -> bool:
        """Whether this looks like a class map.

        That is one band of integers with at most `SURE_CLASSES` different values; or with at most
        `MOST_CLASSES`, where at least half of the pixels equal the one beside them, which those
        of images do not, and nine tenths of the steps between others are not by 1, as those of
        heights are.
        """
        if not self.values or len(self.values) <= SURE_CLASSES:
            return bool(self.values)
        return 2 * self.different <= self.neighbors and self.by_one < 0.9 * self.different


def colors_of(table: Mapping[int, tuple[int, ...]]) -> Colors:
    """Return a color table as rows."""
    rows = ((value, *table[value]) for value in table)
    return tuple(row for row in rows if row[1:] != (0, 0, 0, 255))


def _colors_in(text: str | None) -> Colors | None:
    try:
        return None if text is None else tuple(tuple(map(int, row)) for row in json.loads(text))
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """Facts of a file by which its values are classes or quantities."""

    codes: Codes
    colors: Colors | None
    """Its color table."""
    said: bool | None
    """The option `source_classes` or `target_classes` of its export."""

    @classmethod
    def of(cls, source: RasterReader, codes: Codes) -> ClassFacts:
        """Read the header of a file whose values are known."""
        table, tags = color_table(source.dataset), source.dataset.tags()
        colors = _colors_in(tags.get(COLORS_TAG)) if table is None else colors_of(table)
        said = {"yes": True, "no": False}.get(tags.get(TAG, ""))
        return cls(codes, colors, said)

    def to_json(self) -> Json:
        """Return plain values for a JSON file."""
        codes = self.codes
        return {
            "values": codes.values,
            "neighbours": [codes.neighbors, codes.different, codes.by_one],
            "colours": self.colors,
            "said": self.said,
        }

    @classmethod
    def from_json(cls, facts: Json) -> ClassFacts:
        """Rebuild facts from `to_json`."""
        values, colors = facts["values"], facts["colours"]
        codes = Codes(None if values is None else tuple(values), *facts["neighbours"])
        return cls(codes, None if colors is None else tuple(map(tuple, colors)), facts["said"])


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a side."""

    values: tuple[int, ...]
    """Their numbers, sorted; none where there are more than `MOST_CLASSES`."""
    colors: Colors | None
    """Their color table."""

    @property
    def count(self) -> str:
        """Their number, as sentences say it."""
        if not self.values:
            return "classes"
        return f"{len(self.values)} class{'es' if len(self.values) != 1 else ''}"

    def to_json(self) -> Json:
        """Return plain values for a JSON file."""
        return {"values": self.values, "colours": self.colors}

    @classmethod
    def from_json(cls, values: Json, name: str = "classes") -> Classes:
        """Rebuild classes from `to_json`.

        Args:
            values: The plain values.
            name: What sentences call them.

        Raises:
            InvalidInputError: A class is no whole number, they are not sorted, or a color is not
                four numbers from 0 to 255.
        """
        fields = record(CLASSES)(name, values)
        classes = cls(fields["values"], fields["colours"])
        if any(one >= next_one for one, next_one in pairwise(classes.values)):
            raise InvalidInputError(f"{name}.values is not sorted.")
        return classes


def _color_row(name: str, value: Any) -> tuple[int, ...]:
    row = several(NUMBER, 5, 5)(name, value)
    return row[0], *several(whole(0, 255))(name, row[1:])


NUMBER = whole(-(2**63), 2**64 - 1)
CLASSES: Fields = {
    "values": several(NUMBER, most=MOST_CLASSES),
    "colours": optional(several(_color_row)),
}
"""Fields of classes in JSON, which keep the spelling of earlier versions."""


def classes_of(
    side: str, wanted: bool | None, facts: Sequence[ClassFacts], bands: int
) -> Classes | None:
    """Return the classes of a side, or None if its values are quantities.

    What the caller wants stands; else what all files say; else they are classes if there is a
    color table or `Codes.are_classes` of all files together. Where tables differ in a color,
    that of the first file stands.

    Args:
        side: "source" or "target".
        wanted: True or False; None to find out.
        facts: Those of the side's files.
        bands: Bands of the side that are used.

    Raises:
        InvalidInputError: Classes are wanted of several bands, or `wanted` is something else.
    """
    if not (wanted is None or isinstance(wanted, bool | np.bool_)):
        raise InvalidInputError(
            f"{side}_classes is {shown(wanted)}; give True for classes, False for quantities, or "
            "None to find out."
        )
    if wanted and bands != 1:
        raise InvalidInputError(
            f"{side}_classes is True but the {side} has {bands} bands; give one band of class "
            f"numbers, or leave {side}_classes out."
        )
    tables = [fact.colors for fact in facts if fact.colors is not None]
    codes = _total(fact.codes for fact in facts)
    said = {fact.said for fact in facts}
    if wanted is None and len(said) == 1:
        wanted = said.pop()
    if wanted is None:
        wanted = bool(tables) or codes.are_classes
    if not wanted:
        return None
    joined = {row[0]: row for table in reversed(tables) for row in table}
    return Classes(codes.values or (), tuple(joined.values()) if tables else None)


def resampling_for(
    side: str,
    wanted: bool | None,
    rasters: Sequence[RasterLike],
    bands: Sequence[int | str] | None = None,
) -> Resampling:
    """Choose how rasters of a side are laid onto another grid: classes by nearest, else bilinear.

    Values are looked at only where no header tells, in 36 windows spread over each raster.

    Args:
        side: "source" or "target".
        wanted: Whether they are classes; None to find out.
        rasters: All of the side.
        bands: Bands that are used.

    Raises:
        RasterFileError: One cannot be read.
        InvalidInputError: As `classes_of`.
    """
    facts, count = [], 1
    for raster in rasters:
        with RasterReader(raster, bands) as source:
            count = max(count, source.bands)
            known = ClassFacts.of(source, Codes(None))
            if wanted is None and known.said is None and known.colors is None:
                known = ClassFacts.of(source, _seen(source))
            facts.append(known)
    classes = classes_of(side, wanted, facts, count)
    return Resampling.bilinear if classes is None else Resampling.nearest


def _seen(source: RasterReader) -> Codes:
    """Look into windows spread over a raster, at its own pixels and not at overviews."""
    if source.bands != 1 or not np.issubdtype(source.dtype, np.integer):
        return Codes(None)
    windows = [
        Window(left, top, width, height)
        for top, height in _spread(source.grid.height)
        for left, width in _spread(source.grid.width)
    ]
    return _total(Codes.of(*source.read(window, dtype=None)) for window in windows)


def _spread(size: int) -> list[tuple[int, int]]:
    """Return first pixel and length of windows spread over an axis, or of all of it."""
    if size <= LOOKS * LOOK:
        return [(0, size)]
    return [(round(i * (size - LOOK) / (LOOKS - 1)), LOOK) for i in range(LOOKS)]


def _total(codes: Iterable[Codes]) -> Codes:
    return reduce(Codes.__add__, codes, Codes(()))
