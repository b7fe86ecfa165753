"""`report`, the method of translators that shows a model and its scenes in one HTML file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

from fastai.data.core import DataLoaders

from geotranslate.checks import flag, listed, number, shown, whole_number
from geotranslate.chips.bands import DataCard, Direction, Side
from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.classcounts import ClassesLike, PaletteLike
from geotranslate.evaluation.zones import ZonesLike
from geotranslate.metrics import Metrics
from geotranslate.migration import checks_arguments
from geotranslate.raster.opening import RasterLike
from geotranslate.report.charts import curves_of
from geotranslate.report.coloring import number_text
from geotranslate.report.content import Page, Row, SceneSection, plural
from geotranslate.report.measuretables import metric_tables
from geotranslate.report.modelsections import (
    data_section,
    model_table,
    options_table,
    shares_of_ground,
)
from geotranslate.report.page import page_path, render, write_page
from geotranslate.report.reproduction import digest_of, digests_of, reproduction_of
from geotranslate.report.scenesections import (
    Evaluable,
    SceneOptions,
    ShownScene,
    scene_section,
)

MEGABYTE = 10**6
DEFAULT_SIZE = 20.0
LARGEST = 2000
"""Largest size of a page, MB."""
ROOM = 40_000
"""Bytes kept free for the tables of each scene."""
SceneAndReference: TypeAlias = "RasterLike | tuple[RasterLike, RasterLike | None]"


class Reportable(Evaluable, Protocol):
    """A model that a page can show."""

    data: DataLoaders | None
    config: Any
    history: list[dict[str, float]]
    metrics: Metrics

    @property
    def name(self) -> str:
        """Name of its class."""
        ...

    def digest(self) -> str:
        """Return the SHA-256 of the weights."""
        ...


@checks_arguments
def report(
    model: Reportable,
    path: str | os.PathLike[str],
    scenes: Iterable[SceneAndReference] = (),
    *,
    direction: Direction = "AtoB",
    zones: ZonesLike | None = None,
    classes: ClassesLike | None = None,
    palette: PaletteLike | None = None,
    tolerance: float | None = None,
    bands: Sequence[int | str] | None = None,
    reference_bands: Sequence[int | str] | None = None,
    rgb_bands: int | Sequence[int] | None = None,
    max_size: float = 20.0,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Translate scenes, and show model, data and results in one HTML file.

    The file needs no network. It holds the model's card and learning curves, the split and samples
    of the data if the model has its data, and for each scene measures, seams, warnings and a viewer
    that compares source, translation, truth and error. Equal inputs make equal files on a CPU. The
    translations are written to a temporary folder and removed.

    Args:
        model: The model, as the method's `self`.
        path: HTML file to write.
        scenes: Scenes to translate, each with its reference: pairs `(scene, reference)`, or scenes
            without a reference.
        direction: "AtoB" from source to target; "BtoA" back, for models trained in both directions.
        zones: Polygons that are measured apart.
        classes: Classes by number, see `evaluate_raster`; by default those of the model's targets.
        palette: Colors of the classes, for models whose targets show classes in colors.
        tolerance: Largest Euclidean distance from a color of the palette; any by default.
        bands: Bands of the scenes to translate, as in `predict_raster`.
        reference_bands: Bands of the references, by number from 1 or by name.
        rgb_bands: Three bands to draw as colors or one to draw in gray, by number from 1, on the
            sides that have them.
        max_size: Largest size of the file, MB of 1,000,000 bytes. The finest levels of the pictures
            are left out until it is kept.
        overwrite: Whether an existing file may be replaced.
        progress: Whether to show progress bars.

    Returns:
        The file.

    Raises:
        RasterFileError: A raster cannot be read, or the file cannot be written.
        OutputExistsError: The file exists and `overwrite` is false.
        GridMismatchError: A reference cannot be aligned to the scene's grid.
        InvalidInputError: A scene or reference has other bands than the model, `max_size` is too
            small, or an argument is invalid.
    """
    file = page_path(path, overwrite=overwrite)
    limit = int(number("max_size", max_size, above=0, most=LARGEST) * MEGABYTE)
    flag("progress", progress)
    options = SceneOptions(
        direction=direction,
        zones=zones,
        classes=classes,
        palette=palette,
        tolerance=tolerance,
        bands=bands,
        reference_bands=reference_bands,
        rgb_bands=_drawn(rgb_bands),
        progress=progress,
    )
    draft = Draft(model, tuple(_shown_scenes(scenes)), options)
    size = None if max_size == DEFAULT_SIZE else max_size
    page = draft.page(file, {"rgb_bands": rgb_bands, "max_size": size})
    text = render(draft.with_scenes(page, limit))
    if len(text.encode()) > limit:
        raise InvalidInputError(
            f"max_size is {max_size:g} MB but the report needs {len(text.encode()) / MEGABYTE:.2f} "
            "MB with the smallest pictures; give that size, or fewer scenes."
        )
    write_page(file, text)
    return file


class Draft:
    """A page in the making.

    Args:
        model: The model.
        scenes: The scenes.
        options: Arguments for all scenes.
    """

    def __init__(
        self,
        model: Reportable,
        scenes: tuple[ShownScene, ...],
        options: SceneOptions,
    ) -> None:
        self.model, self.scenes, self.options = model, scenes, options
        self.way = model.towards(options.direction)

    def page(self, file: Path, others: Mapping[str, Any]) -> Page:
        """Return the page without its scenes.

        Args:
            file: Its file.
            others: Arguments of `report` that scenes do not have.
        """
        model, card = self.model, self.way.card
        given = self.options.of_evaluation | dict(others)
        given |= {"progress": None, "data": None if model.data is None else "CHIPS"}
        if given["direction"] == "AtoB":
            given["direction"] = None
        names = [(scene.name, scene.reference_name) for scene in self.scenes]
        grids = [(scene.name, scene.grid) for scene in self.scenes]
        drawn = self.options.rgb_bands
        return Page(
            title=f"{model.name} from {_kind(card.source)} to {_kind(card.target)}",
            subtitle=_subtitle(card, self.scenes),
            model=model_table(model.name, self.way, len(model.history)),
            options=options_table(model.config),
            data=data_section(model.data, self.way, grids, drawn),
            curves=curves_of(model.history),
            metrics=metric_tables(model.metrics) if self.options.direction == "AtoB" else (),
            scenes=(),
            limits=_limits(card),
            reproduction=reproduction_of(
                file,
                names,
                {name: value for name, value in given.items() if value is not None},
                model.digest(),
                self._inputs(),
            ),
        )

    def with_scenes(self, page: Page, limit: int) -> Page:
        """Return a page with the sections of the scenes.

        Args:
            page: The page without them.
            limit: Bytes of the whole page.
        """
        sections: list[SceneSection] = []
        room = limit - len(render(page).encode())
        for scene in self.scenes:
            budget = max(room // (len(self.scenes) - len(sections)) - ROOM, 0)
            ground = shares_of_ground(self.model.data, scene.grid)
            section = scene_section(self.model, scene, self.options, ground, budget)
            sections.append(section)
            room -= len(json.dumps(section.view.data)) + ROOM
            room -= sum(len(picture.uri) for picture in section.view.pictures)
        viewers = {str(each.number): each.view.data for each in sections}
        return replace(page, scenes=sections, viewers=viewers)

    def _inputs(self) -> Iterator[Row]:
        for scene in self.scenes:
            for raster in (scene.scene, scene.reference):
                yield from [] if raster is None else digests_of(raster)
        zones = self.options.zones
        if isinstance(zones, str | os.PathLike):
            yield digest_of(Path(zones))


def _shown_scenes(scenes: object) -> Iterator[ShownScene]:
    """Yield the scenes of `report`.

    Raises:
        InvalidInputError: They are not a series of rasters and of pairs of rasters.
    """
    several = isinstance(scenes, Iterable) and not isinstance(scenes, str | os.PathLike | Mapping)
    found: list[Any] = [*cast(Iterable[Any], scenes)] if several else []
    plain = isinstance(scenes, tuple) and any(not isinstance(each, tuple | list) for each in found)
    if not several or plain:
        raise InvalidInputError(
            f"scenes is {shown(scenes)}; give a list of pairs (scene, reference), and of scenes "
            "without a reference."
        )
    for place, each in enumerate(found, 1):
        pair = each if isinstance(each, tuple | list) else (each, None)
        if len(pair) != 2 or pair[0] is None:
            raise InvalidInputError(
                f"Item {place} of scenes is {shown(each)}; give a scene, or a pair (scene, "
                "reference)."
            )
        yield ShownScene(place, pair[0], pair[1])


def _drawn(rgb_bands: int | Sequence[int] | None) -> tuple[int, ...] | None:
    """Return bands to draw from 0; None for the default."""
    if rgb_bands is None:
        return None
    found = listed(rgb_bands)
    if len(found) not in (1, 3):
        raise InvalidInputError(
            f"rgb_bands is {shown(rgb_bands)}; give three numbers of bands, or one."
        )
    return tuple(whole_number("rgb_bands", band, 1) - 1 for band in found)


def _kind(side: Side) -> str:
    """Return what a side holds, in a few words."""
    if side.classes is not None:
        return side.classes.count
    if side.is_picture:
        return f"a picture of {plural(side.bands, 'band')}"
    names = [name for name in side.band_names if name]
    if len(names) == side.bands <= 4:
        return ", ".join(names)
    return f"measurements in {plural(side.bands, 'band')}"


def _subtitle(card: DataCard, scenes: Sequence[ShownScene]) -> str:
    """Return the extent of training and of the page in a sentence."""
    noun = "pair" if card.paired else "chip"
    trained = f"Trained on {plural(len(card.train_pairs), noun)}"
    known = sum(scene.reference is not None for scene in scenes)
    if not scenes:
        return f"{trained}."
    return f"{trained}, shown on {plural(len(scenes), 'scene')}, {known} with a reference."


def _limits(card: DataCard) -> tuple[str, ...]:
    """Return sentences about the limits of every model."""
    found = [
        "The model knows the ground, season, sensor and processing of its training data alone. On "
        "other ground its error may be larger than any number on this page.",
    ]
    if card.source.extent is not None and card.source.classes is None:
        spans = ", ".join(
            f"{name or f'band {place}'} {number_text(low)} to {number_text(high)}"
            for place, (name, (low, high)) in enumerate(
                zip(card.source.band_names, card.source.extent, strict=True), 1
            )
        )
        found.append(f"Values of the source in training: {spans}.")
    if card.ground_size is not None:
        along, down = (number_text(side) for side in card.ground_size)
        found.append(f"A pixel of the training data is {along} x {down} m on the ground.")
    return tuple(found)
