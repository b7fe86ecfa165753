"""`export_chips`: the tiles of two rasters as a folder of training pairs."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from tqdm.auto import tqdm

from geotranslate.checks import folder_path
from geotranslate.chips.export.blackening import Blackening
from geotranslate.chips.export.chipfile import check_format
from geotranslate.chips.export.exportoptions import ExportOptions
from geotranslate.chips.export.scene_sides import (
    Pixels,
    Scene,
    SceneLike,
    check_sizes,
    open_scenes,
)
from geotranslate.chips.export.shifting import without_shift
from geotranslate.chips.export.transaction import (
    check_folder,
    clear_leftovers,
    disk_trouble,
    put_in_place,
    refuse_inputs_inside,
    sole_writer,
)
from geotranslate.chips.export.writer import Candidate, ChipWriter, candidates, in_area, why_none
from geotranslate.chips.vectors import AreaLike
from geotranslate.errors import InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.raster.pipeline import thumbnail
from geotranslate.tables import as_html, as_picture

MOST_SHIFTS = 20
"""Shifts that a notebook shows."""


@dataclass(frozen=True)
class ChipExport(os.PathLike[str]):
    """Path of a written chip folder, with the numbers of written and omitted tiles."""

    folder: Path
    pairs: int
    """Pairs written."""
    outside_aoi: int
    """Tiles omitted because too little of them lies in the area of interest."""
    mostly_invalid: int
    """Tiles omitted because a side has too few valid pixels."""
    target_warped: bool
    """Whether a side was resampled, as its grid differs from the grid of its scene."""
    shifts: tuple[tuple[float, float], ...] = ()
    """Rows and columns by which the target of each scene was moved back, px; see `shift`."""

    def __fspath__(self) -> str:
        return str(self.folder)

    def _repr_html_(self) -> str:
        facts = {
            "pairs": str(self.pairs),
            "outside the area": f"{self.outside_aoi} tiles",
            "mostly invalid": f"{self.mostly_invalid} tiles",
            "resampled": "a side" if self.target_warped else "neither side",
            **{
                f"shift of scene {i}": f"{rows:g} rows and {cols:g} columns"
                for i, (rows, cols) in enumerate(self.shifts[:MOST_SHIFTS], 1)
                if rows or cols
            },
        }
        pictures = " ".join(map(self._picture, ("images", "images2")))
        return f"<p>{html.escape(str(self.folder))}</p>{pictures}{as_html(facts.items())}"

    def _picture(self, side: str) -> str:
        """Return a picture of the first chip of a side; nothing if there is none any more."""
        try:
            first = min(file.path for file in os.scandir(self.folder / side) if file.is_file())
            return as_picture(thumbnail(first), f"First chip of {side}")
        except (RasterioError, OSError, ValueError):
            return ""


@checks_arguments
def export_chips(
    source: SceneLike | Sequence[SceneLike],
    target: SceneLike | Sequence[SceneLike],
    folder: str | os.PathLike[str],
    *,
    tile_size: int | Sequence[int] = 256,
    stride: int | Sequence[int] | None = None,
    aoi: AreaLike | None = None,
    min_cover: float = 1.0,
    min_valid: float = 0.5,
    rotation_angle: float = 0.0,
    burn: str | None = None,
    resampling: str | Resampling | None = None,
    resolution: float | None = None,
    source_classes: bool | None = None,
    target_classes: bool | None = None,
    overwrite: bool = False,
    append: bool = False,
    progress: bool = True,
    shift: Literal["auto"] | tuple[float, float] = (0, 0),
    format: Literal["tiff", "png", "jpeg"] = "tiff",
    layout: Literal["pairs", "cyclegan"] = "pairs",
    blacken: bool = False,
    target_resolution: Literal["own", "source"] | float = "source",
) -> ChipExport:
    """Write the tiles that two rasters have in common as pairs for `prepare_data`.

    The folder has the layout of ArcGIS Pro's "Export Tiles": `images/` with the source chips,
    `images2/` with the target chips of the same names, the Esri metadata with the statistics of
    both, and `chips.gpkg` with the footprint, scene, window, valid shares and split of every
    pair. The chips lie on the source's grid and keep the dtypes, nodata values, band names, scales,
    offsets, units and colors of their rasters. The folder is changed only after the export is
    complete.

    Args:
        source: Raster to translate from: path, URL, VRT, open dataset, `stack` or `mosaic`; or a
            vector file or GeoDataFrame, which is rasterized onto the target's grid. A list for
            several scenes.
        target: Raster or vector layer to translate to, warped or rasterized onto the source's grid
            if needed. Give as many targets as sources.
        folder: Folder to write; its parent folder must exist.
        tile_size: Side of the chips, px, or their rows and columns; `prepare_data` crops or resizes
            chips that are no squares.
        stride: Step from chip to chip, px, or the steps down and across; `tile_size` (no overlap)
            by default. Only whole tiles are written, so a margin of up to one tile at the right and
            bottom edges is not used.
        aoi: Area of interest: vector file or GeoDataFrame in any CRS, or a geometry in the
            scene's.
        min_cover: Smallest share of a chip, 0 to 1, that must lie in the area.
        min_valid: Smallest share of valid pixels, 0 to 1, that each side of a pair needs.
        rotation_angle: Degrees, 1 or more; every tile is also written rotated by each multiple
            below 360; 0 for none. Rotated chips are resampled, and their corners may extend beyond
            the scene and be invalid.
        burn: Column of the vector layer whose numbers are written; by default 1 for every shape.
            Not for two rasters.
        resampling: GDAL name of the warping method; by default nearest for classes and bilinear
            otherwise.
        resolution: Pixel size of the chips on the ground, meters; both sides are resampled to it.
            By default the source's pixels stay as they are.
        source_classes: Whether the source's values are classes, which the chips then tell
            `prepare_data`. By default they are if it has a color table, or is one band of
            integers with at most 4 different values, or with at most 64 that form patches and do
            not change in steps of 1, as heights do.
        target_classes: The same for the target.
        overwrite: Whether to replace the chips in the folder.
        append: Whether to add to the chips in the folder. Existing chips keep their labels.
        progress: Whether to show a progress bar.
        shift: Rows and columns, in px of the chips, by which the target's content lies below and
            to the right of the source's, as `check_registration` reports; the target is moved
            back. "auto" measures the shift of each scene and moves its target by whole pixels if
            the shift is certain.
        format: Format of the chips: "tiff", or "png" or "jpeg" for sides of 1 or 3 bands of uint8,
            PNG also of uint16. Pictures have their georeference in an `.aux.xml` and a world file
            beside them. JPEG changes values a little and holds no classes.
        layout: "pairs" for ArcGIS's "Export Tiles", or "cyclegan" for `trainA/` and `trainB/`,
            which are read as sides without pairs.
        blacken: Whether pixels outside of the area of interest, and beside a vector layer those of
            the raster outside of its shapes, become invalid: nodata, else 0 with a mask.
            `min_valid` is about the pixels before. As ArcGIS's "Blacken Around Feature".
        target_resolution: Pixel size of the target chips. "source" for the source's; "own" for the
            target's own, or a size in meters, which have to be within 5% of a half to an eighth of
            the source's pixels, or of 2 to 8 times as much. Target chips then have that many times
            as many rows and columns, or that part of them, on a grid that divides or gathers the
            source's pixels.

    Raises:
        RasterFileError: A side cannot be read, or the folder cannot be written, for example
            because another export is writing it.
        OutputExistsError: The folder is not empty, and neither `overwrite` nor `append` is true.
        GridMismatchError: The sides do not overlap, or one of them has no CRS.
        InvalidInputError: No tile can be written, scenes differ in bands or dtype, or an argument
            is invalid.
    """
    options = ExportOptions(
        tile_size=tile_size,
        stride=stride,
        aoi=aoi,
        min_cover=min_cover,
        min_valid=min_valid,
        rotation_angle=rotation_angle,
        burn=burn,
        resampling=resampling,
        resolution=resolution,
        source_classes=source_classes,
        target_classes=target_classes,
        overwrite=overwrite,
        append=append,
        progress=progress,
        shift=shift,
        format=format,
        layout=layout,
        blacken=blacken,
        target_resolution=target_resolution,
    )
    path = check_folder(folder_path("folder", folder), options)
    with ExitStack() as stack:
        if stack.enter_context(sole_writer(path)):
            with disk_trouble(path):
                clear_leftovers(path)
        # Another export may have ended since.
        check_folder(path, options)
        scenes = open_scenes(source, target, options, stack)
        if options.overwrite:
            refuse_inputs_inside(path, scenes, options.folders)
        check_sizes(scenes, options.size)
        check_format(options.format, scenes)
        moved = [without_shift(scene, options, stack) for scene in scenes]
        done = _export([scene for scene, _ in moved], path, options)
        return replace(done, shifts=tuple(shift for _, shift in moved))


def _export(scenes: Sequence[Scene], folder: Path, options: ExportOptions) -> ChipExport:
    """Write the pairs of scenes into a temporary folder, and move them into place."""
    black = Blackening(scenes, options) if options.blacken else None
    tiles = [tile for scene in scenes for tile in candidates(scene, options)]
    inside = tiles if options.aoi is None else in_area(tiles, options.aoi, options.min_cover)
    with ExitStack() as stack:
        with disk_trouble(folder):
            temporary = stack.enter_context(_temporary_for(folder))
            writer = ChipWriter(temporary, options, scenes[0])
            if options.append:
                writer.continue_from(folder)
        written = _write(inside, writer, folder, options, black)
        if not written:
            raise InvalidInputError(f"No pair to write: {why_none(tiles, inside, options)}")
        with disk_trouble(folder):
            writer.finish()
            check_folder(folder, options)
            put_in_place(temporary, folder, options.folders, beside=writer.former)
    return ChipExport(
        folder,
        pairs=written,
        outside_aoi=len(tiles) - len(inside),
        mostly_invalid=len(inside) - written,
        target_warped=any(scene.warped for scene in scenes),
    )


def _write(
    tiles: Sequence[Candidate],
    writer: ChipWriter,
    folder: Path,
    options: ExportOptions,
    black: Blackening | None,
) -> int:
    """Write the tiles that are valid enough; return their number."""
    written = 0
    for tile in tqdm(tiles, desc="exporting", unit="tile", disable=not options.progress):
        pixels = tile.read()
        if _share(pixels) < options.min_valid:
            continue
        if black is not None:
            pixels = black.of(tile, pixels)
        if _share(pixels) > 0:
            with disk_trouble(folder):
                writer.add(tile, pixels)
            written += 1
    return written


def _share(pixels: tuple[Pixels, Pixels]) -> float:
    """Return the share of valid pixels of the side that has fewer."""
    return min(float(valid.mean()) for _, valid in pixels)


@contextmanager
def _temporary_for(folder: Path) -> Iterator[Path]:
    """Make a temporary folder beside a folder, and remove it when the block ends."""
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent
    ) as name:
        yield Path(name)
