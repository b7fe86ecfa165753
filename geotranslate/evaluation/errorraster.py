"""The raster of the errors of a prediction."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rasterio.windows import Window

from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.evaluation.similarity import Array, Mask
from geotranslate.evaluation.windows import AlignedReader
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import files_of
from geotranslate.raster.writing import OutputProfile, PartFile, assemble, check_output

ErrorKind = Literal["signed", "absolute"]
WORDS = {
    "signed": "prediction minus reference",
    "absolute": "absolute difference of prediction and reference",
    "classes": "1 where prediction and reference differ in their class, else 0",
}
TAG = "GEOTRANSLATE_ERROR"
"""Tag with the meaning of the values."""
INVALID = 255
"""Nodata value of errors of classes."""


@dataclass(frozen=True)
class ErrorRaster:
    """Writer of an error raster.

    Args:
        part: The file that is written.
        kind: "signed", "absolute" or "classes".
    """

    part: PartFile
    kind: str

    def write(self, window: Window, error: Array, valid: Mask) -> None:
        """Write the errors `(bands, rows, cols)` of a window, 0 or 1 for classes."""
        values = np.abs(error) if self.kind == "absolute" else error
        row, col = int(window.row_off), int(window.col_off)
        self.part.write(row, col, values.astype(np.float32), valid)


def check_error(path: Path, *, overwrite: bool, readers: Sequence[AlignedReader]) -> None:
    """Check that an error raster can be written.

    Raises:
        GeotranslateError: It cannot be written, or is one of the rasters that are read.
    """
    checked = check_output(path, overwrite=overwrite)
    for reader in readers:
        files = files_of(reader.original.dataset)
        if checked.exists() and any(checked.samefile(file) for file in files):
            raise InvalidInputError(
                f"error is {path}, which is read in this evaluation; give another name."
            )


@contextmanager
def error_raster(
    path: Path, grid: Grid, kind: str, band_names: tuple[str, ...]
) -> Iterator[ErrorRaster]:
    """Yield the writer of an error raster, a COG that is complete when the block ends.

    Args:
        path: File to write.
        grid: Grid of the prediction.
        kind: "signed" or "absolute" for float32 in units of the raster, "classes" for uint8.
        band_names: Names of its bands.

    Raises:
        RasterFileError: It cannot be written.
    """
    classes = kind == "classes"
    profile = OutputProfile(
        grid,
        len(band_names),
        "uint8" if classes else "float32",
        nodata=INVALID if classes else None,
        masked=True,
        categorical=classes,
        band_names=band_names,
        tags={TAG: WORDS[kind]},
    )
    path = check_output(path, overwrite=True)  # the file that a link leads to
    try:
        folder = tempfile.TemporaryDirectory(prefix=".error.", dir=path.parent)
    except OSError as failure:
        raise RasterFileError(
            f"The error raster {path} cannot be written: {failure.strerror}; give another name."
        ) from failure
    with folder as name:
        part, rows = Path(name) / "error.tif", range(grid.height)
        with PartFile(part, profile, rows) as file:
            yield ErrorRaster(file, kind)
        assemble(path, profile, [(part, rows)])
