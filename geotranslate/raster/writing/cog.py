"""Assembly of parts: a VRT over them, and its copy as COG or GeoTIFF."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError  # what copying raises is not public
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError

from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.files import put_in_place
from geotranslate.raster.opening import (
    GroundControlPoints,
    crs_text,
    limited_cache,
    quiet_about_georeference,
)
from geotranslate.raster.tiling import BLOCK
from geotranslate.raster.writing.destination import (
    cut_off,
    remove_sidecars,
    temporary_for,
    unwritten,
)
from geotranslate.raster.writing.geotiff import is_complete
from geotranslate.raster.writing.profile import Driver, OutputProfile, driver_named

TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}
"""GDAL's names of dtypes."""

COLORS = {name: f"YCbCr_{name}" for name in ("Y", "Cb", "Cr")}
"""GDAL's names of color interpretations, where they differ from rasterio's."""

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

SIDE = 512
"""Side of the blocks of outputs, px; larger outputs have overviews down to it."""
LEVEL, CLASSES_LEVEL = 1, 6
"""Levels of deflate. For imagery, higher levels take a multiple of the time and save a hundredth;
for classes, which compress fast in any case, they save a third."""


def vrt_of(output: OutputProfile, parts: Sequence[tuple[Path, range]]) -> bytes:
    """Return the VRT of parts, given with the rows of the output in each."""
    grid = output.grid
    root = Element("VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height))
    _add_place(root, output)
    _add_metadata(root, output.tags)
    if output.rpcs:
        _add_metadata(root, output.rpcs, domain="RPC")
    for band in range(output.bands):
        element = SubElement(
            root, "VRTRasterBand", dataType=TYPES[output.dtype], band=str(band + 1)
        )
        _add_facts(element, output, band)
        _add_sources(element, output, parts, str(band + 1), output.dtype)
    if output.has_mask:
        element = SubElement(SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
        _add_sources(element, output, parts, "mask,1", "uint8")
    return bytes(tostring(root, encoding="utf-8"))


def _add_place(root: Element, output: OutputProfile) -> None:
    if output.grid.crs is not None:
        _add_text(root, "SRS", crs_text(output.grid.crs))
    if not output.grid.transform.is_identity:
        numbers = (repr(float(number)) for number in output.grid.transform.to_gdal())
        _add_text(root, "GeoTransform", ", ".join(numbers))
    # A GeoTIFF holds a transform or ground control points.
    elif output.gcps is not None:
        _add_gcps(root, output.gcps)


def _add_gcps(root: Element, gcps: GroundControlPoints) -> None:
    crs = gcps.crs
    projection = {} if crs is None else {"Projection": crs_text(crs)}
    gathered = SubElement(root, "GCPList", projection)
    for number, (row, col, x, y, z) in enumerate(gcps.points, 1):
        place = {"Pixel": col, "Line": row, "X": x, "Y": y, "Z": z}
        numbers = {name: repr(float(value)) for name, value in place.items()}
        SubElement(gathered, "GCP", {"Id": str(number), **numbers})


def _add_metadata(root: Element, values: Mapping[str, str], **domain: str) -> None:
    element = SubElement(root, "Metadata", domain)
    for key, value in values.items():
        _add_text(element, "MDI", value, key=NOT_IN_XML.sub("", key))


def _add_facts(element: Element, output: OutputProfile, band: int) -> None:
    """Add the properties of a band, counted from 0."""
    if output.marker is not None:
        _add_text(element, "NoDataValue", repr(float(output.marker)))
    if output.band_names:
        _add_text(element, "Description", output.band_names[band])
    if output.units:
        _add_text(element, "UnitType", output.units[band])
    if output.offsets:
        _add_text(element, "Offset", repr(float(output.offsets[band])))
    if output.scales:
        _add_text(element, "Scale", repr(float(output.scales[band])))
    name = _colors(output)[band]
    _add_text(element, "ColorInterp", COLORS.get(name, name))
    if output.colormap:
        table = SubElement(element, "ColorTable")
        for value in range(max(output.colormap) + 1):
            red, green, blue, _ = output.colormap.get(value, (0, 0, 0, 255))
            SubElement(table, "Entry", c1=str(red), c2=str(green), c3=str(blue), c4="255")


def _colors(output: OutputProfile) -> Sequence[str]:
    if output.colormap:
        return ("palette",)
    if output.colors:
        return output.colors
    # The defaults of GDAL, except for the fourth uint8 band, which it takes for alpha.
    if output.dtype == "uint8" and output.bands in (3, 4):
        return ("red", "green", "blue", "undefined")
    return ("gray", *["undefined"] * (output.bands - 1))


def _add_sources(
    element: Element,
    output: OutputProfile,
    parts: Sequence[tuple[Path, range]],
    band: str,
    dtype: str,
) -> None:
    width = str(output.grid.width)
    for path, rows in parts:
        source = SubElement(element, "SimpleSource")
        _add_text(source, "SourceFilename", str(path.absolute()), relativeToVRT="0")
        _add_text(source, "SourceBand", band)
        height = str(len(rows))
        # With these properties, GDAL opens a part only when it reads from it.
        SubElement(
            source,
            "SourceProperties",
            RasterXSize=width,
            RasterYSize=height,
            DataType=TYPES[dtype],
            BlockXSize=str(BLOCK),
            BlockYSize=str(BLOCK),
        )
        size = {"xOff": "0", "xSize": width, "ySize": height}
        SubElement(source, "SrcRect", size, yOff="0")
        SubElement(source, "DstRect", size, yOff=str(rows.start))


def _add_text(parent: Element, name: str, text: str, **attributes: str) -> None:
    SubElement(parent, name, attributes).text = NOT_IN_XML.sub("", text)


def assemble(
    path: Path,
    output: OutputProfile,
    parts: Sequence[tuple[Path, range]],
    driver: Driver = "COG",
    folder: Path | None = None,
) -> None:
    """Write the parts of an output as one GeoTIFF with overviews.

    It is compressed with deflate, and a BigTIFF if the size may need it. A former file and its
    sidecars stay until the new file is complete. The parts stay.

    Args:
        path: File to write, in an existing folder.
        output: Its profile.
        parts: Files that `PartFile` wrote, and the rows of the output in each, top down.
        driver: "COG" for a Cloud Optimized GeoTIFF, "GTiff" for a tiled one.
        folder: Folder of the temporary file, on the same disk; the path's by default.

    Raises:
        InvalidInputError: The parts are not the rows of the output, or there is no such driver.
        RasterFileError: A part is missing or damaged, or the file cannot be written.
    """
    driver = driver_named(driver)
    _check_rows(output, parts)
    for part, rows in parts:
        _check_part(part, output, rows)
    temporary = temporary_for(path, folder)
    try:
        _write(temporary, output, vrt_of(output, parts), driver)
        if not is_complete(temporary, masked=output.has_mask):
            raise cut_off(path)
        put_in_place(temporary, path)
        remove_sidecars(path)
    except RasterFileError:
        raise
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise unwritten(path, "completed", error, temporary) from error
    finally:
        # GDAL removes its own temporary file, but not when it is interrupted.
        for ending in ("", ".ovr.tmp", ".msk.ovr.tmp"):
            Path(f"{temporary}{ending}").unlink(missing_ok=True)


def _check_rows(output: OutputProfile, parts: Sequence[tuple[Path, range]]) -> None:
    bottom = 0
    for _, rows in parts:
        if rows.start != bottom:
            break
        bottom = rows.stop
    if bottom != output.grid.height:
        raise InvalidInputError(
            f"The parts hold rows 0 to {bottom} of {output.grid.height} without a gap; "
            "give all parts, top down."
        )


def _check_part(part: Path, output: OutputProfile, rows: range) -> None:
    if not part.exists():
        raise RasterFileError(f"The part {part} is missing; start again to have it made anew.")
    expected = (output.bands, len(rows), output.grid.width, {output.dtype})
    try:
        with rasterio.open(part) as dataset:
            found = (dataset.count, dataset.height, dataset.width, set(dataset.dtypes))
            # Only parts with an invalid pixel have a mask.
            masked = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
    except (RasterioError, OSError):
        found, masked = None, False
    if found != expected or not is_complete(part, masked=masked):
        raise RasterFileError(
            f"The part {part} is damaged or not of this output; remove it and start again to have "
            "it made anew."
        )


def _write(path: Path, output: OutputProfile, vrt: bytes, driver: Driver) -> None:
    categorical = output.categorical or output.colormap is not None
    level = CLASSES_LEVEL if categorical else LEVEL
    options: dict[str, object] = {
        "COMPRESS": "DEFLATE",
        "NUM_THREADS": "ALL_CPUS",
        "BIGTIFF": "IF_SAFER",
    }
    if driver == "COG":
        options |= {
            "BLOCKSIZE": SIDE,
            "LEVEL": level,
            "PREDICTOR": "NO" if categorical else "YES",
            "OVERVIEWS": "IGNORE_EXISTING",
            "OVERVIEW_RESAMPLING": "NEAREST" if categorical else "AVERAGE",
        }
    else:
        floating = np.issubdtype(output.dtype, np.floating)
        options |= {
            "TILED": "YES",
            "BLOCKXSIZE": SIDE,
            "BLOCKYSIZE": SIDE,
            "ZLEVEL": level,
            "PREDICTOR": 1 if categorical else 3 if floating else 2,
        }
    with (
        limited_cache(output.grid.width, 2 * output.depth),
        rasterio.Env(
            GDAL_TIFF_INTERNAL_MASK=True,
            GDAL_PAM_ENABLED=False,  # no sidecar file
            COG_TMP_COMPRESSION="NONE",  # compressing temporary overviews would take longest
            GDAL_NUM_THREADS="ALL_CPUS",
            ZLEVEL_OVERVIEW=level,
            GDAL_TIFF_OVR_BLOCKSIZE=SIDE,
        ),
    ):
        with rasterio.MemoryFile(vrt, ext=".vrt") as file:
            rasterio.shutil.copy(file.name, path, driver=driver, **options)
        if driver == "GTiff":
            _add_overviews(path, Resampling.nearest if categorical else Resampling.average)


def _add_overviews(path: Path, resampling: Resampling) -> None:
    with quiet_about_georeference(), rasterio.open(path, "r+") as dataset:
        factors = [2]
        while max(dataset.shape) > SIDE * factors[-1]:
            factors.append(2 * factors[-1])
        if max(dataset.shape) > SIDE:
            dataset.build_overviews(factors, resampling)
