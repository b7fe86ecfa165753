"""Cut two rasters of one place into a folder of training pairs."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window
from shapely import prepare
from shapely.geometry.base import BaseGeometry
from tqdm.auto import tqdm

from geotranslate.chips.esri import (
    MAP_FILE,
    MODEL_FILE,
    SOURCE_FOLDER,
    STATISTICS_FILE,
    TARGET_FOLDER,
    ExportSide,
    write_metadata,
)
from geotranslate.chips.statistics import Statistics
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError
from geotranslate.raster.grid import Grid, align, is_categorical
from geotranslate.raster.source import RasterLike, Source, reason
from geotranslate.raster.tiles import tile_windows

ENTRIES = (SOURCE_FOLDER, TARGET_FOLDER, MAP_FILE, MODEL_FILE, STATISTICS_FILE)


@dataclass(frozen=True)
class ChipExport(os.PathLike[str]):
    """A written chip folder: use it as a path, or read what became of every tile."""

    folder: Path
    pairs: int
    """Pairs written."""
    outside_aoi: int
    """Tiles not written because they reach out of the area of interest."""
    mostly_invalid: int
    """Tiles not written because a side has too few valid pixels."""
    target_warped: bool
    """Whether the target lay on another grid than the source and was resampled."""

    def __fspath__(self) -> str:
        return str(self.folder)


def export_chips(
    source: RasterLike,
    target: RasterLike,
    folder: str | os.PathLike[str],
    *,
    tile_size: int = 256,
    stride: int | None = None,
    aoi: gpd.GeoDataFrame | gpd.GeoSeries | BaseGeometry | None = None,
    min_valid: float = 0.5,
    resampling: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> ChipExport:
    """Write the tiles that two rasters have in common as pairs that `prepare_data` reads.

    The folder has the layout of ArcGIS Pro's "Export Tiles": `images/` with the source chips,
    `images2/` with the target chips of the same names, and the Esri metadata with the statistics
    of both. The chips are GeoTIFFs on the source's grid, in the dtypes, with the nodata values,
    band names and colour tables of their rasters. The folder appears when it is complete.

    Args:
        source: Raster to translate from: path, URL or open dataset. It gives the grid.
        target: Raster to translate to; warped where its grid differs.
        folder: Folder to write; what is above it has to exist.
        tile_size: Side of the chips, px.
        stride: Step from chip to chip, px; `tile_size` (no overlap) by default. Only whole tiles
            are written, so up to a tile is left over at the right and lower edges.
        aoi: Area of interest: chips wholly inside are written. A bare geometry is in the source's
            CRS.
        min_valid: Least share of valid pixels, 0 to 1, that each side of a pair needs.
        resampling: GDAL's name of the method for the target; nearest where it has a colour table,
            else bilinear.
        overwrite: Whether to replace the chips that are in the folder.
        progress: Whether to show a progress bar.

    Raises:
        RasterFileError: A raster cannot be read or the folder not written.
        OutputExistsError: The folder is not empty and `overwrite` is false.
        GridMismatchError: The rasters do not overlap, or one of them has no CRS.
        InvalidInputError: No tile is left to write, or an argument is impossible.
    """
    path = _check_folder(Path(folder), overwrite=overwrite)
    step = tile_size if stride is None else stride
    if tile_size < 1 or step < 1:
        raise InvalidInputError(
            f"tile_size is {tile_size} and stride {step}; give at least 1 pixel each."
        )
    if not 0 <= min_valid <= 1:
        raise InvalidInputError(f"min_valid is {min_valid}; give a share between 0 and 1.")
    method = _resampling(resampling)
    with ExitStack() as stack:
        left = stack.enter_context(Source(source))
        original = stack.enter_context(Source(target))
        aligned = stack.enter_context(align(original.dataset, left.grid, method))
        right = stack.enter_context(Source(aligned))
        windows = list(tile_windows(left.grid.height, left.grid.width, tile_size, step))
        if not windows:
            raise InvalidInputError(
                f"{left.name} is {left.grid.width} x {left.grid.height} px, smaller than a tile; "
                f"give a tile_size below {tile_size}."
            )
        inside = _inside(windows, left.grid, aoi)
        temporary = stack.enter_context(
            tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        )
        names, statistics = _write_pairs(left, right, inside, Path(temporary), min_valid, progress)
        if not names:
            raise InvalidInputError(
                f"No pair to write: of {len(windows)} tiles {len(windows) - len(inside)} reach out "
                f"of the aoi and {len(inside)} have less than {min_valid:.0%} valid pixels on one "
                "side. Check that both rasters have data in the same place, or lower min_valid."
            )
        write_metadata(
            Path(temporary),
            names,
            tile_size=tile_size,
            crs=left.grid.crs,
            resolution=left.grid.resolution,
            source=ExportSide(left.band_names, statistics[0]),
            target=ExportSide(original.band_names, statistics[1]),
        )
        _put_in_place(Path(temporary), path)
        return ChipExport(
            path,
            pairs=len(names),
            outside_aoi=len(windows) - len(inside),
            mostly_invalid=len(inside) - len(names),
            target_warped=aligned is not original.dataset,
        )


def _check_folder(folder: Path, *, overwrite: bool) -> Path:
    if not folder.absolute().parent.is_dir():
        raise RasterFileError(
            f"The folder {folder.parent}, in which {folder.name} shall be written, does not exist; "
            "create it first."
        )
    if folder.exists() and not folder.is_dir():
        raise RasterFileError(f"{folder} is a file; give the name of a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputExistsError(
            f"The folder {folder} is not empty; give another one or pass overwrite=True, which "
            "replaces the chips in it."
        )
    return folder.absolute()


def _resampling(name: str | None) -> Resampling | None:
    if name is None:
        return None
    try:
        return Resampling[name]
    except KeyError:
        choices = ", ".join(method.name for method in Resampling)
        raise InvalidInputError(f"resampling is {name!r}; give one of {choices}.") from None


def _inside(
    windows: list[Window],
    grid: Grid,
    aoi: gpd.GeoDataFrame | gpd.GeoSeries | BaseGeometry | None,
) -> list[Window]:
    """Return the windows whose ground is wholly in the area of interest."""
    if aoi is None:
        return windows
    if isinstance(aoi, gpd.GeoDataFrame | gpd.GeoSeries):
        moved = aoi.to_crs(grid.crs) if aoi.crs is not None and grid.crs is not None else aoi
        area = moved.union_all()
    else:
        area = aoi
    prepare(area)
    # A chip that ends at the border is inside, whatever the last digits say.
    slack = 1e-3 * min(grid.resolution)
    return [w for w in windows if area.covers(grid.crop(w).footprint.buffer(-slack))]


def _write_pairs(
    source: Source,
    target: Source,
    windows: list[Window],
    folder: Path,
    min_valid: float,
    progress: bool,
) -> tuple[list[str], tuple[Statistics, Statistics]]:
    """Write the pairs that are valid enough; return their file names and both sides' statistics."""
    sides = (source, target)
    folders = (folder / SOURCE_FOLDER, folder / TARGET_FOLDER)
    for side_folder in folders:
        side_folder.mkdir()
    totals = [Statistics.empty(side.bands) for side in sides]
    names: list[str] = []
    for window in tqdm(windows, desc="exporting", unit="tile", disable=not progress):
        chips = [side.read(window, dtype=None) for side in sides]
        shares = [valid.mean() for _, valid in chips]
        if min(shares) < min_valid or not min(shares):
            continue
        names.append(f"{len(names):09d}.tif")
        grid = source.grid.crop(window)
        for i, (data, valid) in enumerate(chips):
            _write_chip(folders[i] / names[-1], sides[i], grid, data, valid)
            totals[i] += Statistics.of(data, valid)
    return names, (totals[0], totals[1])


def _write_chip(
    path: Path, side: Source, grid: Grid, data: NDArray[Any], valid: NDArray[np.bool_]
) -> None:
    """Write one chip with all that its raster says of its bands."""
    try:
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path,
                "w",
                driver="GTiff",
                crs=grid.crs,
                transform=grid.transform,
                height=grid.height,
                width=grid.width,
                count=side.bands,
                dtype=data.dtype,
                nodata=side.nodata,
                compress="lzw",
                **_colour_options(side),
            ) as chip,
        ):
            chip.write(data)
            chip.descriptions = [name or None for name in side.band_names]
            if is_categorical(side.dataset):
                chip.write_colormap(1, side.dataset.colormap(1))
            if side.nodata is None and not valid.all():
                chip.write_mask(valid)
    except (RasterioError, OSError) as error:
        raise RasterFileError(
            f"The chip {path.name} cannot be written: {reason(error, path)}."
        ) from error


def _colour_options(side: Source) -> dict[str, str]:
    """Return what keeps GDAL from guessing that three bands are colours, or a fourth is alpha."""
    if side.bands < 3:
        return {}
    meanings = [side.dataset.colorinterp[index - 1] for index in side.indexes[:3]]
    colours = meanings == [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    return {"photometric": "RGB" if colours else "MINISBLACK", "alpha": "NO"}


def _put_in_place(written: Path, folder: Path) -> None:
    """Move the finished entries into the folder, over those of a former export."""
    folder.mkdir(exist_ok=True)
    for entry in ENTRIES:
        old = folder / entry
        if old.is_dir():
            shutil.rmtree(old)
        os.replace(written / entry, old)
