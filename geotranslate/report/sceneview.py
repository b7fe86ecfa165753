"""The pictures and values of a scene, within a number of bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.chips.bands import DataCard
from geotranslate.evaluation.windows import AlignedReader
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import RasterLike, limited_cache
from geotranslate.raster.reader import RasterReader
from geotranslate.report.coloring import (
    Coloring,
    Legend,
    Pixels,
    color_of_errors,
    color_of_mistakes,
    color_of_numbers,
    color_of_side,
)
from geotranslate.report.coordinates import coordinates_of
from geotranslate.report.pyramid import TILE, Pyramid
from geotranslate.report.scenelayers import (
    ErrorLayer,
    Extrapolation,
    Layer,
    PlainLayer,
    SourceLayer,
    sampled,
)
from geotranslate.report.valuegrid import ValueGrid

SHARE_OF_VALUES = 0.35
"""Share of the bytes of a scene for its values; the rest is for its pictures."""
TITLES = {"source": "Source", "translation": "Translation", "truth": "Truth", "error": "Error"}
ERRORS = "Absolute error"
Watch = Callable[[NDArray[Any], NDArray[np.bool_]], None]


@dataclass(frozen=True)
class SceneRasters:
    """The rasters of a scene."""

    scene: RasterLike
    bands: tuple[int, ...]
    """Bands of the scene that were translated."""
    translation: Path
    card: DataCard
    reference: RasterLike | None = None
    reference_bands: Sequence[int | str] | None = None
    mistakes: Path | None = None
    """Error raster of classes; None for quantities."""
    palette: Mapping[int, Sequence[float]] | None = None
    """Colors of classes."""


@dataclass(frozen=True)
class Picture:
    """A picture of a scene on the page."""

    key: str
    title: str
    legend: Legend
    uri: str
    """The whole picture as a data URI."""
    width: int
    height: int


@dataclass(frozen=True)
class SceneView:
    """Pictures and values of a scene."""

    pictures: tuple[Picture, ...]
    data: dict[str, Any]
    """Plain values for the viewer."""
    finest: int
    """Finest level of the pictures: each of its pixels shows 2 ** `finest` along an axis."""
    step: int
    """Distance of the pixels whose values are on the page."""
    extrapolated: float | None
    """Share of source pixels with a value that no training pixel has; None if it is not known."""


@dataclass
class _Layers:
    """The layers of a scene by name."""

    readers: dict[str, Layer]
    colorings: dict[str, Coloring]
    depths: dict[str, tuple[int, str]]
    """Number of bands and dtype of those layers whose values are shown."""


def view_scene(rasters: SceneRasters, budget: int, rgb_bands: tuple[int, ...] | None) -> SceneView:
    """Return the pictures and values of a scene that fit in a number of bytes.

    The rasters are read once, in rows of tiles, so memory does not grow with the height.

    Args:
        rasters: The rasters.
        budget: Bytes as text in base64.
        rgb_bands: Bands to draw, from 0, on the sides that have them.

    Raises:
        RasterFileError: A raster cannot be read.
    """
    with ExitStack() as stack:
        translated = stack.enter_context(RasterReader(rasters.translation))
        grid = translated.grid
        layers = _opened(rasters, translated, rgb_bands, stack)
        stack.enter_context(limited_cache(grid.width, 2 * translated.depth))
        values = ValueGrid(grid.height, grid.width, layers.depths, int(budget * SHARE_OF_VALUES))
        beyond = _extrapolation(rasters.card)
        pyramid = Pyramid(grid.height, grid.width, budget)
        for key, coloring in layers.colorings.items():
            watch = beyond.add if beyond is not None and key == "source" else None
            strip = _strips(key, layers.readers[key], coloring, grid, values, watch)
            pyramid.add(key, coloring, strip)
        packed = values.packed()
        pyramid.fit(budget - sum(len(each["data"] + each["valid"]) for each in packed.values()))
    return SceneView(
        tuple(_picture(key, pyramid) for key in pyramid.layers),
        _for_viewer(pyramid, packed) | coordinates_of(grid) | {"step": values.step},
        pyramid.finest,
        values.step,
        None if beyond is None else beyond.share,
    )


def _opened(
    rasters: SceneRasters,
    translated: RasterReader,
    rgb_bands: tuple[int, ...] | None,
    stack: ExitStack,
) -> _Layers:
    """Return the layers of a scene, which the stack closes."""
    card, grid = rasters.card, translated.grid
    source = stack.enter_context(RasterReader(rasters.scene, rasters.bands))
    readers: dict[str, Layer] = {
        "source": SourceLayer(source, card.factor),
        "translation": PlainLayer(translated),
    }
    depths = {
        "source": (source.bands, source.dtype),
        "translation": (translated.bands, translated.dtype),
    }
    if rasters.reference is not None:
        truth, error = _compared(rasters, readers["translation"], grid, stack)
        readers |= {"truth": truth, "error": error}
        depths["truth"] = truth.bands, truth.original.dtype
        if rasters.mistakes is not None:
            depths["error"] = 1, "uint8"
    samples = {key: sampled(layer, grid) for key, layer in readers.items()}
    return _Layers(readers, _colorings(rasters, samples, rgb_bands), depths)


def _compared(
    rasters: SceneRasters, translation: Layer, grid: Grid, stack: ExitStack
) -> tuple[AlignedReader, Layer]:
    """Return the reference of a scene and its errors."""
    assert rasters.reference is not None
    if rasters.mistakes is None:
        method, bands = Resampling.bilinear, rasters.reference_bands
        truth = AlignedReader(rasters.reference, grid, bands, method, stack, "the translation")
        return truth, ErrorLayer(translation, truth)
    bands = rasters.reference_bands
    nearest = Resampling.nearest
    truth = AlignedReader(rasters.reference, grid, bands, nearest, stack, "the translation")
    return truth, PlainLayer(stack.enter_context(RasterReader(rasters.mistakes)))


def _colorings(
    rasters: SceneRasters, samples: dict[str, NDArray[Any]], rgb_bands: tuple[int, ...] | None
) -> dict[str, Coloring]:
    card = rasters.card
    # Translation and reference have the same colors, so that they can be compared.
    depth = len(samples["translation"])
    alike = [samples[key] for key in ("translation", "truth") if len(samples.get(key, ())) == depth]
    found = {
        "source": color_of_side(card.source, [samples["source"]], rgb_bands),
        "translation": color_of_side(card.target, alike, rgb_bands),
    }
    if "truth" not in samples:
        return found
    found["truth"] = (
        found["translation"]
        if len(samples["truth"]) == depth
        else color_of_numbers(samples["truth"][0], rasters.palette or {})
    )
    words = f"{ERRORS}, mean of the bands" if depth > 1 else ERRORS
    found["error"] = (
        color_of_errors(samples["error"], words)
        if rasters.mistakes is None
        else color_of_mistakes()
    )
    return found


def _extrapolation(card: DataCard) -> Extrapolation | None:
    extent = card.source.extent
    return None if extent is None or card.source.classes is not None else Extrapolation(extent)


def _strips(
    key: str,
    layer: Layer,
    coloring: Coloring,
    grid: Grid,
    values: ValueGrid,
    watch: Watch | None,
) -> Callable[[int, int], Pixels]:
    """Return the function that reads rows of a layer and keeps its values."""

    def strip(start: int, stop: int) -> Pixels:
        found = np.empty((stop - start, grid.width, coloring.channels + 1), np.uint8)
        for col in range(0, grid.width, TILE):
            width = min(TILE, grid.width - col)
            data, valid = layer.read(Window(col, start, width, stop - start))
            values.add(key, start, col, data, valid)
            found[:, col : col + width] = coloring.scaled(data, valid)
            if watch is not None:
                watch(data, valid)
        return found

    return strip


def _picture(key: str, pyramid: Pyramid) -> Picture:
    rows, cols = pyramid.sizes[-1]
    layer = pyramid.layers[key]
    return Picture(key, TITLES[key], layer.coloring.legend, layer.picture, cols, rows)


def _for_viewer(pyramid: Pyramid, packed: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return levels, tiles and values as plain values."""
    return {
        "sizes": [list(size) for size in pyramid.sizes],
        "tile": TILE,
        "layers": [
            {
                "key": key,
                "title": TITLES[key],
                "classes": layer.coloring.numbers is not None,
                "tiles": {"/".join(map(str, at)): text for at, text in layer.tiles.items()},
                "values": packed.get(key),
            }
            for key, layer in pyramid.layers.items()
        ],
    }
