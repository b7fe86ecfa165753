"""One way to translate scenes: what is asked of `translate_raster` for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from geotranslate.chips.bands import DataCard, Side
from geotranslate.chips.vectors import AreaLike, area_on
from geotranslate.errors import InvalidInputError
from geotranslate.prediction.drift import warn_if_unlike
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.provenance import Provenance
from geotranslate.prediction.scenestatistics import MOST_SAMPLED, Surveyor
from geotranslate.prediction.tilesize import fitting_tile, largest_tile
from geotranslate.prediction.tta import TileFunction
from geotranslate.raster.dtypes import fits
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.pipeline import TranslatedRaster, translate_raster
from geotranslate.raster.reader import RasterReader


@dataclass(frozen=True)
class Translation:
    """A model, and how it is asked to translate scenes."""

    inference: Inference
    """Which knows the bands that the model takes."""
    apply: TileFunction | Surveyor
    """What translates tiles wherever that is done."""
    card: DataCard
    provenance: Provenance
    aoi: AreaLike | None
    settings: dict[str, Any]
    """Arguments of `translate_raster`, where "auto" and None stand for what the scene decides."""
    workers: int = 1
    """How many share the memory."""

    def write(self, scene: RasterLike, output: Path) -> TranslatedRaster:
        """Translate a scene; warn where it is not like the training chips.

        Raises:
            GeotranslateError: As `Predictor.predict_raster`.
        """
        with RasterReader(scene) as source:
            bands = self.inference.bands_of(source)
            area = self._area(source)
            said = warn_if_unlike(RasterReader(source.dataset, bands), self.card)
            written = translate_raster(
                scene,
                output,
                self.apply,
                bands=bands,
                aoi=area,
                fill=self.card.source.fill,
                tags=self.provenance.tags(source.name, area),
                identity=self.provenance.named,
                **written_facts(
                    self.card.target,
                    self.settings["dtype"],
                    with_deviation=self.provenance.tta == "std",
                ),
                **self.settings | self._sizes(source),
            )
            return written.with_warnings(said)

    def _sizes(self, source: RasterReader) -> dict[str, int]:
        tile = self.settings["tile_size"]
        if tile == "auto":
            tile = self._tile((source.grid.height, source.grid.width))
        batch = self.inference.batch_size(self.settings["batch_size"], tile)
        return {"tile_size": tile, "batch_size": batch}

    def _tile(self, size: tuple[int, int]) -> int:
        inference, chip = self.inference, self.card.chip_size
        # Tiles that are normalised by themselves are like the chips, and statistics between tiles
        # are of more pixels than the few that are left of a chip inside.
        radius = None if inference.norm_stats in ("tile", "smooth") else inference.radius
        chip *= 2 if inference.norm_stats == "smooth" else 1
        most = 0
        if radius is not None:
            most = largest_tile(inference.generator, self.card, self.workers)
        if inference.norm_stats == "scene":
            most = min(most, MOST_SAMPLED)
        laid = [self.settings[name] for name in ("overlap", "padding")]
        crop = self.settings["blend"] != "hann" and laid == [None, None]
        return fitting_tile(size, inference.stride, radius, chip, most, crop=crop)

    def _area(self, source: RasterReader) -> BaseGeometry | None:
        if self.aoi is None:
            return None
        area = area_on(self.aoi, source.grid)
        if not area.intersects(source.grid.footprint):
            raise InvalidInputError(
                f"The aoi does not touch {source.name}; give an area on its ground, as a "
                "geometry in its CRS or as a layer that names its own."
            )
        return area


def written_facts(target: Side, dtype: str, *, with_deviation: bool) -> dict[str, Any]:
    """Return what an output is told of its bands: all that the training targets said of theirs.

    Args:
        target: The side of the targets.
        dtype: dtype of the output; a colour table is not possible with all of them.
        with_deviation: Whether a band with a standard deviation is added.
    """
    facts, names = target.band_facts, target.band_names
    if with_deviation:
        facts, names = facts.with_deviation(), (*names, "standard deviation")
    return {
        "bands_out": len(names),
        "band_names": names,
        "scales": facts.scales,
        "offsets": facts.offsets,
        "units": facts.units,
        "colors": facts.colors,
        "colormap": _colormap(target, dtype),
        "categorical": target.classes is not None,
    }


def _colormap(target: Side, dtype: str) -> dict[int, tuple[int, ...]] | None:
    if target.classes is None or not target.classes.colours or dtype not in ("uint8", "uint16"):
        return None
    rows = (row for row in target.classes.colours if fits(row[0], dtype))
    return {value: tuple(color) for value, *color in rows} or None
