"""STAC items of written rasters, with the facts of their translation from the file's tags."""

from __future__ import annotations

import json
import math
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import from_gcps

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError, said
from geotranslate.files import replaced_when_whole
from geotranslate.raster.degrees import geojson_of, in_degrees
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import quiet_about_georeference, reason
from geotranslate.schema import Json

PREFIX = "GEOTRANSLATE_"
"""Beginning of the tags that a translation writes."""
EXTENSIONS = {
    "proj": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "processing": "https://stac-extensions.github.io/processing/v1.1.0/schema.json",
}
"""Addresses of the extensions by the prefix of their fields."""
SUFFIX = ".stac.json"
"""Ending of the files of items."""
MODEL_ITEM = f"model{SUFFIX}"
"""Name of the item in the folder of a model."""
MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
ITEM_TYPE = "application/geo+json"
LEVEL = "L4"
"""Processing level of the results of models."""


def item_path(output: Path) -> Path:
    """Return the path of the item beside a raster."""
    return output.with_name(output.stem + SUFFIX)


def refuse_item(output: Path, *, replaced: bool) -> None:
    """Refuse to write an item where there is one.

    Args:
        output: The raster.
        replaced: Whether an existing item may be replaced.

    Raises:
        OutputExistsError: There is one, and it may not be replaced.
    """
    found = item_path(output)
    if not replaced and os.path.lexists(found):
        raise OutputExistsError(
            f"{found} already exists; give another output, or overwrite=True (--overwrite)."
        )


def raster_item(
    path: Path,
    *,
    model: str | None = None,
    source: str | None = None,
    time: str | None = None,
) -> Json:
    """Return the STAC item of a written raster as a dictionary.

    Args:
        path: The raster; the href of its asset is its name.
        model: Path or URL of the item of the model.
        source: Path or URL of the scene or of its item.
        time: Time of the scene, ISO 8601; by default the tag `TIFFTAG_DATETIME`, else the time at
            which the file was written.

    Raises:
        RasterFileError: The raster cannot be read.
        InvalidInputError: `time` is no time.
    """
    try:
        with quiet_about_georeference(), rasterio.open(path) as dataset:
            tags, grid, points = dataset.tags(), _grid(dataset), dataset.gcps[0]
            bands, cog = _bands(dataset), dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG"
    except (RasterioError, OSError) as error:
        raise RasterFileError(
            f"{path} cannot be described by a STAC item: {reason(error, path)}. Give a raster that "
            "is written and put together."
        ) from error
    outline = in_degrees(grid.footprint, grid.crs)
    place: Json = {"geometry": None}
    if outline is not None:
        geometry, edges = geojson_of(outline)
        place = {"geometry": geometry, "bbox": list(edges)}
    written = datetime.fromtimestamp(os.path.getmtime(path), timezone.utc)
    if time is None:
        time = moment_in(tags.get("TIFFTAG_DATETIME")) or utc(written)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(EXTENSIONS.values()),
        "id": path.stem,
        **place,
        "properties": {
            "datetime": moment("time", time),
            "created": utc(written),
            **_projection(grid, exact=not points),
            **_processing(tags, model),
        },
        "links": [
            {"rel": "derived_from", "href": href, **({"type": kind} if kind else {})}
            for href, kind in ((source, _kind(source)), (model, ITEM_TYPE))
            if href
        ],
        "assets": {
            "data": {
                "href": f"./{path.name}",
                "type": MEDIA_TYPE if cog else MEDIA_TYPE.rpartition(";")[0],
                "roles": ["data"],
                "raster:bands": bands,
            }
        },
    }


def write_item(path: Path, **facts: str | None) -> Path:
    """Write the STAC item of a raster beside it, and return the item's path.

    Args:
        path: The raster.
        facts: Arguments of `raster_item`.

    Raises:
        RasterFileError: The raster cannot be read, or the item cannot be written.
    """
    found = item_path(path)
    text = json.dumps(raster_item(path, **facts), indent=2, allow_nan=False)
    try:
        with replaced_when_whole(found, found.with_name(f".{found.name}.partial")) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RasterFileError(
            f"The STAC item {found} cannot be written: {said(error)}. The raster {path} is whole; "
            "make sure that its folder may be written."
        ) from error
    return found


def moment(name: str, text: str) -> str:
    """Return a date or time in RFC 3339, UTC if it has no offset.

    Raises:
        InvalidInputError: It is something else.
    """
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return utc(found.replace(tzinfo=found.tzinfo or timezone.utc))
    except (ValueError, AttributeError, OverflowError) as error:
        raise InvalidInputError(
            f"{name} is {shown(text)}; give a date or time such as 2019-06-01 or "
            "2019-06-01T10:30:00Z."
        ) from error


def utc(time: datetime) -> str:
    """Return a time in RFC 3339, in UTC and whole seconds."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_in(text: str | None) -> str | None:
    """Return the time of an Item or of a TIFF's tag in RFC 3339; None if it cannot be read.

    TIFF writes it as 2019:06:01 10:30:00.
    """
    day, _, rest = (text or "").partition(" ")
    try:
        return moment("time", f"{day.replace(':', '-')} {rest}" if rest else day)
    except InvalidInputError:
        return None


def _grid(dataset: DatasetReader) -> Grid:
    """Return the grid of a raster, an approximate one for ground control points."""
    points, crs = dataset.gcps
    if dataset.crs is None and len(points) >= 3:
        return Grid(crs, from_gcps(points), dataset.height, dataset.width)
    return Grid.of(dataset)


def _projection(grid: Grid, *, exact: bool) -> Json:
    left, bottom, right, top = grid.footprint.bounds
    code = None if grid.crs is None else grid.crs.to_authority()
    found: Json = {
        "proj:code": ":".join(code) if code else None,
        "proj:shape": [grid.height, grid.width],
        "proj:bbox": [left, bottom, right, top],
    }
    if exact:
        found["proj:transform"] = list(grid.transform[:6])
    return found if code or grid.crs is None else found | {"proj:wkt2": _wkt2(grid.crs)}


def _wkt2(crs: CRS) -> str | None:
    try:
        return crs.to_wkt(version="WKT2_2019")
    except CRSError:
        return None


def _bands(dataset: DatasetReader) -> list[Json]:
    facts = zip(
        dataset.descriptions,
        dataset.dtypes,
        dataset.nodatavals,
        dataset.units,
        dataset.scales,
        dataset.offsets,
        strict=True,
    )
    return [
        band_entry(name or f"band {number}", dtype, nodata, unit or "", scale, offset)
        for number, (name, dtype, nodata, unit, scale, offset) in enumerate(facts, 1)
    ]


def band_entry(
    name: str, dtype: str, nodata: float | None, unit: str, scale: float, offset: float
) -> Json:
    """Return a band as the raster extension has it, without what is usual.

    Args:
        name: Its name.
        dtype: Its dtype by numpy's name.
        nodata: Its nodata value, if it has one.
        unit: Its unit, empty for none.
        scale: Factor from stored to measured values.
        offset: Summand after it.
    """
    found: Json = {"name": name, "data_type": dtype}
    if nodata is not None:
        found["nodata"] = nodata if math.isfinite(nodata) else str(nodata)
    numbers: dict[str, Any] = {"scale": scale} if scale != 1 else {}
    numbers |= {"offset": offset} if offset else {}
    return found | ({"unit": unit} if unit else {}) | numbers


def _processing(tags: dict[str, str], model: str | None) -> Json:
    """Return the fields of the processing extension from the tags of a translation."""
    facts = {name: tags.get(PREFIX + name, "") for name in ("VERSION", "MODEL", "SOURCE")}
    digest = tags.get(f"{PREFIX}WEIGHTS_SHA256", "")
    by = f"by a {facts['MODEL']} model with the weights {digest}" if digest else "by a function"
    found: Json = {
        "processing:level": LEVEL,
        "processing:lineage": f"Translated from {facts['SOURCE'] or 'a raster'} {by}.",
    }
    if facts["VERSION"]:
        found["processing:software"] = {"geotranslate": facts["VERSION"]}
    if model:
        found["processing:expression"] = {"format": "stac-mlm", "expression": model}
    return found


def _kind(source: str | None) -> str:
    """Return the media type of a scene or its item, by the ending; empty if it is not known."""
    endings = {".json": ITEM_TYPE, ".tif": "image/tiff; application=geotiff"}
    return endings.get(Path(source or "").suffix.lower(), "")
