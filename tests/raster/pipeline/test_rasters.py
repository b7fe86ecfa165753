"""What people call a raster: any layout, name, container and handle gives the same pixels."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray

from geotranslate.raster.pipeline import translate_raster
from tests.conftest import WriteRaster, values

Batch = NDArray[np.float32]


def same(source: Any, output: Path, bands: int = 1) -> None:
    """Check that the identity of a raster is what rasterio reads of it."""
    result = translate_raster(
        source, output, lambda batch: batch, bands_out=bands, tile_size=64, progress=False
    )
    opened = source if isinstance(source, rasterio.DatasetReader) else None
    with opened or rasterio.open(source) as before, rasterio.open(result) as after:
        np.testing.assert_array_equal(after.read(), before.read())
        assert (after.crs, after.transform) == (before.crs, before.transform)


LAYOUTS: dict[str, dict[str, Any]] = {
    "striped": {"blockysize": 7},
    "one strip": {"blockysize": 90, "compress": "lzw"},
    "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "zstd"},
    "apart": {"interleave": "band", "compress": "deflate", "predictor": 2},
    "jpeg": {"compress": "jpeg", "photometric": "ycbcr"},
    "bits": {"nbits": 1},
    "big-endian": {"endianness": "big", "bigtiff": "yes"},
    "sparse": {"sparse_ok": True, "tiled": True, "blockxsize": 16, "blockysize": 16},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_does_not_matter(write_raster: WriteRaster, tmp_path: Path, layout: str) -> None:
    data = values((3, 90, 130), "uint8") % 2
    same(write_raster("a.tif", data, **LAYOUTS[layout]), tmp_path / "b.tif", bands=3)


@pytest.fixture
def raster(write_raster: WriteRaster) -> Path:
    return write_raster("in/a.tif", values((1, 90, 130), "int16"))


@pytest.mark.parametrize("folder", ["with space", "Überführung", "日本", "a#b&c=50%?"])
def test_any_path_will_do(raster: Path, tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    place.mkdir()
    for kind in (str, Path):
        name = place / f"{folder} {kind.__name__}.tif"
        name.write_bytes(raster.read_bytes())
        same(kind(name), place / f"out {kind.__name__}.tif")


def test_containers_and_handles_will_do(raster: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.write(raster, "in/a.tif")
    gdal_names = (
        f"/vsizip/{tmp_path}/a.zip/in/a.tif",
        f"zip://{tmp_path}/a.zip!in/a.tif",
        f"GTIFF_DIR:1:{raster}",
    )
    for number, name in enumerate(gdal_names):
        same(name, tmp_path / f"{number}.tif")
    with rasterio.open(raster) as dataset:
        same(dataset, tmp_path / "dataset.tif")
    with rasterio.MemoryFile(raster.read_bytes()) as memory:
        translate_raster(
            memory, tmp_path / "memory.tif", lambda batch: batch, bands_out=1, progress=False
        )
        same(memory.name, tmp_path / "vsimem.tif")
    assert (tmp_path / "memory.tif").exists()


def test_virtual_raster_is_read_as_it_shows_itself(raster: Path, tmp_path: Path) -> None:
    vrt = tmp_path / "a.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="100" rasterYSize="60"><SRS>EPSG:32633</SRS>'
        "<GeoTransform>500040, 2, 0, 4999960, 0, -2</GeoTransform>"
        '<VRTRasterBand dataType="Int16" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">in/a.tif</SourceFilename><SourceBand>1</SourceBand>'
        '<SrcRect xOff="20" yOff="20" xSize="100" ySize="60"/>'
        '<DstRect xOff="0" yOff="0" xSize="100" ySize="60"/>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    same(vrt, tmp_path / "b.tif")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs the permissions of POSIX")
def test_folder_that_may_only_be_read_gets_nothing_put_into_it(
    raster: Path, tmp_path: Path
) -> None:
    raster.parent.chmod(0o555)
    try:
        same(raster, tmp_path / "b.tif")
    finally:
        raster.parent.chmod(0o755)
    assert [item.name for item in raster.parent.iterdir()] == ["a.tif"]


SERVER = """
import sys
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

class Ranges(SimpleHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range")
        if wanted is None:
            return super().do_GET()
        body = Path(self.translate_path(self.path)).read_bytes()
        first, last = (int(place) for place in wanted.removeprefix("bytes=").split("-"))
        part = body[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

server = HTTPServer(("127.0.0.1", 0), partial(Ranges, directory=sys.argv[1]))
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve parts of files, as the stores of clouds do, where no lock of ours is held."""
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def test_cog_is_read_over_http(raster: Path, tmp_path: Path, server: str) -> None:
    translate_raster(raster, tmp_path / "cog.tif", lambda batch: batch, bands_out=1, progress=False)
    with rasterio.Env(GDAL_HTTP_TIMEOUT=300, GDAL_HTTP_MAX_RETRY=0):
        same(f"{server}/cog.tif", tmp_path / "b.tif")


PLACES: dict[str, tuple[str | None, Affine]] = {
    "non-square pixels": ("EPSG:32633", Affine(3, 0, 5e5, 0, -7, 5e6)),
    "geographic": ("EPSG:4326", Affine(1e-5, 0, 15, 0, -1e-5, 45)),
    "antimeridian in degrees": ("EPSG:4326", Affine(0.01, 0, 179.5, 0, -0.01, -16)),
    "antimeridian in metres": ("EPSG:3832", Affine(500, 0, 3_270_000, 0, -500, -1_800_000)),
    "the globe": ("EPSG:4326", Affine(360 / 130, 0, -180, 0, -180 / 90, 90)),
    "polar": ("EPSG:3031", Affine(100, 0, -5000, 0, -100, 5000)),
    "compound CRS": ("EPSG:7415", Affine(1, 0, 1e5, 0, -1, 4e5)),
    "no CRS": (None, Affine(2, 0, 100, 0, -2, 300)),
    "sheared": ("EPSG:32633", Affine(2, 0.5, 5e5, 0.25, -3, 5e6)),
}


@pytest.mark.parametrize("place", PLACES)
def test_output_lies_where_the_raster_does(
    write_raster: WriteRaster, tmp_path: Path, place: str
) -> None:
    crs, transform = PLACES[place]
    data = values((1, 90, 130), "uint8")
    same(write_raster("a.tif", data, crs=crs, transform=transform), tmp_path / "b.tif")
