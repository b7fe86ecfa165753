"""The server answers map tiles to this machine, and nothing else."""

from __future__ import annotations

import http.client
import io
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from geotranslate import Pix2Pix
from geotranslate.cli import main
from geotranslate.errors import GeotranslateError, MissingPackageError
from geotranslate.livemap import serve, server
from geotranslate.livemap.server import live_application, served
from geotranslate.raster.pipeline import SceneBlocks
from tests.conftest import WriteRaster, values
from tests.livemap.conftest import small_blocks


def ask(address: str, path: str, host: str | None = None) -> tuple[int, bytes, dict[str, str]]:
    """Return status, content and headers of an answer."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    found = answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
    connection.close()
    return found


def facts(address: str) -> dict[str, Any]:
    return dict(json.loads(ask(address, "/map.json")[1]))


def center(address: str, zoom: int) -> tuple[int, int]:
    """Return the map tile at the center of the scene."""
    west, south, east, north = facts(address)["bounds"]
    lon, lat = (west + east) / 2, np.radians((south + north) / 2)
    x = (lon + 180) / 360
    y = (1 - np.arcsinh(np.tan(lat)) / np.pi) / 2
    return int(x * 2**zoom), int(y * 2**zoom)


def picture(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def test_layers_are_answered_as_png(address: str) -> None:
    found = facts(address)
    assert [layer["id"] for layer in found["layers"]] == ["source", "translation", "truth"]
    assert found["title"] == "scene.tif by Pix2Pix"
    zoom = found["maxzoom"]
    x, y = center(address, zoom)
    for layer in ("source", "translation", "truth"):
        status, png, headers = ask(address, f"/tiles/{layer}/{zoom}/{x}/{y}.png")
        assert status == 200
        assert headers["content-type"] == "image/png"
        pixels = picture(png)
        assert pixels.shape == (256, 256, 4)
        assert set(np.unique(pixels[..., 3])) == {0, 255}  # the gap and the surroundings
        assert np.ptp(pixels[..., :3][pixels[..., 3] > 0]) > 0
    assert ask(address, f"/tiles/translation/{zoom}/0/0.png")[0] == 204


def test_other_programs_find_the_tiles(address: str) -> None:
    found = json.loads(ask(address, "/translation.json")[1])
    assert found["tiles"] == [f"{address}tiles/translation/{{z}}/{{x}}/{{y}}.png"]
    assert found["minzoom"] < found["maxzoom"]
    assert len(found["bounds"]) == 4


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/../../../../etc/passwd",
        "/page/map.js",
        "/map.js/../server.py",
        "/server.py",
        "/tiles/%2Fetc%2Fpasswd/3/1/1.png",
        "/tiles/..%2F..%2Fscene.tif/3/1/1.png",
        "/tiles/other/3/1/1.png",
        "/tiles/source/3/8/1.png",
        "/tiles/translation/3/1/8.png",
        "/tiles/source/3/1/1.png/x",
        "/tiles/source/31/1/1.png",
        "/tiles/source/3/-1/1.png",
        "/tiles/source/3/1/1e3.png",
        "/tiles/source/3/1/1.png?url=/etc/passwd",
        "/scene.tif",
        "/other.json",
        "/docs",
        "/openapi.json",
    ],
)
def test_other_paths_are_refused(address: str, path: str) -> None:
    status, content, _ = ask(address, path)
    assert status in ((204,) if "?url" in path else (404, 422))
    assert b"root:" not in content


def test_other_hosts_are_refused(address: str) -> None:
    port = urlsplit(address).port
    for host in ("127.0.0.1", f"localhost:{port}", f"127.0.0.1:{port}"):
        assert ask(address, "/map.json", host)[0] == 200
    for host in ("example.com", f"example.com:{port}", "127.0.0.1.example.com", "0.0.0.0", ""):
        assert ask(address, "/map.json", host)[0] == 400


def test_nothing_is_cached_or_taken_from_elsewhere(address: str) -> None:
    for path in ("/", "/map.js", "/map.css", "/map.json"):
        status, content, headers = ask(address, path)
        assert status == 200
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert b"http://" not in content.replace(b"http://www.w3.org", b"").replace(
            address.encode(), b""
        )
        assert b"https://" not in content


def test_work_of_those_who_left_is_dropped(model: Pix2Pix, scene: Path) -> None:
    with (
        small_blocks(model.predictor, scene) as blocks,
        live_application(model.predictor, scene, blocks=lambda *_: Waiting(blocks)) as application,
        served(application) as address,
    ):
        waiting = Waiting.last
        zoom = facts(address)["maxzoom"]
        x, y = center(address, zoom)
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        connection.request("GET", f"/tiles/translation/{zoom}/{x}/{y}.png")
        waiting.until_asked()
        connection.close()
        time.sleep(0.5)
        waiting.go = True
        assert ask(address, f"/tiles/source/{zoom}/{x}/{y}.png")[0] == 200
        time.sleep(0.3)
        assert len(waiting.asked) == 1
        assert ask(address, f"/tiles/translation/{zoom}/{x}/{y}.png")[0] == 200
        assert len(waiting.asked) > 4


class Waiting:
    """Blocks of a scene that are computed once they may."""

    last: Waiting

    def __init__(self, blocks: SceneBlocks) -> None:
        self._blocks, self.go = blocks, False
        self.asked: list[tuple[int, int]] = []
        Waiting.last = self

    def block(self, row: int, col: int) -> Any:
        self.asked.append((row, col))
        limit = time.monotonic() + 20
        while not self.go and time.monotonic() < limit:
            time.sleep(0.01)
        return self._blocks.block(row, col)

    def until_asked(self) -> None:
        limit = time.monotonic() + 20
        while not self.asked and time.monotonic() < limit:
            time.sleep(0.01)

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blocks, name)


def test_an_error_is_a_sentence(model: Pix2Pix, scene: Path, tmp_path: Path) -> None:
    copy = tmp_path / "scene.tif"
    copy.write_bytes(scene.read_bytes())
    with (
        live_application(model.predictor, copy, blocks=small_blocks) as application,
        served(application) as address,
    ):
        zoom = facts(address)["maxzoom"]
        copy.write_bytes(scene.read_bytes()[:3000])
        x, y = center(address, zoom)
        status, content, headers = ask(address, f"/tiles/source/{zoom}/{x}/{y}.png")
        assert status == 500
        assert headers["content-type"].startswith("text/plain")
        assert b"scene.tif" in content or b"read" in content.lower()


# Arguments


def failing(model: Pix2Pix, *args: Any, **options: Any) -> str:
    """Return the sentence with which `serve` refuses its arguments."""

    def ready(address: str) -> None:
        raise AssertionError(address)

    with pytest.raises(GeotranslateError) as refused:
        serve(model, *args, ready=ready, progress=False, **options)
    return str(refused.value)


@pytest.mark.filterwarnings("ignore::geotranslate.errors.GeotranslateWarning")
def test_places_are_needed(model: Pix2Pix, write_raster: WriteRaster, scene: Path) -> None:
    pixels = values((3, 70, 70), "uint8")
    nowhere = write_raster("nowhere.tif", pixels, crs=None)
    assert "gone.tif cannot be opened" in failing(model, scene.with_name("gone.tif"))
    assert failing(model, nowhere).startswith(f"{nowhere} has no CRS, so it has no place on a map")
    assert "has no CRS and no transform" in failing(
        model, write_raster("plain.tif", pixels, crs=None, transform=None)
    )
    pole = rasterio.Affine(0.01, 0, 0, 0, -0.001, 90)
    assert "Web Mercator" in failing(
        model,
        write_raster("pole.tif", pixels, crs="EPSG:4326", transform=pole),
        resolution="source",
    )
    far = write_raster("far.tif", pixels[:1], crs="EPSG:32601")
    assert "does not overlap the scene" in failing(model, scene, far)
    assert "nowhere.tif has no CRS" in failing(model, scene, nowhere)


def test_ports_and_hosts_are_checked(model: Pix2Pix, scene: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = failing(model, scene, port=port)
        assert sentence.startswith(f"Port {port} of 127.0.0.1 cannot be served (")
        assert "give another port" in sentence
    for port in (-1, 70000, "x", 1.5, None):
        assert "port is" in failing(model, scene, port=port)
    assert "cannot be served" in failing(model, scene, host="192.0.2.7")
    for host in ("", 5, "ü"):
        assert "host is" in failing(model, scene, host=host)
    assert "max_memory is 0" in failing(model, scene, max_memory=0)
    assert "open_browser is" in failing(model, scene, open_browser="x")
    assert "tile_size is" in failing(model, scene, tile_size="x")


def test_hosts_of_all_interfaces_are_those_of_this_machine() -> None:
    found = server.hosts_of("0.0.0.0")
    assert {"127.0.0.1", "localhost", socket.gethostname()} <= set(found)
    assert "*" not in found
    assert server.hosts_of("127.0.0.1") == ("127.0.0.1", "localhost")


def test_missing_packages_are_named(
    model: Pix2Pix, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rio_tiler", None)
    with pytest.raises(
        MissingPackageError, match=r"needs rio_tiler, .*pip install 'geotranslate\[map\]'"
    ):
        serve(model, scene)


def test_the_command_serves_a_map(
    model: Pix2Pix, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Server:
        def run(self, sockets: list[socket.socket]) -> None:
            asked.append(sockets[0].getsockname()[0])

    asked: list[str] = []
    monkeypatch.setattr(server, "server_of", lambda application: Server())
    folder = str(model.save(tmp_path / "model"))
    run = CliRunner().invoke
    done = run(main, ["serve", folder, str(scene), "--port", "0", "--tile-size", "64"])
    assert done.exit_code == 0, done.output
    assert asked == ["127.0.0.1"]
    assert "http://127.0.0.1:" in done.stderr
    lost = run(main, ["serve", str(tmp_path / "none"), str(scene)])
    assert lost.exit_code == 1
    assert "none" in lost.stderr
    assert "Traceback" not in lost.stderr
