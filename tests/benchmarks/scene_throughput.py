"""Compare `predict_raster` to the network alone, and to MONAI's sliding window, in one run.

Every way translates the same scene with the same full U-Net-256 at the same precision and batch
size. Prints times and ratios:

- bare: forwards of as many tiles from memory, nothing else (bar: 0.92 of its speed); once as a
  plain loop runs them, and once inside `reused_memory`, which our own run is in;
- MONAI (if it is installed): rasterio reads the scene into memory, `SlidingWindowInferer` blends
  tiles of the same size and overlap, rasterio writes a compressed tiled GeoTIFF (bar: as fast, a
  third of the peak memory).

    python tests/benchmarks/scene_throughput.py [SIDE] [PRECISION] [ROUNDS]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine

from geotranslate.chips.bands.datacard import DataCard, Side
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.memory import reused_memory
from geotranslate.networks.unet import UNet
from geotranslate.prediction.inference import Inference
from geotranslate.raster.pipeline import translate_raster

TILE, OVERLAP, BATCH = 256, 64, 8


def make_scene(path: Path, side: int) -> None:
    """Write a smooth picture with some noise."""
    chance = np.random.default_rng(0)
    profile = {"driver": "GTiff", "count": 3, "height": side, "width": side, "dtype": "uint8"}
    layout = {"tiled": True, "compress": "deflate", "predictor": 2, "crs": "EPSG:32633"}
    transform = Affine(1, 0, 5e5, 0, -1, 5e6)
    with rasterio.open(path, "w", **profile, **layout, transform=transform) as dataset:
        smooth = np.add.outer(np.arange(side), np.arange(side)) // 3 % 200
        for band in range(3):
            noise = chance.integers(0, 8, (side, side))
            dataset.write((smooth + noise + 10 * band).astype("uint8"), band + 1)


def make_inference(precision: str) -> Inference:
    """Return the inference of an untrained U-Net."""
    torch.manual_seed(0)
    network = UNet(3, 3)
    side = Side(
        bands=3,
        dtype="uint8",
        nodata=None,
        band_names=("",) * 3,
        indexes=(1, 2, 3),
        file_bands=3,
        classes=None,
        mean=(100.0,) * 3,
        scaling=Scaling.linear((0.0,) * 3, (255.0,) * 3),
    )
    card = DataCard(side, side, TILE, None, None, None, (), (), 0)
    return Inference(network, card, network.stride, network.radius).at(precision)  # type: ignore[arg-type]


def bare(inference: Inference, tiles: int) -> float:
    """Return the seconds of the forward passes of some tiles."""
    batch = torch.rand(BATCH, 3, TILE, TILE)
    inference.scaled(batch)
    began = time.perf_counter()
    for start in range(0, tiles, BATCH):
        inference.scaled(batch[: min(BATCH, tiles - start)])
    return time.perf_counter() - began


def ours(scene: Path, inference: Inference) -> tuple[float, int]:
    """Return the seconds that the translation takes from file to file, and the tiles."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = translate_raster(
            scene,
            Path(folder) / "out.tif",
            inference,
            bands_out=3,
            tile_size=TILE,
            overlap=OVERLAP,
            batch_size=BATCH,
            progress=False,
        )
        seconds = {name: f"{value:.2f}" for name, value in vars(result.seconds).items()}
        print(f"  ours by stage: {seconds}; waited {result.waited:.1%}")
    return time.perf_counter() - began, result.tiles


def monai(scene: Path, inference: Inference) -> float:
    """Return the seconds that MONAI takes from file to file."""
    from monai.inferers import SlidingWindowInferer

    began = time.perf_counter()
    with rasterio.open(scene) as dataset:
        profile = dataset.profile
        image = torch.from_numpy(dataset.read())[None].float()
    inferer = SlidingWindowInferer(TILE, BATCH, OVERLAP / TILE, mode="gaussian")
    with torch.inference_mode():
        found = inferer(image / 127.5 - 1, inference.scaled)[0]
    typed = ((found + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.tif"
        with rasterio.open(target, "w", **profile) as written:
            written.write(typed)
    return time.perf_counter() - began


def child(way: str, scene: Path, precision: str) -> None:
    """Run one way alone and print its seconds and its peak memory."""
    seconds = (
        ours(scene, make_inference(precision))[0]
        if way == "ours"
        else monai(scene, make_inference(precision))
    )
    print(f"RESULT {seconds} {peak_memory()}")


def peak_memory() -> float:
    """Return the peak memory of this process in GiB; `getrusage` counts its parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def main(side: int, precision: str, rounds: int) -> None:
    """Compare the ways and print their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        make_scene(scene, side)
        inference = make_inference(precision)
        for _ in range(rounds):
            translated, tiles = ours(scene, inference)
            alone = bare(inference, tiles)
            with reused_memory():
                quick = bare(inference, tiles)
            print(
                f"{side} px, {inference.precision}, {tiles} tiles: bare {alone:.1f} s, ours "
                f"{translated:.1f} s, ratio of speeds {alone / translated:.3f} (bar 0.92); bare "
                f"with reused memory {quick:.1f} s, ratio {quick / translated:.3f}"
            )
        found = {}
        for way in ("ours", "monai"):
            command = [sys.executable, __file__, "--child", way, str(scene), precision]
            done = subprocess.run(command, capture_output=True, text=True)
            lines = [line.split() for line in done.stdout.splitlines() if "RESULT" in line]
            if not lines:
                print(f"{way} did not run: {done.stderr.strip().splitlines()[-1]}")
                return
            found[way] = [float(value) for value in lines[0][1:]]
        (fast, small), (slow, large) = found["ours"], found["monai"]
        print(
            f"MONAI {slow:.1f} s and {large:.2f} GiB, ours {fast:.1f} s and {small:.2f} GiB: time "
            f"{fast / slow:.2f} (bar 1), memory {small / large:.2f} (bar 0.33)"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    else:
        given = [*sys.argv[1:], *["8192", "auto", "1"][len(sys.argv) - 1 :]]
        main(int(given[0]), given[1], int(given[2]))
