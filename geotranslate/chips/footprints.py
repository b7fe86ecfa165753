"""Read and write `chips.gpkg`: where the pairs of an export lie, and what they are for."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd

from geotranslate.chips.ground import Ground, footprints
from geotranslate.chips.split import TRAIN, VALIDATION, split_pairs
from geotranslate.errors import InvalidInputError, RasterFileError, said
from geotranslate.raster.grid import Grid

FOOTPRINTS_FILE = "chips.gpkg"
NAME, LABEL = "name", "split"
DIGITS = 9
"""Of the numbers that an export names its pairs by."""
VALIDATION_SHARE, SEED = 0.1, 42
"""Defaults of `prepare_data`, with which the footprints are labelled."""


def read_labels(folder: Path) -> dict[str, str | None]:
    """Return what the column `split` of a folder's footprints says, by the pairs' names.

    Raises:
        RasterFileError: The file cannot be read.
        InvalidInputError: It has no such column.
    """
    rows = read_rows(folder)
    if any(LABEL not in row for row in rows.values()):
        raise InvalidInputError(
            f"{folder / FOOTPRINTS_FILE} has no column {LABEL!r} that says {TRAIN!r} or "
            f"{VALIDATION!r}; add it, or choose split='random' or 'block'."
        )
    return {name: row[LABEL] for name, row in rows.items()}


def read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what an earlier export's footprints say of its pairs, by name.

    Raises:
        RasterFileError: The file cannot be read.
        InvalidInputError: It does not name the pairs.
    """
    path = folder / FOOTPRINTS_FILE
    if not path.is_file():
        return {}
    try:
        frame = gpd.read_file(path)
    except Exception as error:  # pyogrio raises errors of many kinds
        raise RasterFileError(
            f"{path} cannot be read: {said(error)}. Restore it, or delete it: then no pair has a "
            "label."
        ) from error
    if NAME not in frame:
        raise InvalidInputError(
            f"{path} has no column {NAME!r}, so it cannot be seen which pair a row is about; "
            "restore it, or delete the file."
        )
    rows = frame.drop(columns="geometry", errors="ignore").to_dict("records")
    for row in rows:
        row[NAME] = _stem(row[NAME])
    return {row[NAME]: row for row in rows}


def _stem(name: object) -> str:
    """Return the name of a pair; programs that take it for a number drop its zeros."""
    if isinstance(name, numbers.Real) and float(name).is_integer():
        return f"{int(float(name)):0{DIGITS}d}"
    return str(name)


def write_footprints(
    folder: Path, rows: Sequence[dict[str, Any]], grids: Sequence[Grid], chip_size: int
) -> None:
    """Write the outlines of pairs, with a label for those whose rows have none.

    Args:
        folder: Where to.
        rows: What is known of each pair; the label under `split` where it was chosen before.
        grids: Where each lies.
        chip_size: Side of the chips, px.
    """
    outlines = footprints(grids)
    frame = gpd.GeoDataFrame(list(rows), geometry=list(outlines), crs=outlines.crs)
    frame[LABEL] = _labels(rows, list(outlines), chip_size)
    with warnings.catch_warnings():
        # Chips without a CRS are said elsewhere.
        warnings.filterwarnings("ignore", "'crs' was not provided")
        frame.to_file(folder / FOOTPRINTS_FILE, driver="GPKG")


def _labels(rows: Sequence[dict[str, Any]], outlines: list[Any], chip_size: int) -> list[Any]:
    """Return the labels that rows have; for the others those that `prepare_data` would choose.

    A new pair that shares ground with an earlier one of another label gets none.
    """
    labels = [row.get(LABEL) for row in rows]
    new = [i for i, row in enumerate(rows) if LABEL not in row]
    chosen = _chosen([outlines[i] for i in new], chip_size, alone=len(new) == len(rows))
    for i, label in zip(new, chosen, strict=True):
        labels[i] = label
    if 0 < len(new) < len(rows):
        fresh = set(new)
        for one, other in Ground(outlines).overlaps():
            known = labels[other] if one in fresh and other not in fresh else None
            if isinstance(known, str) and known != labels[one]:
                labels[one] = None
    return labels


def _chosen(outlines: list[Any], chip_size: int, *, alone: bool) -> list[str | None]:
    """Return labels for pairs; where too few can be kept apart all train beside earlier ones."""
    rest = None if alone else TRAIN
    try:
        if len(outlines) < 2:
            return [rest] * len(outlines)
        split = split_pairs(len(outlines), VALIDATION_SHARE, SEED, outlines, chip_size)
    except InvalidInputError:
        # Whoever trains on them is told.
        return [rest] * len(outlines)
    labels: dict[int, str] = dict.fromkeys(split.train, TRAIN)
    labels |= dict.fromkeys(split.validation, VALIDATION)
    return [labels.get(i) for i in range(len(outlines))]
