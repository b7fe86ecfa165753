"""`chips.gpkg`, the file with outlines and labels of the pairs of an export."""

from __future__ import annotations

import io
import numbers
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from geotranslate.chips.layouts.base import TRAIN, VALIDATION, known_label
from geotranslate.chips.split.apart import ValidPixels, hide_validation
from geotranslate.chips.split.methods import Split, split_pairs
from geotranslate.chips.vectors import Ground, footprints
from geotranslate.errors import InvalidInputError, RasterFileError, said
from geotranslate.raster.grid import Grid

Row: TypeAlias = dict[str, Any]
"""Columns of a pair: our own, and any that a user added."""

FOOTPRINTS_FILE = "chips.gpkg"
LAYER = Path(FOOTPRINTS_FILE).stem
NAME, LABEL = "name", "split"
VALID_SHARES = ("valid_source", "valid_target")
DIGITS = 9
"""Number of digits in the names of exported pairs."""
VALIDATION_SHARE, SEED = 0.1, 42
"""Defaults of `prepare_data`, by which the footprints are labeled."""


def read_labels(folder: Path) -> dict[str, str | None]:
    """Return the column `split` of a folder's footprints, by the names of the pairs.

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


def read_rows(folder: Path) -> dict[str, Row]:
    """Return the rows of an earlier export's footprints, by the names of its pairs.

    Raises:
        RasterFileError: The file cannot be read.
        InvalidInputError: It has no names of pairs.
    """
    path = folder / FOOTPRINTS_FILE
    if not path.exists():
        return {}
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        # Programs may add layers of their own, such as the styles of QGIS.
        layers = gpd.list_layers(path)["name"].tolist()
        if not layers:
            raise ValueError("it has no layer")
        layer = LAYER if LAYER in layers else layers[0]
        frame = gpd.read_file(path, layer=layer, ignore_geometry=True)
    except Exception as error:  # pyogrio raises errors of many kinds
        raise _unreadable(path, error) from error
    if NAME not in frame:
        raise InvalidInputError(
            f"{path} has no column {NAME!r}, so it cannot be seen which pair a row is about; "
            "restore it, or delete the file."
        )
    rows = frame.to_dict("records")
    for row in rows:
        row[NAME] = _stem(row[NAME])
    return {row[NAME]: row for row in rows}


def _unreadable(path: Path, error: Exception) -> RasterFileError:
    """Return the error about footprints that cannot be read, without the SQL in GDAL's text."""
    text = said(error)
    if "locked" in text or "readonly" in text:
        return RasterFileError(
            f"{path} cannot be read: another program is writing to it, or was stopped while it "
            "did. Save and close it there, and try again."
        )
    damaged = any(sign in text for sign in ("malformed", "sqlite3_", "not recognized"))
    why = "it is damaged or no GeoPackage" if damaged else text
    return RasterFileError(
        f"{path} cannot be read: {why}. Restore it, or delete it: then no pair has a label."
    )


def refuse_open_footprints(folder: Path) -> None:
    """Refuse to replace footprints that another program has open with changes of its own.

    SQLite would apply the changes beside the file to whatever file has its name.

    Raises:
        RasterFileError: Changes lie beside the file.
    """
    for ending in ("-wal", "-journal"):
        path = folder / f"{FOOTPRINTS_FILE}{ending}"
        if path.is_file() and path.stat().st_size:
            raise RasterFileError(
                f"{folder / FOOTPRINTS_FILE} cannot be replaced: another program has it open, or "
                f"was stopped while it wrote it, and its changes lie in {path.name}. Save and "
                "close it there, and export again."
            )


def _stem(name: object) -> str:
    """Return the name of a pair; restore leading zeros that other programs may drop."""
    if isinstance(name, numbers.Real) and float(name).is_integer():
        return f"{int(float(name)):0{DIGITS}d}"
    return str(name)


def write_footprints(
    folder: Path,
    rows: Sequence[Row],
    grids: Sequence[Grid],
    valid: ValidPixels | None = None,
) -> None:
    """Write the outlines of pairs; pairs without a label get one.

    Args:
        folder: The chip folder.
        rows: The columns of each pair: its label under `split` if it already has one, and the
            shares of valid pixels under `valid_source` and `valid_target`.
        grids: Grid of each pair.
        valid: Function that returns the valid pixels of a pair, called for new pairs on validation
            ground; by default all pixels are valid.
    """
    outlines = footprints(grids)
    frame = gpd.GeoDataFrame(list(rows), geometry=list(outlines), crs=outlines.crs)
    frame[LABEL] = _labels(rows, outlines, grids, valid)
    with warnings.catch_warnings():
        # Another function warns of chips without a CRS.
        warnings.filterwarnings("ignore", "'crs' was not provided")
        # In memory first: GDAL does not report failures as it closes a file.
        content = io.BytesIO()
        frame.to_file(content, driver="GPKG", layer=LAYER)
    (folder / FOOTPRINTS_FILE).write_bytes(content.getbuffer())


def _labels(
    rows: Sequence[Row],
    outlines: gpd.GeoSeries,
    grids: Sequence[Grid],
    valid: ValidPixels | None,
) -> list[Any]:
    """Return the labels of rows; rows without one get the label that `prepare_data` would choose.

    A new pair that shares ground with an earlier training pair is for training too, as validation
    would take that ground. A pair on ground that is used for neither gets no label, and neither
    does a pair almost wholly on validation ground.
    """
    labels = [row.get(LABEL) for row in rows]
    new = [i for i, row in enumerate(rows) if LABEL not in row]
    shares = [min(rows[i].get(key, 1.0) for key in VALID_SHARES) for i in new]
    for i, label in zip(new, _chosen(outlines.iloc[new], shares), strict=True):
        labels[i] = label
    fresh = set(new) if len(new) < len(rows) else set()
    for i, beside in _labels_beside(fresh, labels, outlines).items():
        if beside - {TRAIN, VALIDATION}:
            labels[i] = None
        elif TRAIN in beside:
            labels[i] = TRAIN
    split = Split(
        tuple(i for i in new if labels[i] == TRAIN),
        tuple(i for i, label in enumerate(labels) if known_label(label) == VALIDATION),
    )
    for i in _without_enough(split, outlines, grids, valid):
        labels[i] = None
    return labels


def _labels_beside(
    new: set[int], labels: Sequence[Any], outlines: gpd.GeoSeries
) -> dict[int, set[str]]:
    """Return the labels of earlier pairs that share ground with new ones."""
    found: dict[int, set[str]] = {}
    pairs = Ground(list(outlines)).overlaps().tolist() if new else []
    for one, other in pairs:
        if one in new and other not in new and isinstance(labels[other], str):
            found.setdefault(one, set()).add(known_label(labels[other]) or labels[other])
    return found


def _chosen(outlines: gpd.GeoSeries, valid: Sequence[float]) -> list[str]:
    """Return labels for new pairs; a single pair is for training."""
    if len(outlines) < 2:
        return [TRAIN] * len(outlines)
    split = split_pairs(len(outlines), VALIDATION_SHARE, SEED, list(outlines), valid=valid)
    held = set(split.validation)
    return [VALIDATION if i in held else TRAIN for i in range(len(outlines))]


def _without_enough(
    split: Split, outlines: gpd.GeoSeries, grids: Sequence[Grid], valid: ValidPixels | None
) -> tuple[int, ...]:
    """Return training pairs with too few pixels outside of validation ground."""
    if not split.train:
        return ()

    def all_valid(position: int) -> NDArray[np.bool_]:
        return np.ones((grids[position].height, grids[position].width), bool)

    try:
        return hide_validation(split, outlines, grids, valid or all_valid).left_out
    except InvalidInputError:
        # `prepare_data` warns of them.
        return split.train
