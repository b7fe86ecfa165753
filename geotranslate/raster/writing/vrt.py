"""GDAL VRT that shows the parts of an output as one raster with its full profile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from geotranslate.raster.gcps import GroundControlPoints, crs_text
from geotranslate.raster.tiling import BLOCK
from geotranslate.raster.writing.profile import OutputProfile

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
