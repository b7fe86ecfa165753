"""Colors of the values of rasters: stretched bands, color maps, and classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from geotranslate.chips.bands import Classes, Side
from geotranslate.data.plotting import class_color

Pixels: TypeAlias = "NDArray[np.uint8]"
"""Colors or scaled values, `(rows, cols, channels)`."""
Color: TypeAlias = tuple[int, int, int]

STRETCH = (2, 98)
"""Percentiles of a band that are drawn darkest and lightest."""
ERROR_PERCENTILE = 98
"""Percentile of the absolute error that has the last color."""
MOST_SWATCHES = 24
"""Largest number of classes in a legend."""
MOST_CLASSES = 255
"""Largest number of classes that have colors of their own."""
GRADIENT = 9
"""Colors of a legend that shows a color map."""


@dataclass(frozen=True)
class Legend:
    """Meaning of the colors of a picture."""

    words: str = ""
    """A sentence without its period."""
    colors: tuple[str, ...] = ()
    """Colors of a color map from the lowest to the highest value, as CSS writes them."""
    low: str = ""
    """Value of the first color."""
    high: str = ""
    """Value of the last color."""
    classes: tuple[tuple[str, str], ...] = ()
    """Names and colors of classes."""


@dataclass(frozen=True)
class Coloring:
    """Mapping of values to colors.

    Values are first scaled to 0..255, which can be averaged, and then colored.
    """

    bands: tuple[int, ...]
    """Bands that are drawn, from 0: three as colors, or one."""
    low: tuple[float, ...]
    """Value of each of these bands that is drawn darkest."""
    high: tuple[float, ...]
    table: Pixels | None
    """Colors of the scaled values of one band, `(256, 3)`; None for three bands."""
    legend: Legend
    numbers: tuple[int, ...] | None = None
    """Numbers of classes, whose places are the scaled values; None for quantities."""

    @property
    def channels(self) -> int:
        """Number of bands that are drawn."""
        return len(self.bands)

    def scaled(self, data: NDArray[Any], valid: NDArray[np.bool_]) -> Pixels:
        """Return the drawn bands of `(bands, rows, cols)` as 0..255, with 255 where valid."""
        found = np.empty((*valid.shape, self.channels + 1), np.uint8)
        found[..., -1] = np.where(valid, 255, 0)
        if self.numbers is not None:
            found[..., 0] = self._places(data[self.bands[0]])
            return found
        for place, (band, low, high) in enumerate(
            zip(self.bands, self.low, self.high, strict=True)
        ):
            share = (np.where(valid, data[band], low).astype(np.float64) - low) / (high - low)
            found[..., place] = np.rint(share.clip(0, 1) * 255)
        return found

    def colored(self, scaled: Pixels) -> Pixels:
        """Return scaled values as colors with opacity, `(rows, cols, 4)`."""
        if self.table is None:
            return scaled
        return np.concatenate([self.table[scaled[..., 0]], scaled[..., 1:]], axis=-1)

    def _places(self, values: NDArray[Any]) -> NDArray[np.intp]:
        """Return the places of classes in the table; its last color stands for other values."""
        known = np.array(self.numbers, np.float64)
        place = np.searchsorted(known, values).clip(max=len(known) - 1)
        return np.where(known[place] == values, place, MOST_CLASSES)


def number_text(value: float) -> str:
    """Return a number with four significant digits; whole and large numbers without a fraction."""
    if math.isfinite(value) and abs(value) < 2**53 and (value == int(value) or abs(value) >= 1000):
        return f"{round(value):,}"
    return f"{value:.4g}"


def color_of_side(
    side: Side, samples: Sequence[NDArray[Any]], chosen: tuple[int, ...] | None = None
) -> Coloring:
    """Return the coloring of the bands of one side of a translation.

    Three bands are drawn in color; one band in gray if it is uint8, else in false colors. Pictures,
    which are three bands of uint8, are drawn as they are; other bands are stretched between
    percentiles of the samples.

    Args:
        side: The side.
        samples: Valid values `(bands, pixels)` of rasters that get the same colors.
        chosen: Three bands to draw as colors or one to draw in gray, from 0; by default the first
            three, or the first of fewer.
    """
    if side.classes is not None:
        return _of_classes(side.classes)
    fits = chosen is not None and max(chosen) < side.bands
    bands = chosen if chosen is not None and fits else (0, 1, 2) if side.bands >= 3 else (0,)
    picture = side.dtype == "uint8"
    low, high = _limits(samples, bands, stretched=not (picture and side.is_picture))
    if len(bands) == 3:
        named = ", ".join(_band(side, band) for band in bands)
        spans = "; ".join(
            f"{number_text(a)} to {number_text(b)}" for a, b in zip(low, high, strict=True)
        )
        stretch = "" if side.is_picture else f", stretched from {spans}"
        words = "" if side.is_picture and side.bands == 3 else f"Bands {named} as colors{stretch}"
        return Coloring(bands, low, high, None, Legend(words))
    table = _table("gray" if fits or picture else "viridis")
    words = f"{_band(side, bands[0])}{f' of {side.bands} bands' if side.bands > 1 else ''}"
    return Coloring(bands, low, high, table, _gradient(words, table, low[0], high[0]))


def color_of_errors(sample: NDArray[Any], words: str) -> Coloring:
    """Return the coloring of absolute errors.

    Args:
        sample: Errors `(1, pixels)`.
        words: Words for the legend.
    """
    high = float(np.percentile(sample, ERROR_PERCENTILE)) if sample.size else 0.0
    high = high or float(sample.max(initial=0)) or 1.0
    table = _table("inferno")
    return Coloring((0,), (0.0,), (high,), table, _gradient(words, table, 0, high, more=True))


def color_of_mistakes() -> Coloring:
    """Return the coloring of pixels that are 1 where the class is wrong, else 0."""
    table = np.zeros((256, 3), np.uint8)
    colors: dict[str, Color] = {"right": (222, 226, 230), "wrong": (190, 30, 45)}
    for place, color in enumerate(colors.values()):
        table[place] = color
    legend = Legend(classes=tuple((name, _hex(color)) for name, color in colors.items()))
    return Coloring((0,), (0.0,), (1.0,), table, legend, numbers=(0, 1))


def _of_classes(classes: Classes) -> Coloring:
    values = classes.values or sorted(row[0] for row in classes.colors or ())
    numbers = tuple(values)[:MOST_CLASSES] or tuple(range(MOST_CLASSES))
    table = np.zeros((256, 3), np.uint8)
    colors: list[Color] = []
    for number in numbers:
        red, green, blue = (round(255 * part) for part in class_color(classes, number)[:3])
        colors.append((red, green, blue))
    table[: len(colors)] = colors
    named = [(str(number), _hex(color)) for number, color in zip(numbers, colors, strict=True)]
    swatches = tuple(named) if classes.values or classes.colors else ()
    legend = Legend("Classes by number", classes=swatches[:MOST_SWATCHES])
    return Coloring((0,), (0.0,), (1.0,), table, legend, numbers)


def color_of_numbers(
    values: NDArray[Any], palette: Mapping[int, Sequence[float]] = MappingProxyType({})
) -> Coloring:
    """Return the coloring of class numbers.

    Args:
        values: A sample of them.
        palette: Colors of the classes.
    """
    numbers = tuple(sorted({int(value) for value in np.unique(values)} | {*palette}))[:MOST_CLASSES]
    known = tuple(
        (number, *(int(min(max(part, 0), 255)) for part in palette[number][:3]), 255)
        for number in numbers
        if number in palette and len(palette[number]) >= 3
    )
    return _of_classes(Classes(numbers, known or None))


def _limits(
    samples: Sequence[NDArray[Any]], bands: tuple[int, ...], *, stretched: bool
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not stretched:
        return (0.0,) * len(bands), (255.0,) * len(bands)
    found = []
    for band in bands:
        values = np.concatenate([sample[band] for sample in samples]).astype(np.float64)
        low, high = np.percentile(values, STRETCH) if values.size else (0.0, 1.0)
        if low == high and values.size:
            low, high = values.min(), values.max()
        found.append((float(low), float(high if high > low else low + 1)))
    lows, highs = zip(*found, strict=True)
    return lows, highs


def _gradient(words: str, table: Pixels, low: float, high: float, *, more: bool = False) -> Legend:
    places = np.linspace(0, 255, GRADIENT).round().astype(int)
    colors = tuple(_hex(tuple(table[place].tolist())) for place in places)
    return Legend(
        words, colors, number_text(low), f"{number_text(high)}{' or more' if more else ''}"
    )


def _table(name: str) -> Pixels:
    found: Pixels = np.rint(colormaps[name](np.arange(256) / 255)[:, :3] * 255).astype(np.uint8)
    return found


def _hex(color: tuple[int, ...]) -> str:
    return "#" + "".join(f"{part:02x}" for part in color[:3])


def _band(side: Side, band: int) -> str:
    return side.band_names[band] or f"band {band + 1}"
