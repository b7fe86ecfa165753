"""Chip files: GeoTIFFs, PNGs and JPEGs with the metadata of their rasters."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetWriter

from geotranslate.chips.bands import COLORS_TAG, TAG, colors_of
from geotranslate.chips.export.scene_sides import Scene, SceneSide, bands_of
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import quiet_about_georeference
from geotranslate.raster.writing import small_geotiff

TABLE = 256
"""Entries of the color table of a PNG."""


@dataclass(frozen=True)
class Picture:
    """A format of pictures: what it holds, and how GDAL writes it."""

    driver: str
    suffix: str
    world: str
    """Ending of its world files."""
    dtypes: tuple[str, ...]
    exact: bool
    """Whether values are read as they were written."""
    settings: Mapping[str, Any]
    """GDAL's creation options."""

    BANDS = (1, 3)
    """Numbers of bands; GDAL reads a second or a fourth one as alpha."""


PICTURES = {
    "png": Picture("PNG", ".png", ".pgw", ("uint8", "uint16"), True, {}),
    "jpeg": Picture("JPEG", ".jpg", ".jgw", ("uint8",), False, {"quality": 95}),
}
"""Formats other than GeoTIFF by the value of `format`."""
SUFFIXES = {".tif": "tiff", ".tiff": "tiff", ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
"""Formats by the endings of their files."""


def suffix_of(format: str) -> str:
    """Return the ending of chips of a format."""
    return PICTURES[format].suffix if format in PICTURES else ".tif"


def format_of(chip: str) -> str | None:
    """Return the format of a chip by its name; None for one that is not written here."""
    return SUFFIXES.get(Path(chip).suffix.lower())


def check_format(format: str, scenes: Sequence[Scene]) -> None:
    """Refuse a format that cannot hold the chips of scenes.

    Raises:
        InvalidInputError: It is a picture of other bands or dtypes, or a JPEG of classes.
    """
    if format not in PICTURES:
        return
    picture = PICTURES[format]
    for side in (side for scene in scenes for side in (scene.source, scene.target)):
        if side.bands not in Picture.BANDS or side.dtype not in picture.dtypes:
            raise InvalidInputError(
                f"format is {format!r}, but {side.name} has {bands_of(side)}; a {picture.driver} "
                f"holds 1 or 3 bands of {' or '.join(picture.dtypes)}, besides opacity. Leave "
                "format out, which writes GeoTIFFs."
            )
        if side.options.holds_classes and not picture.exact:
            raise InvalidInputError(
                f"format is {format!r}, but the values of {side.name} are classes, which a "
                f"{picture.driver} would mix; give format='png', or leave it out."
            )


def write_chip(
    path: Path, side: SceneSide, grid: Grid, data: NDArray[Any], valid: NDArray[np.bool_]
) -> None:
    """Write values `(bands, rows, cols)` and their validity as a chip of a side.

    The format follows from the ending of the path.

    Raises:
        OSError: The file cannot be written.
        RasterioError: GDAL cannot make it.
    """
    picture = next((each for each in PICTURES.values() if each.suffix == path.suffix), None)
    if picture is None or picture.exact:
        data, nodata = _hidden(data, valid, side.nodata)
    else:
        # A JPEG would mix a nodata value with the pixels beside it.
        nodata = None
    profile = {
        "crs": grid.crs,
        "transform": grid.transform,
        "height": grid.height,
        "width": grid.width,
        "count": side.bands,
        "dtype": data.dtype,
        "nodata": nodata,
    }
    file = (
        small_geotiff(path, **profile, compress="lzw", **_color_options(side))
        if picture is None
        else _small_picture(path, picture, **profile)
    )
    with file as chip:
        _describe(chip, side)
        chip.write(data)
        if nodata is None and not valid.all():
            chip.write_mask(valid)


@contextmanager
def _small_picture(path: Path, picture: Picture, **profile: Any) -> Iterator[DatasetWriter]:
    """Yield a picture in memory, which is written to its path when the block ends.

    Beside it GDAL writes an `.aux.xml` with CRS, transform and metadata, and the mask of a PNG as
    `.msk`; a JPEG holds its mask. A world file is written for programs that do not read `.aux.xml`.

    Raises:
        OSError: It cannot be written.
        RasterioError: GDAL cannot make it.
    """
    with quiet_about_georeference(), rasterio.MemoryFile(filename=path.name) as memory:
        with memory.open(driver=picture.driver, **profile, **picture.settings) as dataset:
            yield dataset
        rasterio.shutil.copyfiles(memory.name, str(path))
        size = len(memory)
    if path.stat().st_size != size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    transform = profile["transform"]
    if transform != Affine.identity():
        path.with_suffix(picture.world).write_text(_world(transform), encoding="ascii")


def _world(transform: Affine) -> str:
    """Return the six lines of a world file, which tells the center of the first pixel."""
    x, y = transform @ (0.5, 0.5)
    numbers = (transform.a, transform.d, transform.b, transform.e, x, y)
    return "".join(f"{number!r}\n" for number in numbers)


def _describe(chip: DatasetWriter, side: SceneSide) -> None:
    """Write the metadata of the bands, before the pixels, so that GDAL keeps it in the file."""
    chip.descriptions = [name or None for name in side.band_names]
    facts = side.band_facts
    if facts.scales:
        chip.scales = facts.scales
    if facts.offsets:
        chip.offsets = facts.offsets
    if facts.units:
        chip.units = facts.units
    has_table = side.colormap is not None and _holds_table(chip)
    if side.colormap is not None and has_table:
        black = dict.fromkeys(range(TABLE), (0, 0, 0, 255)) if chip.driver == "PNG" else {}
        chip.write_colormap(1, black | side.colormap)
    elif facts.colors:
        chip.colorinterp = [ColorInterp[name] for name in facts.colors]
    if side.colormap is not None and not has_table:
        chip.update_tags(**{COLORS_TAG: json.dumps(colors_of(side.colormap))})
    if side.said_classes is not None:
        chip.update_tags(**{TAG: "yes" if side.said_classes else "no"})


def _holds_table(chip: DatasetWriter) -> bool:
    """Tell whether a chip can hold a color table, which depends on its format and dtype."""
    dtypes = {"GTiff": ("uint8", "uint16"), "PNG": ("uint8",)}
    return chip.dtypes[0] in dtypes.get(chip.driver, ())


def _hidden(
    data: NDArray[Any], valid: NDArray[np.bool_], nodata: float | None
) -> tuple[NDArray[Any], float | None]:
    """Return values with invalid pixels set to nodata, and the nodata value.

    If a valid pixel equals the nodata value, as masks and warping allow, nodata would hide it: then
    the nodata value is None, and a mask is needed.
    """
    if nodata is None:
        return data, None
    marked = np.where(valid, data, np.asarray(nodata).astype(data.dtype))
    equal = marked == np.asarray(nodata).astype(data.dtype)
    seen = equal.all(axis=0) if data.dtype == np.uint8 else equal.any(axis=0)
    return (data, None) if (seen & valid).any() else (marked, nodata)


def _color_options(side: SceneSide) -> dict[str, str]:
    """Return options that keep GDAL from taking bands for colors or alpha."""
    if side.bands < 3:
        return {}
    return {"photometric": "RGB" if side.band_facts.is_rgb else "MINISBLACK", "alpha": "NO"}
