"""Do chips fit each other? The two of a pair, and all of a side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from geotranslate.chips.chip import Chip
from geotranslate.errors import GridMismatchError, InvalidInputError


def check_pair(name: str, source: Chip, target: Chip) -> None:
    """Refuse a pair whose chips differ in size or ground.

    Raises:
        InvalidInputError: They differ in size.
        GridMismatchError: They lie on different ground.
    """
    if source.size != target.size:
        raise InvalidInputError(
            f"The chips of pair {name} differ in size: {source.path} is {source.size} px, "
            f"{target.path} is {target.size} px. Both sides of a pair need the same pixels."
        )
    georeferenced = source.grid.crs is not None and target.grid.crs is not None
    if georeferenced and source.path == target.path and source.grid != target.grid:
        raise GridMismatchError(
            f"{source.path} is twice as wide as high, so it was taken for a source and its target "
            "side by side, but it is georeferenced, and its halves lie on different ground. Give "
            "pictures without georeference, or a folder with images/ and images2/, or cut chips "
            "from two rasters with export_chips."
        )
    # Half a pixel: chips that were cut by another program may differ by its rounding.
    if georeferenced and not source.grid.matches(target.grid, tolerance=0.5):
        raise GridMismatchError(
            f"The chips of pair {name} lie on different ground: {source.path} and "
            f"{target.path} differ in CRS or transform. Export the pair again with export_chips, "
            "which aligns the target."
        )


def check_alike(chips: Sequence[Chip]) -> None:
    """Refuse chips of one side that differ from most in bands, their names or dtype.

    Raises:
        InvalidInputError: One does; the sentence names it.
    """
    _refuse_odd(chips, "bands", lambda chip: chip.bands)
    _refuse_odd(chips, "dtype", lambda chip: chip.dtype)
    named = [chip for chip in chips if all(chip.band_names)]
    _refuse_odd(named, "band names", lambda chip: chip.band_names)


def _refuse_odd(chips: Sequence[Chip], what: str, value: Callable[[Chip], Any]) -> None:
    usual = Counter(map(value, chips)).most_common(1)[0][0] if chips else None
    for chip in chips:
        if value(chip) != usual:
            raise InvalidInputError(
                f"{chip.path} has {what} {value(chip)} where most chips of its side have {usual}; "
                "all chips of one side need the same."
            )
