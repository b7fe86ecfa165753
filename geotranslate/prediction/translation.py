"""Translation of scenes by a model, and the provenance that its outputs carry."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from geotranslate.chips.bands import Direction, Quantiles, Side, sample_scene
from geotranslate.chips.vectors import area_on
from geotranslate.errors import InvalidInputError, warn
from geotranslate.prediction.imageinference import ForScene, ImageInference
from geotranslate.prediction.itemscenes import ItemScene
from geotranslate.prediction.normstats import MOST_SAMPLED
from geotranslate.prediction.pixelsize import find_resampling
from geotranslate.prediction.scenefiles import like_training
from geotranslate.prediction.scenes.drift import warn_if_unlike
from geotranslate.prediction.scenes.likeness import drift_of, scene_features
from geotranslate.prediction.scenes.matching import map_to_training, matched
from geotranslate.prediction.tilesize import PredictOptions, fitting_tile
from geotranslate.prediction.tta import Tta
from geotranslate.raster.bandfacts import fits
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.pipeline import (
    PREFIX,
    Drift,
    ReadOptions,
    RunOptions,
    SceneBlocks,
    TranslatedRaster,
    TranslateOptions,
    moment_in,
    refuse_item,
    translate,
    write_item,
)
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import TilingOptions
from geotranslate.raster.writing import Color, OutputOptions


@dataclass(frozen=True)
class Provenance:
    """A model and the options that determine the pixels of its translations."""

    model: str
    """Name of its class."""
    digest: str
    """SHA-256 of its weights."""
    inference: ImageInference
    tta: Tta
    options: PredictOptions
    direction: Direction = "AtoB"

    @property
    def resampled(self) -> dict[str, Any]:
        """Pixels in training for some pixels of the scene; empty if they are of one size."""
        ratio = self.inference.resampling
        return {} if ratio is None else {"resampling": asdict(ratio)}

    @property
    def named(self) -> dict[str, str]:
        """Everything that the translation of a tile depends on, by names for messages."""
        card = json.dumps(self.inference.card.to_json(), sort_keys=True)
        match = {} if self.options.match is None else {"match": self.options.match}
        return {
            "model": "\n".join((self.model, self.digest, card)),
            "direction": self.direction,
            "precision": self.inference.precision,
            "norm_stats": str(self.inference.norm_stats),
            "test-time augmentation": str(self.tta),
            "version of geotranslate": version("geotranslate"),
            **match,
            **{name: json.dumps(value) for name, value in self.resampled.items()},
        }

    @property
    def identity(self) -> str:
        """SHA-256 of everything that the translation of a tile depends on."""
        return hashlib.sha256("\n".join(self.named.values()).encode()).hexdigest()

    def tags(self, scene: str, area: BaseGeometry | None) -> dict[str, str]:
        """Return the tags of an output; equal translations have equal tags."""
        parameters = self.options.parameters | {
            "aoi": None if area is None else hashlib.sha256(area.wkb).hexdigest()[:16],
            "direction": self.direction,
            "precision": self.inference.precision,
            "norm_stats": self.inference.norm_stats,
            "tta": self.tta,
            **self.resampled,
        }
        return {
            f"{PREFIX}VERSION": version("geotranslate"),
            f"{PREFIX}MODEL": self.model,
            f"{PREFIX}WEIGHTS_SHA256": self.digest,
            f"{PREFIX}IDENTITY": self.identity,
            f"{PREFIX}SOURCE": scene,
            f"{PREFIX}PARAMETERS": json.dumps(parameters, sort_keys=True, default=str),
        }


@dataclass(frozen=True)
class _Order:
    """A function of tiles with the options for one scene, and what was found out about it."""

    apply: Any
    options: TranslateOptions
    warnings: tuple[str, ...]
    drift: Drift | None


@dataclass(frozen=True)
class Translation:
    """A model and a set of options by which scenes are translated."""

    inference: ImageInference
    """Inference of the model."""
    apply: ForScene
    """Function that returns the function of tiles, in this process or in workers."""
    provenance: Provenance
    options: PredictOptions
    scenes: Mapping[str, Mapping[str, float]]
    """Distances and errors of validation scenes, by name."""
    model_item: str | None = None
    """Path of the STAC Item of the model, if it is known."""

    def write(self, scene: RasterLike, output: Path) -> TranslatedRaster:
        """Translate a scene; warn if it differs from the training chips.

        Raises:
            GeotranslateError: As `Predictor.predict_raster`.
        """
        options = self.options
        if options.stac:
            refuse_item(output, replaced=options.overwrite or options.resume)
        scene = like_training(scene, self.inference.card.source)
        with RasterReader(scene) as source:
            order = self._order(source)
            written = translate(scene, output, order.apply, order.options)
            if options.stac:
                self._write_item(scene, source, written)
            return replace(written.with_warnings(order.warnings), drift=order.drift)

    def _write_item(
        self, scene: RasterLike, source: RasterReader, written: TranslatedRaster
    ) -> None:
        """Write the STAC Item of a translation, with links to the Items of model and scene."""
        if isinstance(scene, ItemScene):
            link, time = scene.item or scene.path, scene.time
        else:
            link, time = source.name, source.dataset.tags().get("TIFFTAG_DATETIME")
        # Addresses of private rasters have passwords and signatures, which the Item must not tell.
        known = "" if link.startswith("/vsimem/") else re.sub(r"(://)[^/@]*@|\?.*", r"\1", link)
        write_item(written.path, model=self.model_item, source=known, time=moment_in(time))

    @contextmanager
    def blocks(self, scene: RasterLike) -> Iterator[SceneBlocks]:
        """Yield the pixels that `write` would write, computed block by block when asked for.

        Raises:
            GeotranslateError: As `Predictor.predict_raster`.
        """
        scene = like_training(scene, self.inference.card.source)
        with RasterReader(scene) as source:
            order = self._order(source)
            reader = RasterReader(source.dataset, order.options.reading.bands)
            yield SceneBlocks.of(reader, order.apply, order.options)

    def _order(self, source: RasterReader) -> _Order:
        """Return the function and the options for a scene; warn if it differs from the training."""
        options, card = self.options, self.inference.card
        bands = self.inference.bands_of(source, options.bands)
        area = self._area(source)
        grid = source.grid
        size = (grid.height, grid.width)
        resampling = find_resampling(source.name, grid, size, self.inference, options.resolution)
        inference = self.inference.resampled(resampling)
        provenance = replace(self.provenance, inference=inference)
        chosen = RasterReader(source.dataset, bands)
        found = warn_if_unlike(chosen, card, resampling)
        quantiles = self._quantiles(chosen)
        drift = self._drift(chosen, quantiles, inference)
        apply, fill = self._matched(chosen, quantiles, self.apply(inference), found)
        tile_size = self._tile_size(source, inference)
        asked = TranslateOptions(
            ReadOptions(bands, area, options.bbox, fill),
            TilingOptions(
                tile_size, options.overlap, options.padding, options.blend, scale=card.factor
            ),
            self._outputs(provenance, provenance.tags(source.short_name, area)),
            RunOptions(
                batch_size=inference.batch_size(options.batch_size, tile_size),
                overwrite=options.overwrite,
                resume=options.resume,
                executor=options.executor,
                part=options.part,
                max_memory=options.max_memory,
                progress=options.progress,
                identity=provenance.named,
            ),
        )
        return _Order(apply, asked, tuple(found), drift)

    def _outputs(self, provenance: Provenance, tags: dict[str, str]) -> OutputOptions:
        """Return the properties of outputs."""
        options, target = self.options, self.inference.card.target
        facts, names = target.band_facts, target.band_names
        if provenance.tta == "std":
            facts, names = facts.with_deviation(), (*names, "standard deviation")
        return OutputOptions(
            bands=len(names),
            dtype=options.dtype,
            nodata=options.nodata,
            band_names=names,
            scales=facts.scales,
            offsets=facts.offsets,
            units=facts.units,
            colors=facts.colors,
            colormap=_colormap(target, options.dtype),
            categorical=target.classes is not None,
            tags=tags,
            driver=options.driver,
        )

    def _quantiles(self, source: RasterReader) -> Quantiles | None:
        """Return the quantiles of a scene; None without those of training to compare them with."""
        if self.inference.card.source.quantiles is None:
            return None
        return Quantiles.of(sample_scene(source))

    def _drift(
        self, source: RasterReader, quantiles: Quantiles | None, inference: ImageInference
    ) -> Drift | None:
        return drift_of(
            source.short_name,
            quantiles,
            self.inference.card.source,
            self.scenes,
            normalizes=inference.mixes_statistics,
            features=None if quantiles is None else scene_features(source, inference),
        )

    def _matched(
        self, source: RasterReader, quantiles: Quantiles | None, apply: Any, said: list[str]
    ) -> tuple[Any, tuple[float, ...]]:
        """Return the function of tiles for a scene, and the fill value of its invalid pixels.

        Warns, and adds the warning to `said`, if there is nothing to match.
        """
        side = self.inference.card.source
        if self.options.match is None:
            return apply, side.fill
        values = map_to_training(quantiles, side)
        if values is None:
            said.append(
                f"{source.short_name} has no valid pixel in windows spread over it, so "
                "its values cannot be matched and are translated as they are."
            )
            warn(said[-1])
            return apply, side.fill
        return matched(apply, values), values.inverse(side.fill)

    def _tile_size(self, source: RasterReader, inference: ImageInference) -> int:
        options = self.options
        if not isinstance(options.tile_size, str):
            return options.tile_size
        # Tiles normalized on their own should be like the chips. Interpolated statistics need
        # larger tiles, because few pixels are left at the innermost level of a chip.
        alone = inference.norm_stats in ("tile", "smooth")
        radius = None if alone else inference.radius
        chip = inference.card.chip_size * (2 if inference.norm_stats == "smooth" else 1)
        ratio = 1.0 if inference.resampling is None else max(inference.resampling.ratios)
        if options.tile_size == "chip":
            side = math.ceil(inference.card.chip_size / ratio)
            return math.ceil(side / inference.stride) * inference.stride
        chip = math.ceil(chip / ratio)
        most = 0
        if radius is not None:
            most = int(inference.largest_tile(options.workers) / ratio)
        if inference.needs_prescan and not alone:
            most = min(most, int(MOST_SAMPLED / ratio))
        crop = options.blend != "hann" and options.overlap is None and options.padding is None
        size = source.grid.height, source.grid.width
        return fitting_tile(size, inference.stride, radius, chip, most, crop=crop)

    def _area(self, source: RasterReader) -> BaseGeometry | None:
        if self.options.aoi is None:
            return None
        area = area_on(self.options.aoi, source.grid)
        if not area.intersects(source.grid.footprint):
            raise InvalidInputError(
                f"The aoi does not touch {source.name}; give an area on its ground, as a "
                "geometry in its CRS or as a layer that names its own."
            )
        return area


def _colormap(target: Side, dtype: str) -> dict[int, Color] | None:
    if target.classes is None or not target.classes.colors or dtype not in ("uint8", "uint16"):
        return None
    rows = (row for row in target.classes.colors if fits(row[0], dtype))
    return {value: (red, green, blue, alpha) for value, red, green, blue, alpha in rows} or None
