"""Metadata files of ArcGIS Pro's "Export Tiles".

Files and keys are named as in an export of ArcGIS Pro with an additional input raster: `map.txt`,
`esri_model_definition.emd`, `esri_accumulated_stats.json` and `stats.txt`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rasterio.crs import CRS

from geotranslate.chips.bands import Statistics
from geotranslate.chips.export.exportoptions import ExportOptions
from geotranslate.chips.layouts import MAP_FILE
from geotranslate.schema import Json

MODEL_FILE = "esri_model_definition.emd"
STATISTICS_FILE = "esri_accumulated_stats.json"
COUNTS_FILE = "stats.txt"
METADATA_FILES = (MODEL_FILE, STATISTICS_FILE, COUNTS_FILE, MAP_FILE)
"""The list of pairs comes last, so that it names a pair only when all of it is there."""
MODES = {"pairs": "Export_Tiles", "cyclegan": "CycleGAN"}
"""ArcGIS's names of layouts."""

# Keys that ArcGIS Pro leaves empty, to be filled in when a model is trained.
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
# An export of images counts no features.
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
_BAND_NAMES_KEY = "WellKnownBandNames (FYI, these band names can be used in ExtractBands)"


@dataclass(frozen=True)
class ExportSide:
    """The band names and statistics of one raster."""

    band_names: tuple[str, ...]
    statistics: Statistics


def write_metadata(
    folder: Path,
    names: Sequence[str],
    options: ExportOptions,
    *,
    crs: CRS | None,
    resolutions: Sequence[tuple[float, float]],
    source: ExportSide,
    target: ExportSide,
) -> None:
    """Write the metadata files of an export.

    Args:
        folder: Folder that holds the folders of both sides.
        names: File names of the pairs, equal on both sides.
        options: Options of the export.
        crs: CRS of the chips.
        resolutions: Pixel sizes of all pairs in CRS units.
        source: Bands of the source chips.
        target: Bands of the target chips.
    """
    stems = [Path(name).stem for name in names]
    size, (one, other) = options.size, options.folders
    pairs = (f"{one}/{name}  {other}/{name}\n" for name in names)
    (folder / MAP_FILE).write_text("".join(pairs), encoding="utf-8")
    reference = _spatial_reference(crs)
    across, down = zip(*resolutions, strict=True)
    shared = {
        "MetaDataMode": MODES[options.layout],
        "MinCellSize": {"x": min(across), "y": min(down), "spatialReference": reference},
        "MaxCellSize": {"x": max(across), "y": max(down), "spatialReference": reference},
        "InputRastersProps": _raster_properties(source),
        "InputRastersProps2": _raster_properties(target),
    }
    model = (
        dict.fromkeys(_UNFILLED, "")
        | shared
        | {
            "ImageHeight": size[0],
            "ImageWidth": size[1],
            "ExtractBands": list(range(len(source.band_names))),
            "ImageSpaceUsed": "MAP_SPACE",
            "IsMultidimensional": False,
            "BlackenAroundFeature": options.blacken,
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
        "TileSizeX": size[1],
        "TileSizeY": size[0],
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
    shape = f"{len(source.band_names)}*{size[0]}*{size[1]}"
    (folder / COUNTS_FILE).write_text(
        f"images = {len(names)} *{shape}\n{_NO_FEATURE_COUNTS}", encoding="utf-8"
    )


def _spatial_reference(crs: CRS | None) -> Json | None:
    if crs is None:
        return None
    code = crs.to_epsg()
    if code is None:
        return {"wkt": crs.to_wkt()}
    # Esri has its own code for Web Mercator; its other codes are EPSG codes.
    return {"wkid": 102100 if code == 3857 else code, "latestWkid": code}


def _raster_properties(side: ExportSide) -> Json:
    return {"RasterCount": 1, "SensorName": "Undefined", "BandNames": list(side.band_names)}


def _tile_statistics(side: ExportSide) -> list[Json]:
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


def _statistics_state(side: ExportSide) -> list[Json]:
    found = side.statistics
    columns = (found.minimum, found.maximum, found.mean, found.m2)
    # ArcGIS Pro also writes 0 for Mean and StdDev: readers compute them from M1, M2 and Num.
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
