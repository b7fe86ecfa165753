"""Plots of chips and of their split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
from fastai.torch_basics import subplots
from matplotlib import colormaps
from matplotlib.patches import Patch
from numpy.typing import NDArray
from shapely import difference
from torch import Tensor

from geotranslate.checks import listed, shown
from geotranslate.chips.bands import Classes, Side
from geotranslate.chips.layouts.base import TEST, TRAIN, VALIDATION
from geotranslate.chips.split import GroundShares, Split
from geotranslate.errors import InvalidInputError

# Not a string, because dispatch evaluates annotations at run time.
RgbBands: TypeAlias = int | Sequence[int]
Chip: TypeAlias = "Tensor | NDArray[np.float32]"

STRETCH_PERCENTILES = (2, 98)
"""Percentiles of a band that are drawn darkest and lightest."""
CLASS_COLORS = ("tab20", "tab20b", "tab20c")
"""Color maps, of 20 colors each, for classes without a color table."""
BLACK = (0.0, 0.0, 0.0, 1.0)
"""Color of values that are no class or not in the color table, as in GDAL."""
LEFT_OUT = "left out"
SPLIT_COLORS = {
    **{TRAIN: "tab:blue", VALIDATION: "tab:orange"},
    **{TEST: "tab:green", LEFT_OUT: "lightgray"},
}


def draw_table(
    rows: Sequence[Sequence[Chip]],
    titles: Sequence[str],
    side: float = 3,
    *,
    sides: Sequence[Side | None] | None = None,
    rgb_bands: RgbBands | None = None,
    paired: bool = True,
) -> Any:
    """Draw scaled chips as a table with a title over every column; return the matplotlib figure.

    Three bands are drawn in color; one band in gray if it is uint8, else in false colors; classes
    in the colors of their color table, or else in one color per class, and other values in black.
    Sides scaled by the whole range of their dtype, and unknown sides, are drawn without stretching;
    others are stretched between the 2nd and the 98th percentile of each band over all columns of
    the side. NaN pixels are transparent, in the whole row if its chips show the same place.

    Args:
        rows: Rows of chips `(bands, rows, cols)` in -1..1, one chip per title; the chips of a row
            show ground of the same size, though their pixels may differ in size.
        titles: Titles of the columns.
        side: Width of a column, inches.
        sides: Description of the side of each column.
        rgb_bands: Three bands to draw as colors or one to draw in gray, by number from 1, in
            columns that have them. By default the first three, or the first of fewer.
        paired: Whether the chips of a row show the same place.

    Raises:
        InvalidInputError: `rgb_bands` is not one or three numbers, or no column has the bands.
    """
    chips = [_blanked(row, paired) for row in rows]
    columns = list(zip(*chips, strict=True))
    views = _views(columns, [None] * len(titles) if sides is None else sides, rgb_bands)
    height = side * chips[0][0].shape[-2] / chips[0][0].shape[-1]
    figure, axes = subplots(
        len(rows), len(titles), figsize=(side * len(titles), height * len(rows) + 0.4)
    )
    table = np.asarray(axes).reshape(len(rows), len(titles))
    for drawn, row in zip(table, chips, strict=True):
        for axis, view, chip in zip(drawn, views, row, strict=True):
            axis.imshow(view.picture(chip), **view.options)
            axis.set_axis_off()
    for axis, title in zip(table[0], titles, strict=True):
        axis.set_title(title)
    figure.tight_layout()
    return figure


@dataclass(frozen=True)
class _View:
    """Mapping of a column's chips to pictures."""

    bands: tuple[int, ...]
    """Indices of the three bands, or the single band, to draw, from 0."""
    limits: NDArray[np.float64]
    """`(2, bands)`: the scaled values drawn darkest and lightest."""
    colors: str
    """Color map of a single band."""
    side: Side | None = None
    """Description of the side."""

    @property
    def _classes(self) -> Classes | None:
        return None if self.side is None else self.side.classes

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of matplotlib's `imshow`."""
        if self._classes is None:
            return {"cmap": self.colors, "vmin": 0, "vmax": 1}
        # The mean of two colors could be the color of another class.
        return {"interpolation": "nearest"}

    def picture(self, chip: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `(rows, cols)` with NaN, or RGBA values `(rows, cols, 4)`."""
        if self._classes is not None and self.side is not None:
            return _painted(self._classes, np.rint(self.side.scaling.unscale(chip)[0]))
        low, high = self.limits[..., None, None]
        shown = ((chip[list(self.bands)] - low) / (high - low)).clip(0, 1).astype(np.float32)
        if len(shown) == 1:
            return shown[0]
        opaque = np.isfinite(shown).all(axis=0, keepdims=True).astype(np.float32)
        return np.moveaxis(np.concatenate([np.nan_to_num(shown), opaque]), 0, -1)


def _painted(classes: Classes, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the RGBA colors `(rows, cols, 4)` of class numbers; NaN is transparent."""
    found, places = np.unique(np.nan_to_num(numbers), return_inverse=True)
    table = np.array([class_color(classes, int(value)) for value in found], np.float32)
    colors = table[places.reshape(numbers.shape)]
    return np.where(np.isfinite(numbers)[..., None], colors, np.float32(0))


def class_color(classes: Classes, value: int) -> tuple[float, ...]:
    """Return the color of a class, 0 to 1: red, green, blue and opacity."""
    if classes.colors is not None:
        known = {row[0]: row[1:] for row in classes.colors}
        return tuple(part / 255 for part in known[value]) if value in known else BLACK
    # Without a list of values, every number is a class.
    if classes.values and value not in classes.values:
        return BLACK
    place = classes.values.index(value) if classes.values else value
    name = CLASS_COLORS[place // 20 % len(CLASS_COLORS)]
    return tuple(colormaps[name](place % 20))


def _blanked(row: Sequence[Chip], paired: bool) -> list[NDArray[np.float32]]:
    """Return the chips of a row with NaN where a band, or if paired any chip, is not finite."""
    arrays = [
        np.asarray(chip.detach().float().cpu() if isinstance(chip, Tensor) else chip, np.float32)
        for chip in row
    ]
    valid = [np.asarray(np.isfinite(array).all(axis=0)) for array in arrays]
    if paired:
        valid = [
            np.logical_and.reduce([_nearest(other, own.shape) for other in valid]) for own in valid
        ]
    return [
        np.where(own, array, np.float32(np.nan)) for own, array in zip(valid, arrays, strict=True)
    ]


def _nearest(valid: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return validity `(rows, cols)` at another pixel size on the same ground."""
    if valid.shape == shape:
        return valid
    rows, cols = (np.arange(n) * size // n for n, size in zip(shape, valid.shape, strict=True))
    found: NDArray[np.bool_] = valid[rows[:, None], cols]
    return found


def _views(
    columns: Sequence[Sequence[NDArray[np.float32]]],
    sides: Sequence[Side | None],
    rgb_bands: RgbBands | None,
) -> list[_View]:
    wanted = _checked_bands(rgb_bands, max(len(column[0]) for column in columns))
    views = []
    for column, side in zip(columns, sides, strict=True):
        # Columns of one side have the same limits, so that they can be compared.
        alike = [chip for i, other in enumerate(columns) if sides[i] == side for chip in other]
        views.append(_view(column if side is None else alike, side, wanted))
    return views


def _view(
    chips: Sequence[NDArray[np.float32]], side: Side | None, wanted: tuple[int, ...]
) -> _View:
    count = len(chips[0])
    chosen = bool(wanted) and max(wanted) < count
    bands = wanted if chosen else (0, 1, 2) if count >= 3 else (0,)
    if side is None or _is_whole_range(side):
        limits = np.array([[-1.0], [1.0]]).repeat(len(bands), axis=1)
    else:
        flat = np.concatenate([chip[list(bands)].reshape(len(bands), -1) for chip in chips], axis=1)
        limits = np.array([_limits(values) for values in flat]).T
    gray = chosen or side is None or side.dtype == "uint8"
    return _View(bands, limits, "gray" if gray else "viridis", side)


def _checked_bands(bands: RgbBands | None, most: int) -> tuple[int, ...]:
    """Return the indices from 0 of the bands to show; none by default."""
    if bands is None:
        return ()
    given = listed(bands)
    numbers = [int(band) for band in given if _is_whole(band) and 1 <= band <= most]
    if len(numbers) != len(given) or len(numbers) not in (1, 3):
        raise InvalidInputError(
            f"rgb_bands is {shown(bands)}; give three numbers of bands, or one to draw it in gray, "
            f"from 1 to {most}."
        )
    return tuple(number - 1 for number in numbers)


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_whole_range(side: Side) -> bool:
    """Tell whether -1..1 is the whole range of the side's dtype."""
    if not np.issubdtype(side.dtype, np.integer):
        return False
    limits = np.iinfo(side.dtype)
    low, high = set(side.scaling.low), set(side.scaling.high)
    return (low, high) == ({float(limits.min)}, {float(limits.max)})


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return two different values between which most valid values lie."""
    valid = values[np.isfinite(values)]
    if not valid.size:
        return -1.0, 1.0
    low, high = np.percentile(valid, STRETCH_PERCENTILES)
    if low == high:
        # Nearly constant: show the few other pixels, such as roads.
        low, high = valid.min(), valid.max()
    return (float(low), float(high)) if low < high else (float(low) - 1, float(low) + 1)


def draw_split(title: str, outlines: gpd.GeoSeries, split: Split, axes: Any) -> Any:
    """Draw a map of the parts of a split; return the axes."""
    labels = [LEFT_OUT] * len(outlines)
    parts: Sequence[tuple[str, Sequence[int]]] = (
        (TRAIN, split.train),
        (VALIDATION, split.validation),
        (TEST, split.tests),
    )
    for label, positions in parts:
        for position in positions:
            labels[position] = label
    drawn: dict[str, Any] = {"alpha": 0.5, "edgecolor": "black"}
    shares = GroundShares.of(split, outlines)
    if split.masks:
        shown = outlines.to_numpy(copy=True)
        masked = list(split.masks)
        shown[masked] = difference(shown[masked], split.hidden)
        outlines = gpd.GeoSeries(shown, crs=outlines.crs)
    axes = outlines.plot(color=[SPLIT_COLORS[label] for label in labels], ax=axes, **drawn)
    patches = [
        Patch(facecolor=color, label=label, **drawn)
        for label, color in SPLIT_COLORS.items()
        if label in labels
    ]
    axes.legend(handles=patches, title=title or None)
    axes.set_title(f"ground: {shares}")
    return axes
