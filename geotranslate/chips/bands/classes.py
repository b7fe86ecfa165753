"""Classes of a side: values that are not quantities, by option, color table or guess."""

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
from geotranslate.chips.bands.histogram import Histogram
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import color_table
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.reader import RasterReader
from geotranslate.schema import Fields, Json, optional, record, several, whole

MOST_CLASSES = 64
"""Largest number of different values for which a band may be guessed to hold classes."""
SURE_CLASSES = 4
"""Number of different values up to which a band holds classes, as no quantity is so coarse."""
TAG = "GEOTRANSLATE_CLASSES"
"""Tag of a chip: "yes" or "no", the class option of its export."""
COLORS_TAG = "GEOTRANSLATE_COLOURS"
"""Tag of a chip: its color table as JSON, for dtypes whose TIFFs cannot hold one."""
LOOKS, LOOK = 6, 256
"""Number of windows in each direction that are read to examine a raster, and their side in px."""

Colors = tuple[tuple[int, ...], ...]
"""Rows of value, red, green, blue and opacity, 0 to 255, without the opaque black rows with which
GDAL fills tables."""

NUMBER = whole(-(2**63), 2**64 - 1)


@dataclass(frozen=True, slots=True)
class Codes:
    """The different whole numbers of a band, and the differences of neighboring pixels."""

    values: tuple[int, ...] | None
    """Sorted values; None for more than `MOST_CLASSES` values, several bands or floats."""
    neighbors: int = 0
    """Number of pairs of valid pixels side by side."""
    different: int = 0
    """Number of these pairs with two different values."""
    by_one: int = 0
    """Number of these pairs whose values differ by exactly 1."""

    @classmethod
    def of(cls, data: NDArray[Any], valid: NDArray[np.bool_]) -> Codes:
        """Count the valid pixels of `(bands, rows, cols)` values."""
        if len(data) != 1 or not np.issubdtype(data.dtype, np.integer):
            return cls(None)
        values = data[0].ravel() if valid.all() else data[0, valid]
        # For most images, a few pixels are enough.
        for step in (max(1, values.size // 1024), 1):
            found = _different(values[::step])
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
        """Whether the values look like classes.

        They do if they are one band of integers with at most `SURE_CLASSES` different values; or
        with at most `MOST_CLASSES` if at least half of the pixels equal the pixel beside them,
        which is rare in images, and at least nine tenths of the other steps are not by 1, as steps
        of heights are.
        """
        if not self.values or len(self.values) <= SURE_CLASSES:
            return bool(self.values)
        return 2 * self.different <= self.neighbors and self.by_one < 0.9 * self.different


def _different(values: NDArray[Any]) -> NDArray[Any]:
    """Return the different values of integers, sorted."""
    counted = Histogram.of(values) if values.size else None
    return np.unique(values) if counted is None else counted.values


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
    """Facts of a file that show whether its values are classes or quantities."""

    codes: Codes
    colors: Colors | None
    """Its color table."""
    said: bool | None
    """The option `source_classes` or `target_classes` of its export."""

    @classmethod
    def of(cls, source: RasterReader, codes: Codes) -> ClassFacts:
        """Combine counted values with the header of their file."""
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
    """Sorted class numbers; empty if there are more than `MOST_CLASSES`."""
    colors: Colors | None
    """Their color table."""

    @property
    def count(self) -> str:
        """Number of classes, in words for messages."""
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
            name: Name of the values in error messages.

        Raises:
            InvalidInputError: A class is not a whole number, the classes are not sorted, or a color
                is not four numbers from 0 to 255.
        """
        fields = record(CLASSES)(name, values)
        classes = cls(fields["values"], fields["colours"])
        if any(one >= next_one for one, next_one in pairwise(classes.values)):
            raise InvalidInputError(f"{name}.values is not sorted.")
        return classes


def _color_row(name: str, value: Any) -> tuple[int, ...]:
    row = several(NUMBER, 5, 5)(name, value)
    return row[0], *several(whole(0, 255))(name, row[1:])


CLASSES: Fields = {
    "values": several(NUMBER, most=MOST_CLASSES),
    "colours": optional(several(_color_row)),
}
"""Fields of classes in JSON, in the spelling of earlier versions."""


def classes_of(
    side: str, wanted: bool | None, facts: Sequence[ClassFacts], bands: int
) -> Classes | None:
    """Return the classes of a side, or None if its values are quantities.

    `wanted` decides if it is given; otherwise the tags of the files, if all agree; otherwise the
    values are classes if there is a color table or if `Codes.are_classes` is true for all files
    together. Where color tables differ, the color of the first file is used.

    Args:
        side: "source" or "target".
        wanted: True or False; None to find out.
        facts: Facts of the side's files.
        bands: Number of bands of the side that are used.

    Raises:
        InvalidInputError: Classes are wanted for several bands, or `wanted` is not True, False or
            None.
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
    """Choose the resampling of a side's rasters: nearest for classes, bilinear otherwise.

    Values are read only if the headers do not tell, in 36 windows spread over each raster.

    Args:
        side: "source" or "target".
        wanted: Whether they are classes; None to find out.
        rasters: All of the side.
        bands: Bands that are used.

    Raises:
        RasterFileError: One cannot be read.
        InvalidInputError: As for `classes_of`.
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
    """Read windows spread over a raster, from its own pixels and not from overviews."""
    if source.bands != 1 or not np.issubdtype(source.dtype, np.integer):
        return Codes(None)
    windows = [
        Window(left, top, width, height)
        for top, height in _spread(source.grid.height)
        for left, width in _spread(source.grid.width)
    ]
    return _total(Codes.of(*source.read(window, dtype=None)) for window in windows)


def _spread(size: int) -> list[tuple[int, int]]:
    """Return first pixel and length of windows spread over an axis, or of the whole axis."""
    if size <= LOOKS * LOOK:
        return [(0, size)]
    return [(round(i * (size - LOOK) / (LOOKS - 1)), LOOK) for i in range(LOOKS)]


def _total(codes: Iterable[Codes]) -> Codes:
    return reduce(Codes.__add__, codes, Codes(()))
