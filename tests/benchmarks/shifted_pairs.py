"""Measure the error of Pix2Pix trained on targets that are some pixels off, and of the remedies.

    python tests/benchmarks/shifted_pairs.py DATA OUT [--epochs 2]

DATA is a folder with `banepa/`. The northern three quarters of Banepa, drone image to map, are cut
into windows of 128 px after the map has been moved down by 0, 1, 3 or 6 px, or each of its blocks
of 256 px by up to 3 px in either direction. Models with 16 filters train for the same number of
steps, with `l1_scale` of 1, 2 or 4. The error is the mean absolute difference from the map that
has not been moved, in the southern quarter. A line of JSON for every training goes into
OUT/shifted_pairs.jsonl; trainings that it has are not repeated. The shift that `check_registration`
finds is part of the line, and the shift that `export_chips(shift="auto")` undoes: where it equals
the true one, the pairs are those of the map that has not been moved.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import rasterio  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rasterio.windows import Window  # noqa: E402

from geotranslate import Pix2Pix, export_chips, prepare_data  # noqa: E402

ROWS, BLOCK, MARGIN = 3072, 256, 16
"""Rows of the north, side of the blocks that move alone, and rows left out at the top, px."""
CASES = [("0", 1), ("3", 1), ("any", 1), ("any", 4), ("6", 1), ("3", 4), ("1", 1), ("any", 2)]
"""Shift and `l1_scale` of every training."""
Array = NDArray[np.uint8]


def main(data: Path, out: Path, epochs: int) -> None:
    """Train and measure all cases."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    results = out / "shifted_pairs.jsonl"
    done = (
        [json.loads(line) for line in results.read_text().split("\n") if line]
        if (results.exists())
        else []
    )
    for shift, scale in CASES:
        if any((line["shift"], line["l1_scale"]) == (shift, scale) for line in done):
            continue
        line = trained(data / "banepa", out, shift, scale, epochs)
        with results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


def trained(place: Path, out: Path, shift: str, scale: int, epochs: int) -> dict[str, Any]:
    """Train on the north and return the error in the south."""
    source, target = north(place, out, shift)
    found = export_chips(
        source, target, out / "auto", tile_size=1024, shift="auto", overwrite=True, progress=False
    ).shifts
    loaders = prepare_data(source, target, chip_size=128, val_split_pct=0.05)
    registration = loaders.check_registration()
    model = Pix2Pix(loaders, ngf=16, ndf=16, l1_scale=scale)
    start = time.process_time()
    model.fit(epochs, checkpoint=False, progress=False, folder=out / "training")
    return {
        "shift": shift,
        "l1_scale": scale,
        "found": [round(each, 2) for each in registration.shift],
        "standard_error": round(registration.error, 2),
        "undone_by_auto": found,
        "seconds": round(time.process_time() - start),
        "steps": epochs * len(loaders.train),
        "error": round(error(model, place, out), 3),
    }


def north(place: Path, out: Path, shift: str) -> tuple[Path, Path]:
    """Write source and moved target of the north; return their paths."""
    paths = out / "source.tif", out / f"target_{shift}.tif"
    for path, name in zip(paths, ("banepa_rgb.tif", "banepa_map.tif"), strict=True):
        with rasterio.open(place / name) as raster:
            values = raster.read(window=Window(0, 0, raster.width, ROWS))
            profile = raster.profile | {"height": ROWS - MARGIN}
            profile["transform"] = raster.window_transform(Window(0, MARGIN, 1, 1))
        moved = values[:, MARGIN:] if path == paths[0] else _moved(values, shift)
        with rasterio.open(path, "w", **profile) as raster:
            raster.write(moved)
    return paths


def _moved(values: Array, shift: str) -> Array:
    if shift != "any":
        rows = int(shift)
        return values[:, MARGIN - rows : ROWS - rows]
    chance, moved = np.random.default_rng(0), values.copy()
    for top in range(MARGIN, ROWS, BLOCK):
        for left in range(0, values.shape[2], BLOCK):
            down, right = chance.integers(-3, 4, 2)
            rows = np.arange(top, min(top + BLOCK, ROWS)) - down
            cols = np.arange(left, min(left + BLOCK, values.shape[2])) - right
            block = values[:, rows.clip(0, ROWS - 1)][:, :, cols.clip(0, values.shape[2] - 1)]
            moved[:, top : top + BLOCK, left : left + BLOCK] = block
    return moved[:, MARGIN:]


def error(model: Pix2Pix, place: Path, out: Path) -> float:
    """Return the mean absolute difference from the true map in the south."""
    with rasterio.open(place / "banepa_rgb.tif") as raster:
        window = Window(0, ROWS, raster.width, raster.height - ROWS)
        profile = raster.profile | {"height": window.height}
        profile["transform"] = raster.window_transform(window)
        values = raster.read(window=window)
    with rasterio.open(out / "south.tif", "w", **profile) as raster:
        raster.write(values)
    done = model.predict_raster(out / "south.tif", out / "translated.tif", overwrite=True)
    with (
        rasterio.open(out / "translated.tif") as translated,
        rasterio.open(place / "banepa_map.tif") as truth,
    ):
        assert done is not None
        apart = translated.read().astype(float) - truth.read(window=window)
    return float(np.abs(apart).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    main(given.data, given.out, given.epochs)
