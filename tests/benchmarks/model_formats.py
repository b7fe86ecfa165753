"""Compare the formats of `export` with `predict_raster`, on two real scenes.

    python -m tests.benchmarks.model_formats BANEPA CALGARY OUT [--minutes 1]

BANEPA and CALGARY are folders with `banepa_rgb.tif` and `banepa_map.tif`, three bands of bytes,
and with `calgary_l8_rgb.tif` and `calgary_l8_nir_swir.tif`, 16 bits with nodata. From the second
pair, four bands are translated to the reflectance of the other two, float32. A small U-Net learns
each pair for some minutes of the CPU, and is exported. The part of the scene that it has not seen
is translated by `predict_raster`; by the ONNX file in onnxruntime; and by the raster function for
ArcGIS, in a process without geotranslate, with onnxruntime alone and with torch alone; all on the
same grid of tiles. For bytes, it is also translated by the steps of the plugin Deepness of QGIS.
The tables have the largest difference from `predict_raster`, in counts or relative to the largest
value, inside and within the receptive field of the scene's edges; the share of pixels that differ;
the seam index; and the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import rasterio  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rasterio.windows import Window  # noqa: E402

from geotranslate import Pix2Pix, load_onnx, measure_seams, prepare_data  # noqa: E402
from tests.interop.deepness.emulation import deepness  # noqa: E402

HOST = Path(__file__).parents[1] / "interop" / "dlpk" / "arcgis_host.py"
DEPTH, PADDING, STEP = 5, 64, 256
"""Levels of the U-Net, its radius in whole strides, and tiles without their padding, px."""
PARTS = {"banepa": (Window(0, 0, 1280, 1280), Window(1600, 1800, 1280, 1024))}
PARTS["calgary"] = (Window(0, 0, 1121, 989), Window(0, 989, 1121, 424))
"""Parts of the scenes for training and for comparison."""


def written(
    path: Path, like: Any, window: Window, data: NDArray[Any], nodata: float | None
) -> Path:
    """Write `(bands, rows, cols)` of a window of a raster, and return the path."""
    profile = {
        "driver": "GTiff",
        "count": len(data),
        "dtype": data.dtype,
        "height": data.shape[1],
        "width": data.shape[2],
        "crs": like.crs,
        "transform": like.window_transform(window),
        "nodata": nodata,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(data)
    return path


def pairs(folder: Path, name: str, out: Path) -> list[tuple[Path, Path]]:
    """Write source and target of the part for training, and of the part for comparison."""
    found = []
    for number, window in enumerate(PARTS[name]):
        paths = out / f"{name}_source_{number}.tif", out / f"{name}_target_{number}.tif"
        stems = ("rgb", "map") if name == "banepa" else ("l8_rgb", "l8_nir_swir")
        with (
            rasterio.open(folder / f"{name}_{stems[0]}.tif") as source,
            rasterio.open(folder / f"{name}_{stems[1]}.tif") as target,
        ):
            given, wanted = source.read(window=window), target.read(window=window)
            nodata = None
            if name == "calgary":
                given, wanted = np.concatenate([given, wanted[:1]]), wanted[1:]
                # Digital numbers of Landsat Collection 2 as reflectance.
                valid = (given > 0).all(0) & (wanted > 0).all(0)
                wanted = np.where(valid, wanted * 2.75e-5 - 0.2, np.nan).astype(np.float32)
                nodata = 0
            gap = np.nan if name == "calgary" else None
            found.append(
                (
                    written(paths[0], source, window, given, nodata),
                    written(paths[1], source, window, wanted, gap),
                )
            )
    return found


def trained(pair: tuple[Path, Path], minutes: float) -> Pix2Pix:
    """Return a small U-Net that learned from two rasters for some minutes of the CPU."""
    data = prepare_data(*pair, chip_size=128, stride=64, batch_size=8, seed=1, num_workers=0)
    model = Pix2Pix(data, recipe="seamless", depth=DEPTH, ngf=16, ndf=16, lambda_gan=0)
    start = time.process_time()
    with model.learn.no_bar(), model.learn.no_logging():
        while time.process_time() - start < 60 * minutes:
            model.fit(1)
    return model


def by_host(package: Path, scene: Path, runtime: str, out: Path) -> NDArray[Any]:
    """Translate a scene by the raster function of a package, with one runtime."""
    with rasterio.open(scene) as raster:
        np.savez(out / "scene.npz", pixels=raster.read(), mask=raster.read_masks())
    other = {"torch": "onnxruntime", "onnxruntime": "torch"}[runtime]
    job = {
        "package": str(package),
        "scene": str(out / "scene.npz"),
        "as_text": False,
        "style": "full",
        "scalars": {"tile_size": STEP},
        "output": str(out / "found.npz"),
    }
    given = {"blocked": ["geotranslate", "rasterio", "fastai", other], "jobs": [job]}
    (out / "jobs.json").write_text(json.dumps(given))
    subprocess.run([sys.executable, "-I", HOST, out / "jobs.json"], check=True)
    return np.load(out / "found.npz")["pixels"]


def compare(name: str, folder: Path, out: Path, minutes: float) -> None:
    """Print the table of a scene."""
    training, (scene, target) = pairs(folder, name, out)
    model = trained(training, minutes)
    radius = model.predictor.inference.radius
    assert radius is not None and PADDING - 32 < radius <= PADDING
    package = out / name
    onnx = model.export(out / f"{name}.onnx", overwrite=True)
    with zipfile.ZipFile(model.export(out / f"{name}.dlpk", overwrite=True)) as files:
        files.extractall(package)
    same: dict[str, Any] = {
        "tile_size": STEP + 2 * PADDING,
        "driver": "GTiff",
        "overwrite": True,
        "progress": False,
    }
    start = time.perf_counter()
    reference = model.predict_raster(scene, out / f"{name}_torch.tif", precision="float32", **same)
    times = {"predict_raster": time.perf_counter() - start}
    with rasterio.open(reference) as file:
        expected, profile, tags, valid = file.read(), file.profile, file.tags(), file.dataset_mask()
    found = {"predict_raster": expected}
    start = time.perf_counter()
    other = load_onnx(onnx).predict_raster(scene, out / f"{name}_onnx.tif", **same)
    times["onnx in onnxruntime"] = time.perf_counter() - start
    with rasterio.open(other) as file:
        found["onnx in onnxruntime"] = file.read()
    for runtime in ("onnxruntime", "torch"):
        start = time.perf_counter()
        label = f"raster function with {runtime}"
        found[label] = by_host(package, scene, runtime, out)
        times[label] = time.perf_counter() - start
    if expected.dtype == np.uint8:
        file = model.export(out / f"{name}_deepness.onnx", flavor="deepness", overwrite=True)
        start = time.perf_counter()
        found["Deepness"] = deepness(file, scene)
        times["Deepness"] = time.perf_counter() - start
    print(f"{name}: {expected.shape} {expected.dtype}, {np.mean(valid > 0):.0%} valid")
    print("| way | difference inside | at the edges | pixels that differ | seam index | seconds |")
    print("|---|---|---|---|---|---|")
    for way, pixels in found.items():
        profile["driver"] = "GTiff"
        with rasterio.open(out / "way.tif", "w", **profile) as file:
            file.write(pixels)
            file.write_mask(valid)
            file.update_tags(**tags)
        seams = measure_seams(out / "way.tif", target)
        print(row(way, expected, pixels, valid > 0, seams.seam_index, times[way]))


def row(
    way: str, expected: Any, pixels: Any, valid: Any, index: float | None, seconds: float
) -> str:
    """Return a row of the table."""
    inside = np.zeros(valid.shape, bool)
    inside[PADDING:-PADDING, PADDING:-PADDING] = True
    size = np.abs(expected[:, valid]).max()
    whole = np.issubdtype(expected.dtype, np.integer)
    apart = np.abs(expected.astype(np.float64) - pixels)
    largest = [apart[:, valid & place].max() for place in (inside, ~inside)]
    shown = [f"{value:.0f}" if whole else f"{value / size:.1e}" for value in largest]
    share = np.mean(apart[:, valid] > 0)
    return f"| {way} | {' | '.join(shown)} | {share:.2%} | {index:.4f} | {seconds:.1f} |"


def main() -> None:
    """Compare on both scenes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("banepa", "calgary", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--minutes", type=float, default=1.0, help="CPU minutes of a training")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    given.banepa, given.calgary, given.out = (
        path.resolve() for path in (given.banepa, given.calgary, given.out)
    )
    # Trainings write into the working directory.
    os.chdir(given.out)
    torch.set_num_threads(1)
    for name in PARTS:
        compare(name, getattr(given, name), given.out, given.minutes)


if __name__ == "__main__":
    main()
