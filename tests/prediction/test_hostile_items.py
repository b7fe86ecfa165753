"""Laws: no STAC Item given as a scene does anything but open a raster or end in one sentence."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geotranslate.errors import GeotranslateError, InvalidInputError
from geotranslate.prediction.itemscenes import with_items
from geotranslate.raster.reader import RasterReader
from tests.conftest import NORTH_UP, raster_writer
from tests.translators.hostile import CARDS
from tests.translators.hostile_child import ASKED, peak, watch
from tests.wrong_values import GIB, assert_one_sentence

HREFS = (
    *("./a.tif", "a%20b.tif", "../../../../etc/passwd", "/etc/hostname", "/dev/zero", "file:///a"),
    *("http://127.0.0.1:9/a.tif", "/vsicurl/http://127.0.0.1:9/x", "/vsicurl/http://[", ""),
    *("/vsizip/x.zip/../y", "/vsimem/a", "a.tif\0b", "\ud800", "x" * 100_000, "/proc/self/mem"),
    *("<VRTDataset rasterXSize='1' rasterYSize='1'/>", '{"type": "gdal_streamed_alg"}', "."),
    *("PG:host=127.0.0.1 port=9", "WMS:http://127.0.0.1:9/", "NUMPY:::DATAPOINTER=1", "MEM:::x"),
    *("vrt://a.tif?bands=1", "STACIT:self.json", "GTI:a.gpkg", "DERIVED_SUBDATASET:LOGAMPLITUDE:a"),
)


def _item(folder: Path) -> bytes:
    path = raster_writer(folder)("a.tif", np.zeros((3, 8, 8), np.uint8), transform=NORTH_UP)
    asset = {"href": f"./{path.name}", "type": "image/tiff; application=geotiff", "roles": ["data"]}
    values = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "x",
        "geometry": None,
        "bbox": [0, 0, 1, 1],
        "properties": {"datetime": "2020-01-01T00:00:00Z", "start_datetime": None},
        "links": [{"rel": "self", "href": "http://127.0.0.1:9/x.json"}],
        "assets": {"visual": asset, "thumbnail": {"href": "b.png", "roles": ["thumbnail"]}},
    }
    return json.dumps(values).encode()


def _mutated(content: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        values = json.loads(content)
        values["assets"]["visual"]["href"] = rng.choice(HREFS)
        content = json.dumps(values).encode()
        if rng.random() < 0.7:
            return content
    return rng.choice(CARDS)(content, rng)


def _opened(folder: Path, content: bytes, rng: random.Random) -> bool:
    """Open the raster of an Item as a scene is opened; tell whether it is one.

    Raises:
        AssertionError: It ends in another error than one of ours, or in a long one.
    """
    path = folder / "item.json"
    path.write_bytes(content)
    given: Any = path
    if rng.random() < 0.3:
        try:
            given = json.loads(content)
        except (ValueError, RecursionError):
            given = path
    try:
        scene = with_items(given, rng.choice((None, None, "visual", "x")))
        with RasterReader(scene) as reader:
            return bool(reader.grid.width)
    except GeotranslateError as error:
        assert_one_sentence(str(error))
        return False


def main(folder: Path, count: int) -> None:
    """Print, as JSON, how many Items were opened, memory, and what went wrong."""
    original = _item(folder)
    before, opened, wrong = peak(), 0, []
    sys.addaudithook(watch)
    # GDAL's own network has no audit hook.
    with rasterio.Env(GDAL_HTTP_TIMEOUT=1, GDAL_HTTP_MAX_RETRY=0):
        for number in range(count):
            rng = random.Random(number)
            try:
                opened += _opened(folder, _mutated(original, rng), rng)
            except Exception:
                wrong.append(f"mutation {number}: {traceback.format_exc()[-1500:]}")
    found = {"opened": opened, "grown": peak() - before, "wrong": wrong, "asked": ASKED}
    print(json.dumps(found))  # noqa: T201


def test_mutated_items_open_or_are_refused(tmp_path: Path) -> None:
    original = _item(tmp_path)
    found = []
    for number in range(60):
        rng = random.Random(number)
        found.append(_opened(tmp_path, _mutated(original, rng), rng))
    assert 0 < sum(found) < len(found)


@pytest.mark.parametrize("href", ["<VRTDataset/>", ' {"type": "gdal_streamed_alg"}'])
def test_documents_in_place_of_addresses_are_refused(tmp_path: Path, href: str) -> None:
    values = json.loads(_item(tmp_path))
    values["assets"]["visual"]["href"] = href
    with pytest.raises(InvalidInputError, match="holds a document in place of an address"):
        with_items(values, "visual")


@pytest.mark.slow(minutes=0.3)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_two_thousand_mutations_take_little_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.prediction.test_hostile_items", str(tmp_path), "2000"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["wrong"], "\n".join(found["wrong"])
    assert not found["asked"]
    assert found["grown"] < GIB
    assert 0 < found["opened"] < 2000


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
