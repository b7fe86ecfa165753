"""Results of translations: tile counts, tile mismatch, times, and the written raster."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from geotranslate.migration import checks_arguments
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import RasterLike, quiet_about_georeference
from geotranslate.raster.pipeline.exploring import explore_raster
from geotranslate.raster.pipeline.rasteritem import item_path, raster_item
from geotranslate.raster.seams import Seams, measure_seams
from geotranslate.raster.stacitems import to_pystac
from geotranslate.raster.tiling import Mismatch
from geotranslate.schema import Fields, Json, anything, optional, real, record, table, whole
from geotranslate.tables import as_html, as_picture

COUNTS: Fields = dict.fromkeys(("tiles", "skipped", "lost"), whole(0, 2**62))
THUMBNAIL = 256
"""Longest side of the picture in a notebook, px."""


@dataclass
class PartReport:
    """Counts and tile mismatch of a part, stored in a tag of the part's file."""

    tiles: int = 0
    skipped: int = 0
    lost: int = 0
    """Valid pixels whose translation was NaN or infinite."""
    mismatch: Mismatch = field(default_factory=Mismatch)

    def to_json(self) -> Json:
        """Return JSON values."""
        return {**vars(self), "mismatch": self.mismatch.to_json()}

    @classmethod
    def from_json(cls, values: Json) -> PartReport:
        """Return the report that `to_json` was called on.

        Raises:
            InvalidInputError: A value is missing, of another type or out of its range.
        """
        found = record({**COUNTS, "mismatch": table(anything)})("report", values)
        return cls(**{**found, "mismatch": Mismatch.from_json(found["mismatch"])})

    def summary(self) -> OutputSummary:
        """Return the report for users, mismatches rounded to four significant digits."""
        mean, p99 = (
            None if value is None else float(f"{value:.4g}")
            for value in (self.mismatch.mean, self.mismatch.percentile(0.99))
        )
        return OutputSummary(self.tiles, self.skipped, self.lost, mean, p99)

    @classmethod
    def total(cls, reports: Iterable[PartReport]) -> PartReport:
        """Return the report of several parts together."""
        whole = cls()
        for report in reports:
            whole.tiles += report.tiles
            whole.skipped += report.skipped
            whole.lost += report.lost
            whole.mismatch.merge(report.mismatch)
        return whole


@dataclass(frozen=True)
class OutputSummary:
    """Counts and tile mismatch of a whole output, stored in a tag of its file as JSON."""

    tiles: int
    skipped: int
    lost: int
    mismatch: float | None
    mismatch_p99: float | None

    @classmethod
    def from_json(cls, values: Json) -> OutputSummary:
        """Return the summary of a tag.

        Raises:
            InvalidInputError: A value is missing, of another type or out of its range.
        """
        difference = optional(real(least=0))
        fields = {**COUNTS, "mismatch": difference, "mismatch_p99": difference}
        return cls(**record(fields)("summary", values))


@dataclass
class Seconds:
    """Seconds spent on each task; reading and writing overlap with `apply`."""

    read: float = 0.0
    apply: float = 0.0
    write: float = 0.0
    """Merging, converting and writing the parts."""
    waited: float = 0.0
    """Time in which `apply` had no tile, or its result could not be handed over yet."""
    assemble: float = 0.0
    total: float = 0.0

    def add(self, other: Seconds) -> None:
        """Add the times of another job."""
        for task, seconds in asdict(other).items():
            setattr(self, task, getattr(self, task) + seconds)


@dataclass(frozen=True)
class Drift:
    """Distance of a scene from the data that a model was trained on; `print` shows its meaning.

    The distance of a band is the mean absolute difference of its quantiles from those of the
    training data, in standard deviations of the training data.
    """

    bands: tuple[float, ...]
    """Distance of each band of the source, but for those of validity and of classes."""
    meaning: str
    """The distance in words, with errors of validation scenes if they are known, and remedies."""
    features: float | None = None
    """Distance of the features of the network's first levels from those of training, in standard
    deviations; None for networks without running statistics and scenes smaller than a chip."""

    @property
    def distance(self) -> float:
        """Mean distance of the bands."""
        return sum(self.bands) / len(self.bands)

    def __str__(self) -> str:
        return self.meaning


@dataclass(frozen=True)
class TranslatedRaster(os.PathLike[str]):
    """A written raster, usable as a path, with facts about its translation."""

    path: Path
    grid: Grid
    tiles: int = 0
    """Tiles that contribute to the written region, including the skipped ones."""
    skipped: int = 0
    """Tiles without a valid pixel, which were not translated."""
    lost: int = 0
    """Valid pixels whose translation was NaN or infinite; they are invalid in the output."""
    mismatch: float | None = None
    """Mean absolute difference of overlapping tiles, in output units; None without overlap."""
    mismatch_p99: float | None = None
    """99th percentile of the absolute differences of overlapping tiles."""
    seconds: Seconds = field(default_factory=Seconds)
    """Times of this run, without the parts that an earlier run had finished."""
    warnings: tuple[str, ...] = ()
    """Warnings issued during the translation."""
    drift: Drift | None = None
    """Distance of the scene from the training data; None if it is not known."""
    source: str | None = None
    """Path or GDAL name of the raster that was translated; None if it is not known."""

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def waited(self) -> float:
        """Share of the time of translation, 0 to 1, in which `apply` had to wait."""
        working = self.seconds.apply + self.seconds.waited
        return self.seconds.waited / working if working else 0.0

    def seams(self, target: RasterLike | None = None) -> Seams:
        """Measure seams at the edges of tiles, as `geotranslate.measure_seams` does.

        Args:
            target: True raster, on the same grid and with the same number of bands.
        """
        return measure_seams(self.path, target)

    def to_stac(
        self, *, model: str | None = None, source: str | None = None, time: str | None = None
    ) -> Any:
        """Return a `pystac.Item` of the raster, with the proj, raster and processing extensions.

        The lineage is read from the tags of the file. The asset's href is relative to the file of
        the item, `<name>.stac.json` beside the raster by default.

        Args:
            model: Path or URL of the item of the model, see `Translator.to_stac`.
            source: Path or URL of the scene or of its item.
            time: Time of the scene, ISO 8601; by default the time at which the file was written.

        Raises:
            MissingPackageError: pystac is not installed.
            RasterFileError: The raster cannot be read, for example because its parts are not put
                together yet.
            InvalidInputError: `time` is no time.
        """
        found = raster_item(self.path, model=model, source=source, time=time)
        return to_pystac(found, item_path(self.path))

    @checks_arguments
    def explore(self, truth: RasterLike | None = None) -> Any:
        """Return a map with a divider for notebooks, the translation on its right.

        It needs the extra `map`. A map in the background can be added by the map's `add`.

        Args:
            truth: Raster for the left side: path, URL or GDAL name. By default it is the raster
                that was translated, if it is known.

        Returns:
            An `ipyleaflet.Map`, whose tiles localtileserver answers on this machine.

        Raises:
            RasterFileError: A raster cannot be read.
            InvalidInputError: A raster has no CRS or no transform.
            MissingPackageError: ipyleaflet or localtileserver is not installed.
        """
        known = self.source if truth is None else truth
        return explore_raster(
            self.path, known, ("Source" if truth is None else "Truth", "Translation")
        )

    def _repr_html_(self) -> str:
        facts = {
            "size": f"{self.grid.width} x {self.grid.height} px",
            "tiles": f"{self.tiles}, {self.skipped} of them skipped",
            "tile mismatch": "no overlap"
            if self.mismatch is None
            else f"{self.mismatch:.3g} mean, {self.mismatch_p99:.3g} at 99 %",
            "time": f"{self.seconds.total:.1f} s, {self.waited:.0%} of it waiting for tiles",
            **({} if self.drift is None else {"distance from training": str(self.drift)}),
            **{f"warning {i}": text for i, text in enumerate(self.warnings, 1)},
        }
        table = as_html(facts.items())
        return f"<p>{html.escape(str(self.path))}</p>{self._picture()}{table}"

    def _picture(self) -> str:
        try:
            return as_picture(thumbnail(self.path), f"Picture of {self.path.name}")
        except (RasterioError, OSError):
            return ""  # parts that are not put together yet, or a file that is gone

    def with_warnings(self, said: Iterable[str]) -> TranslatedRaster:
        """Return the result with earlier warnings before its own."""
        return replace(self, warnings=(*said, *self.warnings))


def thumbnail(path: str | os.PathLike[str]) -> bytes:
    """Return a small picture of a raster as PNG: its first three bands, or its first.

    Three bands of uint8 are a picture already; others are stretched, each band from its 2nd to its
    98th percentile. Invalid pixels are transparent.
    """
    with quiet_about_georeference(), rasterio.open(path) as dataset:
        shrink = max(dataset.height, dataset.width, THUMBNAIL) / THUMBNAIL
        shape = (max(int(dataset.height / shrink), 1), max(int(dataset.width / shrink), 1))
        bands = [1, 2, 3] if dataset.count >= 3 else [1]
        data = dataset.read(bands, out_shape=(len(bands), *shape), resampling=Resampling.nearest)
        valid = dataset.dataset_mask(out_shape=shape) > 0
    shown = np.zeros((len(bands) + 1, *shape), np.uint8)
    shown[-1] = valid * 255
    for band, values in enumerate(data):
        seen = values[valid & np.isfinite(values)]
        if seen.size:
            drawn = len(bands) == 3 and values.dtype == np.uint8
            low, high = (0, 255) if drawn else np.percentile(seen, (2, 98))
            scaled = (np.nan_to_num(values.astype(float)) - low) / ((high - low) or 1)
            shown[band] = np.clip(scaled * 255, 0, 255)
    profile = {"driver": "PNG", "dtype": "uint8", "count": len(shown)}
    with (
        quiet_about_georeference(),
        rasterio.MemoryFile() as memory,
    ):
        with memory.open(**profile, height=shape[0], width=shape[1]) as picture:
            picture.write(shown)
        return bytes(memory.read())
