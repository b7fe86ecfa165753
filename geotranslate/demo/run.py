"""The demo: training on most of an invented town, and translation of its unseen part."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry import box

from geotranslate.checks import folder_path
from geotranslate.chips.export import export_chips
from geotranslate.data import draw_table, prepare_data
from geotranslate.demo.layout import MAP_COLORS
from geotranslate.demo.town import PIXEL_METERS, make_town
from geotranslate.errors import OutputExistsError
from geotranslate.files import create_folder
from geotranslate.metrics import errors_between
from geotranslate.raster.grid import Grid
from geotranslate.raster.writing import small_geotiff, sole_holder
from geotranslate.training.run_folder import whole_file
from geotranslate.translators.pix2pix import Pix2Pix

CRS = rasterio.CRS.from_epsg(32632)
TOP_LEFT = Affine.translation(500_000, 5_300_000)
LOCK_FILE = ".geotranslate-demo.lock"
TILE_SIZE = 128
REPORT = "report.html"


def run_demo(
    folder: str | os.PathLike[str],
    *,
    size: int = 2048,
    seed: int = 0,
    epochs: int = 11,
    overwrite: bool = False,
    say: Callable[[str], object] = print,
) -> dict[str, float]:
    """Make a town, cut chips, train, translate, compare and report, all in one folder.

    Args:
        folder: Folder for the results; created if it is missing.
        size: Side of the town, px of half a meter.
        seed: Seed of the town and of the training.
        epochs: Passes over the training pairs, at least 1.
        overwrite: Whether to replace the demo in a folder that is not empty.
        say: Function that is called with lines about the progress and the results.

    Returns:
        `mae` and `psnr` of the translation in gray values, `mae_mean_colour` of a map that is the
        mean map color everywhere, and `agreement`, the share of pixels whose color is nearest
        to the right one on the map.

    Raises:
        OutputExistsError: The folder is not empty and `overwrite` is false.
        RasterFileError: The folder cannot be written, or another demo is writing to it.
    """
    place = create_folder(folder_path("folder", folder))
    with _sole_demo(place):
        _refuse_full(place, overwrite=overwrite)
        return _run(place, size, seed, epochs, overwrite, say)


def _run(
    place: Path, size: int, seed: int, epochs: int, overwrite: bool, say: Callable[[str], object]
) -> dict[str, float]:
    began = time.perf_counter()
    say(f"1/6 Building a town of {size * PIXEL_METERS / 1000:.1f} km a side")
    town = make_town(size, seed)
    grid = Grid(CRS, TOP_LEFT @ Affine.scale(PIXEL_METERS, -PIXEL_METERS), size, size)
    seen = Window(0, 0, size * 3 // 4, size)
    unseen = Window(size * 3 // 4, 0, size - size * 3 // 4, size)
    for name, picture in (("aerial", town.aerial), ("map", town.map)):
        _write(place / f"{name}.tif", picture, grid)
        _write(place / f"unseen_{name}.tif", _cut(picture, unseen), grid.crop(unseen))
    say("    aerial.tif and map.tif, EPSG:32632; unseen_*.tif is the eastern quarter")
    say("2/6 Cutting the other three quarters into pairs of chips")
    export = export_chips(
        place / "aerial.tif",
        place / "map.tif",
        place / "chips",
        tile_size=TILE_SIZE,
        stride=TILE_SIZE // 2,
        aoi=box(*grid.crop(seen).footprint.bounds),
        overwrite=overwrite,
    )
    say(f"    {export.pairs} pairs in chips/")
    say(f"3/6 Training Pix2Pix for {epochs} epochs")
    data = prepare_data(export, seed=seed)
    model = Pix2Pix(data, ngf=16, ndf=16).fit(epochs, checkpoint=False)
    model.save(place / "model")
    say("4/6 Translating the quarter that it never saw")
    translated = model.predict_raster(
        place / "unseen_aerial.tif", place / "unseen_translated.tif", overwrite=overwrite
    )
    say("5/6 Comparing with the true map")
    with rasterio.open(translated) as dataset:
        result = dataset.read()
    truth = _cut(town.map, unseen)
    numbers = _compare(result, truth)
    with whole_file(place / "numbers.json") as partial:
        partial.write_text(json.dumps(numbers, indent=2), encoding="utf-8")
    _draw(place / "comparison.png", _cut(town.aerial, unseen), result, truth)
    say(
        f"    mean error {numbers['mae']:.1f} of 255 (the mean map color everywhere: "
        f"{numbers['mae_mean_colour']:.1f}), PSNR {numbers['psnr']:.1f} dB, right map color on "
        f"{numbers['agreement']:.0%} of the ground"
    )
    say("6/6 Writing the report")
    scenes = [(place / "unseen_aerial.tif", place / "unseen_map.tif")]
    model.report(place / REPORT, scenes, overwrite=overwrite, progress=False)
    say(f"Done in {time.perf_counter() - began:.0f} s. Open {place / REPORT} in a browser, and")
    say(f"{place / 'unseen_translated.tif'} over {place / 'aerial.tif'} in QGIS.")
    return numbers


def _sole_demo(folder: Path) -> AbstractContextManager[bool]:
    return sole_holder(
        folder / LOCK_FILE,
        busy=f"Another demo is writing to {folder}; wait until it has ended, or give another "
        "folder.",
        unwritable=lambda why: f"The folder {folder} cannot be written: {why}. Give another one.",
    )


def _refuse_full(folder: Path, *, overwrite: bool) -> None:
    if not overwrite and any(item.name != LOCK_FILE for item in folder.iterdir()):
        raise OutputExistsError(
            f"The folder {folder} is not empty; give another one or pass overwrite "
            "(--overwrite), which replaces the demo in it."
        )


def _cut(picture: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    rows, cols = window.toslices()
    return picture[:, rows, cols]


def _write(path: Path, picture: NDArray[np.uint8], grid: Grid) -> None:
    with (
        whole_file(path) as partial,
        small_geotiff(
            partial,
            crs=grid.crs,
            transform=grid.transform,
            height=grid.height,
            width=grid.width,
            count=3,
            dtype="uint8",
            photometric="rgb",
            compress="deflate",
            predictor=2,
            tiled=True,
        ) as dataset,
    ):
        dataset.write(picture)


def _compare(result: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    found = errors_between(result, truth, 255)
    mean_color = np.broadcast_to(truth.mean(axis=(1, 2), keepdims=True), truth.shape)
    return {
        "mae": found["mae"],
        "psnr": found["psnr"],
        "mae_mean_colour": errors_between(mean_color, truth, 255)["mae"],
        "agreement": float((_nearest_color(result) == _nearest_color(truth)).mean()),
    }


def _nearest_color(picture: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return for every pixel the number of the map color that is nearest to its own."""
    colors = np.array(sorted(set(MAP_COLORS.values())), np.float32)
    away = [((picture - color[:, None, None]) ** 2).sum(axis=0) for color in colors]
    return np.argmin(away, axis=0)


def _draw(path: Path, *pictures: NDArray[np.uint8]) -> None:
    """Draw the upper half of source, translation and truth side by side at full resolution."""
    upper = [picture[:, : picture.shape[1] // 2] / np.float32(127.5) - 1 for picture in pictures]
    titles = ("aerial photograph, never seen", "translation", "true map")
    with whole_file(path) as partial:
        draw_table([upper], titles, side=5.12).savefig(partial, dpi=100, format="png")
