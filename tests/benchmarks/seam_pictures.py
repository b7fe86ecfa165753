"""Draw a scene of an invented town under each treatment of its seams, and the errors, amplified.

    python tests/benchmarks/seam_pictures.py OUT.jpg [STEPS]

Trains the paper's recipe and "seamless" on three quarters of the town, in crops of 128 px with
ngf = ndf = 16, and translates the fourth. Prints the errors and the measures of seams.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window
from seams import Stop

from geotranslate import Pix2Pix, export_chips, prepare_data
from geotranslate.demo.town import make_town
from geotranslate.raster.grid import Grid

SIZE, CROP, SHOWN, AMPLIFIED = 2048, 128, 448, 4
TREATMENTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("paper, cut", "paper", {"norm_stats": "tile", "tile_size": CROP, "overlap": 0}),
    ("paper, blended", "paper", {"norm_stats": "tile", "tile_size": CROP, "blend": "hann"}),
    (
        "paper, running statistics",
        "paper",
        {"norm_stats": "running", "tile_size": CROP, "blend": "hann"},
    ),
    ("seamless", "seamless", {}),
)


def write_town(folder: Path) -> None:
    """Write photograph and map of the town, and of its eastern quarter."""
    town = make_town(SIZE, 0)
    placed = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_300_000)
    east = Window(SIZE * 3 // 4, 0, SIZE // 4, SIZE)
    whole = Grid(rasterio.CRS.from_epsg(32632), placed, SIZE, SIZE)
    for name, picture in (("source", town.aerial), ("target", town.map)):
        rows, cols = east.toslices()
        for file, values, grid in (
            (name, picture, whole),
            (f"unseen_{name}", picture[:, rows, cols], whole.crop(east)),
        ):
            profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": grid.crs}
            profile |= {"height": grid.height, "width": grid.width, "transform": grid.transform}
            with rasterio.open(folder / f"{file}.tif", "w", **profile) as written:
                written.write(values)


def trained(folder: Path, recipe: Any, steps: int) -> Pix2Pix:
    """Train a recipe on the western three quarters."""
    with rasterio.open(folder / "source.tif") as scene:
        west = Grid.of(scene).crop(Window(0, 0, SIZE * 3 // 4, SIZE)).footprint
    cut: dict[str, Any] = {"tile_size": 2 * CROP, "stride": CROP, "aoi": west, "progress": False}
    sides = folder / "source.tif", folder / "target.tif"
    chips = export_chips(*sides, folder / "chips", overwrite=True, **cut)
    data = prepare_data(chips, batch_size=4, chip_size=CROP)
    model = Pix2Pix(data, recipe=recipe, ngf=16, ndf=16)
    return model.fit(10_000, callbacks=[Stop(steps)], checkpoint=False, progress=False)


def read(path: Any) -> NDArray[np.uint8]:
    """Return the middle of a raster, `(rows, cols, bands)`."""
    with rasterio.open(path) as scene:
        return np.moveaxis(scene.read(window=Window(32, 700, SHOWN, SHOWN)), 0, -1)


def main(out: Path, steps: int) -> None:
    """Train, translate and draw."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_town(folder)
        source, target = folder / "unseen_source.tif", folder / "unseen_target.tif"
        models = {recipe: trained(folder, recipe, steps) for recipe in ("paper", "seamless")}
        truth = read(target)
        figure, axes = plt.subplots(
            2, len(TREATMENTS) + 1, figsize=(4 * len(TREATMENTS) + 4, 8.4), layout="constrained"
        )
        for axis, picture in zip(axes[:, 0], (truth, read(source)), strict=True):
            axis.imshow(picture)
        axes[0, 0].set_title("target")
        axes[1, 0].set_title("source")
        for column, (title, recipe, how) in zip(axes.T[1:], TREATMENTS, strict=True):
            done = models[recipe].predict_raster(
                source, folder / "out.tif", overwrite=True, progress=False, **how
            )
            with rasterio.open(done) as found, rasterio.open(target) as true:
                error = np.abs(found.read().astype(float) - true.read()).mean()
            print(f"{title}: MAE {error:.2f}, {done.seams(target)}")
            shown = read(done)
            apart = np.abs(shown.astype(int) - truth).clip(0, 255 // AMPLIFIED) * AMPLIFIED
            column[0].imshow(shown)
            column[0].set_title(title)
            column[1].imshow(apart.mean(axis=2), cmap="magma", vmin=0, vmax=255)
            column[1].set_title(f"error, {AMPLIFIED} times; mean {error:.1f}")
        for axis in axes.flat:
            axis.axis("off")
        figure.savefig(out, dpi=64, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1500)
