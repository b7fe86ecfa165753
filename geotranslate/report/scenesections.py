"""Sections of scenes: their translation, its measures, pictures and warnings."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from geotranslate.chips.bands import Direction
from geotranslate.chips.scenes import target_bands
from geotranslate.chips.stacking import as_raster
from geotranslate.evaluation.classcounts import ClassesLike, PaletteLike
from geotranslate.evaluation.zones import ZonesLike
from geotranslate.prediction.predictor import Predictor
from geotranslate.prediction.scenefiles import like_training
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.pipeline import TranslatedRaster
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.seams import Seams
from geotranslate.report.coloring import number_text
from geotranslate.report.content import SceneSection, Table, page_name, plural
from geotranslate.report.coordinates import name_of, unit_of
from geotranslate.report.measuretables import highlight_of, measure_tables, seam_table
from geotranslate.report.sceneview import SceneRasters, SceneView, view_scene


class Evaluable(Protocol):
    """A model that translates scenes and compares them with references."""

    def towards(self, direction: Direction) -> Predictor:
        """Return the predictor of a direction."""
        ...

    evaluate: Any
    """Method that translates a scene and compares it; see `Translator.evaluate`."""


@dataclass(frozen=True)
class SceneOptions:
    """Arguments of `report` for every scene; see there."""

    direction: Direction = "AtoB"
    zones: ZonesLike | None = None
    classes: ClassesLike | None = None
    palette: PaletteLike | None = None
    tolerance: float | None = None
    bands: Sequence[int | str] | None = None
    reference_bands: Sequence[int | str] | None = None
    rgb_bands: tuple[int, ...] | None = None
    """Bands to draw, from 0."""
    progress: bool = True

    @property
    def of_evaluation(self) -> dict[str, Any]:
        """Arguments of `evaluate` of a model."""
        names = ("direction", "zones", "classes", "palette", "tolerance", "bands")
        return {name: getattr(self, name) for name in (*names, "reference_bands", "progress")}


@dataclass(frozen=True)
class ShownScene:
    """A scene, its reference, and its place on the page."""

    number: int
    scene: RasterLike
    reference: RasterLike | None

    @property
    def name(self) -> str:
        """Name of the scene without folders."""
        return _name(self.scene)

    @property
    def reference_name(self) -> str:
        """Name of the reference without folders, "" for none."""
        return "" if self.reference is None else _name(self.reference)

    @property
    def grid(self) -> Grid:
        """Grid of the scene."""
        with RasterReader(as_raster(self.scene)) as source:
            return source.grid


def scene_section(
    model: Evaluable,
    shown: ShownScene,
    options: SceneOptions,
    ground: Mapping[str, float],
    budget: int,
) -> SceneSection:
    """Translate a scene, compare it with its reference if it has one, and return its section.

    Args:
        model: The model.
        shown: The scene.
        options: Arguments of `report`.
        ground: Shares of the scene that are ground of parts of the training data.
        budget: Bytes for pictures and values.
    """
    way = model.towards(options.direction)
    target = way.card.target
    with tempfile.TemporaryDirectory() as folder:
        output, mistakes = (Path(folder) / name for name in ("translation.tif", "mistakes.tif"))
        scene = like_training(as_raster(shown.scene), way.card.source)
        with RasterReader(scene) as source:
            bands, short_name = way.inference.bands_of(source, options.bands), source.short_name
        rasters = SceneRasters(scene, bands, output, way.card)
        found = None
        if shown.reference is None:
            translated = way.predict_raster(
                scene, output, bands=options.bands, progress=options.progress
            )
        else:
            classes = _are_classes(options, way)
            found = model.evaluate(
                scene,
                shown.reference,
                output,
                error=mistakes if classes else None,
                **options.of_evaluation,
            )
            translated = found.translation
            rasters = SceneRasters(
                scene,
                bands,
                output,
                way.card,
                shown.reference,
                options.reference_bands or target_bands(shown.reference, target),
                mistakes if classes else None,
                _palette(options.palette),
            )
        view = view_scene(rasters, budget, options.rgb_bands)
        seams = _seams(translated, rasters)
    return SceneSection(
        shown.number,
        shown.name,
        shown.reference_name,
        _facts(translated, view),
        () if found is None else measure_tables(found),
        seams,
        view,
        _warnings(translated, view, ground, (short_name, shown.name), known=found is not None),
        None if found is None else highlight_of(shown.name, found, target, ground.get("train", 0)),
    )


def _name(raster: RasterLike) -> str:
    with RasterReader(as_raster(raster)) as reader:
        return page_name(reader.name, reader.short_name)


def _are_classes(options: SceneOptions, way: Predictor) -> bool:
    """Tell whether translations are compared as classes, as `evaluate` of a model does."""
    if options.palette is not None:
        return True
    given = options.classes
    return way.card.target.classes is not None if given is None else bool(given)


def _palette(palette: PaletteLike | None) -> Mapping[int, Sequence[float]] | None:
    if palette is None or isinstance(palette, Mapping):
        return palette
    return dict(enumerate(palette))


def _facts(translated: TranslatedRaster, view: SceneView) -> Table:
    grid = translated.grid
    along, down = (number_text(side) for side in grid.resolution)
    unit = unit_of(grid.crs)
    pixel = 2**view.finest
    rows = [
        ("Size", f"{grid.width:,} x {grid.height:,} px"),
        ("CRS", name_of(grid.crs)),
        ("Pixel", f"{along} x {down} {unit}".rstrip()),
        ("Tiles", f"{translated.tiles:,}{_skipped(translated)}"),
        (
            "Pictures on this page",
            "every pixel" if pixel == 1 else f"1 pixel for {pixel} x {pixel} of the scene",
        ),
        (
            "Values on this page",
            "every pixel, exact"
            if view.step == 1
            else f"every {view.step}th row and column, exact",
        ),
    ]
    if translated.lost:
        rows.append(("Lost", f"{plural(translated.lost, 'pixel')} whose translation was infinite"))
    return Table("Scene", tuple(rows), numeric=False)


def _skipped(translated: TranslatedRaster) -> str:
    if not translated.skipped:
        return ""
    return f", of which {translated.skipped:,} have no valid pixel"


def _seams(translated: TranslatedRaster, rasters: SceneRasters) -> Table | None:
    """Return the seam measures: of the error if the reference lies on the same grid."""
    if rasters.card.target.classes is not None:
        # Differences of class numbers have no meaning.
        return seam_table(None, translated.mismatch, of_error=False)
    reference = _on_grid(translated, rasters)
    measured: Seams = translated.seams(reference)
    return seam_table(measured, translated.mismatch, of_error=reference is not None)


def _on_grid(translated: TranslatedRaster, rasters: SceneRasters) -> RasterLike | None:
    if rasters.reference is None or rasters.reference_bands is not None:
        return None
    with ExitStack() as stack:
        reference = as_raster(rasters.reference)
        truth = stack.enter_context(RasterReader(reference))
        made = stack.enter_context(RasterReader(translated.path))
        same = truth.grid.matches(made.grid) and truth.bands == made.bands
    return reference if same else None


def _warnings(
    translated: TranslatedRaster,
    view: SceneView,
    ground: Mapping[str, float],
    names: tuple[str, str],
    *,
    known: bool,
) -> tuple[str, ...]:
    """Return sentences about what the model does not know of a scene."""
    found = [*translated.warnings]
    if translated.drift is not None:
        found.append(str(translated.drift))
    # Sentences name the scene as it was given.
    found = [sentence.replace(*names) for sentence in found]
    if view.extrapolated == 0:
        found.append("All values of the scene lie within those of the training pixels.")
    elif view.extrapolated is not None:
        found.append(
            f"{_share(view.extrapolated)} of the scene's valid pixels have a value that no "
            "training pixel has; there the model extrapolates."
        )
    if ground.get("train", 0) > 0:
        found.append(
            f"{_share(ground['train'])} of the scene is ground that the model was trained on, "
            + ("so its measures are too good for other ground." if known else "where it is better.")
        )
    if not known:
        found.append("There is no reference for this scene, so its error is not known.")
    return tuple(found)


def _share(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "Less than 0.1%"
