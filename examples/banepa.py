"""Learn a building map from a drone image: train on the north, translate all, test on the south.

Two rasters of one place are enough:

    python examples/banepa.py banepa_rgb.tif banepa_map.tif

Chips are cut from the northern three quarters. The whole scene is translated, and the southern
quarter, which the model never saw, is compared with the true map, next to an untrained network and
to a map that is the mean color everywhere. Give any image and a map with a plain background.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate import Pix2Pix, export_chips, prepare_data
from geotranslate.data.plotting import draw_table
from geotranslate.metrics.errors import errors_between
from geotranslate.raster.grid import Grid

Picture = NDArray[np.uint8]


def main() -> None:
    """Run the example."""
    options = read_options()
    out: Path = options.output
    out.mkdir(parents=True, exist_ok=True)
    with rasterio.open(options.image) as scene:
        grid = Grid.of(scene)
    north = Window(0, 0, grid.width, grid.height * 3 // 4)
    south = Window(0, north.height, grid.width, grid.height - north.height)

    export = export_chips(
        options.image,
        options.map,
        out / "chips",
        tile_size=options.tile_size,
        stride=options.tile_size // 2,
        aoi=grid.crop(north).footprint,
        overwrite=True,
    )
    print(export)
    data = prepare_data(export)
    model = Pix2Pix(data, ngf=options.filters, ndf=options.filters)
    untrained = model.predict_raster(options.image, out / "untrained.tif", overwrite=True)
    model.fit(options.epochs, folder=out / "training").save(out / "model")
    model.plot_losses().savefig(out / "losses.png")
    translated = model.predict_raster(options.image, out / "translated.tif", overwrite=True)

    truth, known = read(options.map, south), read(options.map, north)
    mean_map = np.broadcast_to(known.mean(axis=(1, 2), keepdims=True), truth.shape)
    threshold = building_threshold(known)
    rows = {
        "translated": read(translated, south),
        "untrained": read(untrained, south),
        "mean map": mean_map,
    }
    table = {name: compare(found, truth, threshold) for name, found in rows.items()}
    for name, row in table.items():
        print(f"{name:10s}", *(f"{key} {value:.3f}" for key, value in row.items()), sep="  ")
    (out / "numbers.json").write_text(json.dumps(table, indent=2))
    pictures = (read(options.image, south), rows["translated"], truth)
    scaled = [picture[:, ::2, ::2] / np.float32(127.5) - 1 for picture in pictures]
    draw_table(
        [[picture] for picture in scaled], ["image, translation, true map"], side=15
    ).savefig(out / "comparison.png", dpi=100)
    print(f"Open {out / 'comparison.png'} and {translated}.")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path, help="image to translate from")
    parser.add_argument("map", type=Path, help="map to translate to")
    parser.add_argument("--output", type=Path, default=Path("banepa"), help="folder for results")
    parser.add_argument("--tile-size", type=int, default=256)
    parser.add_argument("--filters", type=int, default=32, help="width of the networks")
    parser.add_argument("--epochs", type=int, default=16)
    return parser.parse_args()


def read(path: str | os.PathLike[str], window: Window) -> Picture:
    """Read a window of a raster."""
    with rasterio.open(path) as dataset:
        picture: Picture = dataset.read(window=window)
    return picture


def building_threshold(known: Picture) -> float:
    """Return the gray value halfway between the two most common colors of the map."""
    colors, counts = np.unique(known.reshape(len(known), -1), axis=1, return_counts=True)
    common = colors[:, np.argsort(counts)[-2:]]
    return float(common.mean())


def compare(
    found: NDArray[np.floating | np.uint8], truth: Picture, threshold: float
) -> dict[str, float]:
    """Return the L1 and PSNR of 8-bit values and the F1 of what is darker than the threshold."""
    metrics = errors_between(found, truth, 255)
    ours, theirs = (picture.mean(axis=0) < threshold for picture in (found, truth))
    both, all_found, all_true = (ours & theirs).sum(), ours.sum(), theirs.sum()
    return {
        "l1": metrics["mae"],
        "psnr": metrics["psnr"],
        "f1": float(2 * both / (all_found + all_true)),
    }


if __name__ == "__main__":
    main()
