from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geotranslate.raster.writing.geotiff import is_complete
from tests.conftest import WriteRaster, values
from tests.raster.writing.written import output, write, write_parts

LAYOUTS: dict[str, dict[str, Any]] = {
    "striped": {},
    "tiled": {"tiled": True, "blockxsize": 128, "blockysize": 64, "compress": "deflate"},
    "bands": {"tiled": True, "interleave": "band"},
    "big": {"bigtiff": "yes", "tiled": True},
    "big-endian": {"endianness": "big"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("masked", [False, True])
def test_file_is_complete_in_any_layout_and_not_when_cut_off(
    write_raster: WriteRaster, layout: str, masked: bool
) -> None:
    data = values((2, 300, 310), "uint8")
    path = write_raster("a.tif", data, valid=data[0] > 100 if masked else None, **LAYOUTS[layout])
    check_cuts(path, masked)


@pytest.mark.parametrize("driver", ["COG", "GTiff", "part"])
@pytest.mark.parametrize("masked", [False, True])
def test_what_we_write_is_not_complete_when_cut_off(
    tmp_path: Path, driver: Any, masked: bool
) -> None:
    facts = output(1100, 700, bands=2, masked=masked)
    data = values((2, 1100, 700), "uint8")
    if driver == "part":
        valid = data[0] > 100 if masked else np.ones((1100, 700), bool)
        path = write_parts(tmp_path, facts, data, valid)[0][0]
    else:
        (tmp_path / "out").mkdir()
        path = write(tmp_path / "out" / "a.tif", facts, data, data[0] > 100, driver)
    check_cuts(path, masked)


def check_cuts(path: Path, masked: bool) -> None:
    assert is_complete(path, masked=masked)
    assert not is_complete(path, masked=not masked)
    whole = path.read_bytes()
    # GDAL writes the mask's directory last, or the blocks: little but a pad byte may follow them.
    for size in (len(whole) - 10, len(whole) - 1000, len(whole) // 2, 1000, 9, 4, 0):
        path.write_bytes(whole[:size])
        assert not is_complete(path, masked=masked), f"{size} of {len(whole)} bytes"


def test_block_that_was_not_written_is_missed(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", np.zeros((1, 300, 310), "uint8"), tiled=True, sparse_ok=True)
    assert not is_complete(path, masked=False)


@pytest.mark.parametrize("text", ["", "II", "no TIFF at all", "II*\0\xff\xff\xff\x7f"])
def test_what_is_no_tiff_is_not_complete(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.tif").write_bytes(text.encode("latin-1"))
    assert not is_complete(tmp_path / "a.tif", masked=False)
