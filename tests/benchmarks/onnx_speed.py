"""Compare `predict_raster` in torch to the same model exported as an ONNX file.

The default Pix2Pix of a source and a target is made, untrained, and translates the upper left
SIDE x SIDE px of the source, in float32 with the same tiles. Rounds of both alternate, so that they
share the load of the machine, and the fastest round of each counts. Prints seconds per megapixel,
their ratio, the largest difference in the target's units, and whether the ONNX file's output is the
same for one and for all threads. The last line times the networks alone on one tile.

    python tests/benchmarks/onnx_speed.py SOURCE TARGET [SIDE] [ROUNDS] [THREADS]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.windows import Window

from geotranslate import Pix2Pix, load_onnx, prepare_data

TILE = 512


def cut(path: str, file: Path, side: int) -> Path:
    """Write the upper left corner of a raster."""
    with rasterio.open(path) as dataset:
        window = Window(0, 0, side, side)
        profile = dataset.profile | {"width": side, "height": side, "driver": "GTiff"}
        with rasterio.open(file, "w", **profile) as written:
            written.write(dataset.read(window=window))
    return file


def fastest(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the seconds of the fastest of several alternating rounds."""
    found = {name: float("inf") for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            found[name] = min(found[name], time.perf_counter() - began)
    return found


def pixels(path: Path) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read().astype(float)


def main(source: str, target: str, side: int = 1024, rounds: int = 3, threads: int = 2) -> None:
    """Print the comparison."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = cut(source, folder / "s.tif", side), cut(target, folder / "t.tif", side)
        model = Pix2Pix(prepare_data(*pair, num_workers=0))
        began = time.perf_counter()
        file = model.export(folder / "model.onnx")
        print(f"export: {time.perf_counter() - began:.1f} s, {file.stat().st_size >> 20} MiB")
        exported = load_onnx(file)
        options: dict[str, Any] = {"tile_size": TILE, "overwrite": True, "progress": False}
        options |= {"precision": "float32", "dtype": "float32"}
        outputs = {way: folder / f"{way}.tif" for way in ("torch", "onnx")}
        ways = {"torch": model.predict_raster, "onnx": exported.predict_raster}
        seconds = fastest(
            {way: lambda way=way: ways[way](pair[0], outputs[way], **options) for way in ways},
            rounds,
        )
        megapixels = side**2 / 1e6
        for way, spent in seconds.items():
            print(f"{way}: {spent / megapixels:.2f} s per megapixel")
        print(f"ratio: {seconds['torch'] / seconds['onnx']:.2f} (torch / ONNX, {threads} threads)")
        apart = np.abs(pixels(outputs["torch"]) - pixels(outputs["onnx"])).max()
        print(f"largest difference: {apart:.2g}")
        os.environ["OMP_NUM_THREADS"] = "1"
        single = load_onnx(file).predict_raster(pair[0], folder / "single.tif", **options)
        same = single.path.read_bytes() == outputs["onnx"].read_bytes()
        print(f"same file with 1 and {threads} threads: {same}")
        tile = np.random.default_rng(0).integers(0, 255, (1, model.card.source.bands, TILE, TILE))
        inferences = {"torch": model.predictor.inference.at("float32"), "onnx": exported.inference}
        alone = fastest({way: lambda way=way: inferences[way](tile) for way in ways}, rounds)
        print(", ".join(f"{way} {spent:.2f} s" for way, spent in alone.items()), "for one tile")


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
