"""The metadata files of ArcGIS Pro's "Export Tiles" folders.

Names and keys are those of a real export with an additional input raster: `map.txt`,
`esri_model_definition.emd`, `esri_accumulated_stats.json` and `stats.txt`. Only `map.txt` is read:
what the others say of sizes, bands and values is read from the chips themselves, so an export may
lack them or hold placeholders where numbers belong.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rasterio.crs import CRS

from geotranslate.chips.bands import Statistics
from geotranslate.chips.layouts.directory import CHIP_SUFFIXES
from geotranslate.errors import RasterFileError, said
from geotranslate.raster.opening import refuse_special

SOURCE_FOLDER, TARGET_FOLDER = "images", "images2"
MAP_FILE = "map.txt"
MODEL_FILE = "esri_model_definition.emd"
STATISTICS_FILE = "esri_accumulated_stats.json"
COUNTS_FILE = "stats.txt"
METADATA_FILES = (MODEL_FILE, STATISTICS_FILE, COUNTS_FILE, MAP_FILE)
"""Last the one that names the pairs: a pair is named when all of it is there."""

LONGEST_LINE = 2**14
"""Characters of a line of `map.txt`: systems take no longer paths than half of it."""

# What a real export leaves for whoever trains the model to fill in.
_UNFILLED = (
    "Framework",
    "ModelConfiguration",
    "ModelType",
    "ModelFile",
    "Description",
    "DataRange",
    "ModelPadding",
    "BatchSize",
    "PerProcessGPUMemoryFraction",
)
# An export of images counts no features, and says so at length.
_NO_FEATURES = {
    "NumClasses": 0,
    "NumImagesTotal": 0,
    "NumFeaturesTotal": 0,
    "NumImagesPerClass": [],
    "NumFeaturesPerClass": [],
    "NumFeaturesPerImage": {"Min": 0, "Max": 0, "Mean": 0, "Sum": 0, "Count": 0},
    "FeatureAreaPerClass": [],
}
_NO_FEATURE_COUNTS = """
Class feature statistics:
features = 0
features per image = [min = 0, mean = 0.00, max = 0]
classes = 0
"""
_ENDINGS = "|".join(suffix[1:] for suffix in CHIP_SUFFIXES)
_PAIR = re.compile(rf"(.+?\.(?:{_ENDINGS}))\s+(.+)", re.IGNORECASE)
_BAND_NAMES_KEY = "WellKnownBandNames (FYI, these band names can be used in ExtractBands)"


@dataclass(frozen=True)
class ExportSide:
    """What the metadata say of one raster: the names of its bands and their statistics."""

    band_names: tuple[str, ...]
    statistics: Statistics


def read_map(path: Path) -> list[tuple[str, str]]:
    """Return the (source, target) paths of a `map.txt`, with forward slashes, each pair once.

    Real files have backslashes, CRLF, trailing blanks, several blanks between the columns, and
    name a pair twice where an export was appended to.

    Raises:
        RasterFileError: It is no file or no text; the sentence names it.
    """
    refuse_special(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            columns = [_columns(line.strip().replace("\\", "/")) for line in _lines(file)]
    except (OSError, ValueError) as error:
        raise RasterFileError(
            f"{path} cannot be read: {said(error)}. Write it as UTF-8 text, or delete it: then "
            "chips of equal names are pairs."
        ) from error
    return list(dict.fromkeys((row[0], row[1]) for row in columns if len(row) >= 2))


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE or "\0" in line:
            raise ValueError("a line has more characters than two paths, or null characters")
        yield line


def _columns(line: str) -> Sequence[str]:
    # Names may hold blanks: the first one ends with the ending of a chip, and so does the line.
    is_pair = os.path.splitext(line)[1].lower() in CHIP_SUFFIXES
    found = _PAIR.fullmatch(line) if is_pair else None
    return found.groups() if found else line.split()


def write_metadata(
    folder: Path,
    names: Sequence[str],
    *,
    tile_size: int,
    crs: CRS | None,
    resolutions: Sequence[tuple[float, float]],
    source: ExportSide,
    target: ExportSide,
) -> None:
    """Write the metadata files of an export.

    Args:
        folder: Folder that holds `images/` and `images2/`.
        names: File names of the pairs, equal on both sides.
        tile_size: Side of the chips, px.
        crs: Their CRS.
        resolutions: Pixel sizes of all pairs in CRS units.
        source: What is in `images/`.
        target: What is in `images2/`.
    """
    stems = [Path(name).stem for name in names]
    pairs = (f"{SOURCE_FOLDER}/{name}  {TARGET_FOLDER}/{name}\n" for name in names)
    (folder / MAP_FILE).write_text("".join(pairs), encoding="utf-8")
    reference = _spatial_reference(crs)
    across, down = zip(*resolutions, strict=True)
    shared = {
        "MetaDataMode": "Export_Tiles",
        "MinCellSize": {"x": min(across), "y": min(down), "spatialReference": reference},
        "MaxCellSize": {"x": max(across), "y": max(down), "spatialReference": reference},
        "InputRastersProps": _raster_properties(source),
        "InputRastersProps2": _raster_properties(target),
    }
    model = (
        dict.fromkeys(_UNFILLED, "")
        | shared
        | {
            "ImageHeight": tile_size,
            "ImageWidth": tile_size,
            "ExtractBands": list(range(len(source.band_names))),
            "ImageSpaceUsed": "MAP_SPACE",
            "IsMultidimensional": False,
            "BlackenAroundFeature": False,
            "CropTileMode": "Fixed_Size",
            "Classes": [],
            "AllTilesStats": _tile_statistics(source),
            "AllTilesStats2": _tile_statistics(target),
            _BAND_NAMES_KEY: [name for name in source.band_names if name],
        }
    )
    accumulated = shared | {
        "Version": 1,
        "NumBands": len(source.band_names),
        "TileSizeX": tile_size,
        "TileSizeY": tile_size,
        "NumClasses": 0,
        "NumTiles": len(names),
        "NumTilesAsDouble": len(names),
        "NextTileIndex": max((int(n) + 1 for n in stems if n.isdecimal()), default=len(names)),
        "OutputFeatures": True,
        "Classes": [],
        "FeatureStats": _NO_FEATURES,
        "BandStatsState": _statistics_state(source),
        "BandStatsState2": _statistics_state(target),
    }
    for name, content in ((MODEL_FILE, model), (STATISTICS_FILE, accumulated)):
        (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
    shape = f"{len(source.band_names)}*{tile_size}*{tile_size}"
    (folder / COUNTS_FILE).write_text(
        f"images = {len(names)} *{shape}\n{_NO_FEATURE_COUNTS}", encoding="utf-8"
    )


def _spatial_reference(crs: CRS | None) -> dict[str, Any] | None:
    if crs is None:
        return None
    code = crs.to_epsg()
    if code is None:
        return {"wkt": crs.to_wkt()}
    # Esri's own number of Web Mercator; its other codes are EPSG's.
    return {"wkid": 102100 if code == 3857 else code, "latestWkid": code}


def _raster_properties(side: ExportSide) -> dict[str, Any]:
    return {"RasterCount": 1, "SensorName": "Undefined", "BandNames": list(side.band_names)}


def _tile_statistics(side: ExportSide) -> list[dict[str, Any]]:
    found = side.statistics
    columns = (side.band_names, found.minimum, found.maximum, found.mean, found.std)
    return [
        {
            "BandName": name,
            "Min": float(low),
            "Max": float(high),
            "Mean": float(mean),
            "StdDev": float(std),
        }
        for name, low, high, mean, std in zip(*columns, strict=True)
    ]


def _statistics_state(side: ExportSide) -> list[dict[str, Any]]:
    found = side.statistics
    columns = (found.minimum, found.maximum, found.mean, found.m2)
    # Mean and StdDev are 0 in real exports too: readers take them from M1, M2 and Num.
    return [
        {
            "Min": float(low),
            "Max": float(high),
            "Mean": 0,
            "StdDev": 0,
            "M1": float(mean),
            "M2": float(m2),
            "Num": found.count,
        }
        for low, high, mean, m2 in zip(*columns, strict=True)
    ]
