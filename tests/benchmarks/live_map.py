"""Time the tiles of a live map: on new ground, and on ground that is translated.

A server of its own process shows a scene with the full U-Net of Pix2Pix, untrained, as weights do
not change times. Prints medians and 95th percentiles over HTTP of:

- first: map tiles on ground that nobody looked at, apart from each other (bar: 2 s on two cores);
- again: all map tiles of the scene once they are translated (bar: 50 ms);
- file: the same tiles of the file that `predict_raster` writes, read by plain rio-tiler in the same
  server, for comparison; and the share of pixels that are equal.

    python tests/benchmarks/live_map.py [SIDE] [FILTERS] [ROUNDS]
"""

from __future__ import annotations

import http.client
import io
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.warp import transform_bounds

from geotranslate import Pix2Pix, export_chips, prepare_data

PIXEL = 0.1493
"""Size of a pixel, m, at which a pixel of the map at zoom 20 is one of the scene."""
ZOOM, APART = 20, 3

Place = tuple[int, int]


def make_scene(path: Path, side: int) -> None:
    """Write a picture of waves and noise."""
    chance = np.random.default_rng(0)
    waves = np.add.outer(np.sin(np.arange(side) / 17), np.cos(np.arange(side) / 23))
    pixels = [60 * waves + 120 + chance.normal(0, 9, waves.shape) for _ in range(3)]
    profile = {"driver": "GTiff", "count": 3, "height": side, "width": side, "dtype": "uint8"}
    place = Affine(PIXEL, 0, 9_520_000, 0, -PIXEL, 3_200_000)
    layout = {"tiled": True, "crs": "EPSG:3857", "transform": place}
    with rasterio.open(path, "w", **profile, **layout) as dataset:
        dataset.write(np.clip(pixels, 0, 255).astype(np.uint8))


@contextmanager
def serving(model: Path, scene: Path, truth: Path) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection to a server of a scene."""
    command = [sys.executable, "-m", "geotranslate", "serve", str(model), str(scene)]
    options = ["--truth", str(truth), "--port", "0", "--precision", "float32"]
    server = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        said = ""
        while "http://" not in said:
            said = server.stderr.readline()
            assert said, "The server has ended."
        yield http.client.HTTPConnection(urlsplit(said.split()[0]).netloc, timeout=300)
    finally:
        server.terminate()
        server.wait()


def tile(connection: http.client.HTTPConnection, layer: str, place: Place) -> tuple[float, bytes]:
    """Return the seconds that a map tile took, and the tile."""
    began = time.perf_counter()
    connection.request("GET", f"/tiles/{layer}/{ZOOM}/{place[0]}/{place[1]}.png")
    answer = connection.getresponse()
    png = answer.read()
    assert answer.status == 200, (answer.status, png)
    return time.perf_counter() - began, png


def places_on(bounds: Sequence[float]) -> list[Place]:
    """Return the map tiles that lie on a scene as a whole, given its bounds in EPSG:3857."""
    half, side = 20_037_508.342789244, 2 * 20_037_508.342789244 / 2**ZOOM
    left, right = (int(np.ceil((bounds[0] + half) / side)), int((bounds[2] + half) // side))
    top, bottom = (int(np.ceil((half - bounds[3]) / side)), int((half - bounds[1]) // side))
    return [(x, y) for y in range(top, bottom) for x in range(left, right)]


def row(name: str, seconds: Sequence[float]) -> str:
    """Return a line of milliseconds."""
    median, last = np.percentile(seconds, (50, 95)) * 1000
    return f"{name:28s} {len(seconds):5d} tiles   median {median:8.1f} ms   95% {last:8.1f} ms"


def same(one: bytes, other: bytes) -> float:
    """Return the share of equal pixels of two pictures."""
    pictures = [np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")) for png in (one, other)]
    return float((pictures[0] == pictures[1]).all(axis=-1).mean())


def main(side: int = 2048, filters: int = 64, rounds: int = 5) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        scene, output = folder / "scene.tif", folder / "translated.tif"
        make_scene(scene, side)
        chips = export_chips(scene, scene, folder / "chips", progress=False)
        model = Pix2Pix(prepare_data(chips), ngf=filters)
        began = time.perf_counter()
        options = {"precision": "float32", "tile_size": "chip", "progress": False}
        model.predict_raster(scene, output, **options)
        print(f"predict_raster of {side} x {side} px: {time.perf_counter() - began:.1f} s")
        with rasterio.open(scene) as dataset:
            places = places_on(transform_bounds(dataset.crs, "EPSG:3857", *dataset.bounds))
        left, top = min(places)
        apart = [p for p in places if (p[0] - left) % APART == 0 and (p[1] - top) % APART == 0]
        with serving(model.save(folder / "model"), scene, output) as connection:
            connection.request("GET", "/map.json")
            facts = json.loads(connection.getresponse().read())
            print(f"zooms {facts['minzoom']} to {facts['maxzoom']}, {len(places)} map tiles")
            warm, *others = apart
            tile(connection, "translation", warm)
            print(row("first", [tile(connection, "translation", place)[0] for place in others]))
            shown = {place: tile(connection, "translation", place)[1] for place in places}
            written = {place: tile(connection, "truth", place)[1] for place in places}
            order = places * rounds
            random.Random(0).shuffle(order)
            print(row("again", [tile(connection, "translation", place)[0] for place in order]))
            print(row("file by plain rio-tiler", [tile(connection, "truth", p)[0] for p in order]))
            equal = np.mean([same(shown[place], written[place]) for place in places])
            print(f"equal pixels: {equal:.4%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
