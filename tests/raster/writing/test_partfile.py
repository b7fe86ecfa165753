from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geotranslate.errors import RasterFileError
from geotranslate.raster.bandfacts import DTYPES
from geotranslate.raster.writing.partfile import BLOCK, PartFile, read_tags
from tests.children import HANGS
from tests.conftest import values
from tests.raster.writing.written import output, write_parts

ALL = np.ones((20, 30), bool)
ONES = np.ones((1, 20, 30), np.float32)


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_part_appears_only_when_complete(tmp_path: Path) -> None:
    with PartFile(tmp_path / "part.tif", output(), range(20)) as part:
        part.write(0, 0, ONES, ALL)
        assert len(names(tmp_path)) == 1 and names(tmp_path)[0].endswith(".partial.tif")
    assert names(tmp_path) == ["part.tif"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_no_part(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), PartFile(tmp_path / "part.tif", output(), range(20)) as part:
        part.write(0, 0, ONES, ALL)
        raise error
    assert names(tmp_path) == []


def test_part_that_was_not_written_to_its_end_has_no_holes(tmp_path: Path) -> None:
    with PartFile(tmp_path / "part.tif", output(600, 30), range(600)) as part:
        part.write(0, 0, np.ones((1, 256, 30), np.float32), np.ones((256, 30), bool))
    with rasterio.open(tmp_path / "part.tif") as dataset:
        assert dataset.read(1)[256:].max() == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 1), (256, 256), (300, 700)], ids=str)
def test_blocks_land_where_they_belong_in_any_order(
    tmp_path: Path, dtype: str, size: tuple[int, int]
) -> None:
    data = values((2, *size), "int8" if dtype == "int8" else "uint8").astype(np.float32) % 100
    top = 512
    facts = output(top + size[0], size[1], bands=2, dtype=dtype)
    places = list(product(range(0, size[0], BLOCK), range(0, size[1], BLOCK)))
    with PartFile(tmp_path / "part.tif", facts, range(top, top + size[0])) as part:
        for row, col in reversed(places):
            block = data[:, row : row + BLOCK, col : col + BLOCK]
            part.write(top + row, col, block, np.ones(block.shape[1:], bool))
    with rasterio.open(tmp_path / "part.tif") as dataset:
        assert set(dataset.dtypes) == {dtype}
        np.testing.assert_array_equal(dataset.read(), data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("nodata", "masked"), [(None, False), (None, True), (7, False), (7, True)])
def test_what_was_computed_at_invalid_pixels_leaves_no_trace(
    tmp_path: Path, dtype: str, nodata: float | None, masked: bool
) -> None:
    facts = output(bands=2, dtype=dtype, nodata=nodata, masked=masked)
    valid = values((20, 30), "uint8") > 100
    data = np.full((2, 20, 30), 7, np.float32)
    files = set()
    for number, junk in enumerate((0, 300.5, np.nan, -np.inf)):
        data[:, ~valid] = junk
        before = data.copy()
        files.add(write_parts(tmp_path / str(number), facts, data, valid)[0][0].read_bytes())
        np.testing.assert_array_equal(data, before)
    assert len(files) == 1
    with rasterio.open(tmp_path / "0" / "part_000000.tif") as dataset:
        found = dataset.read()
    constant = found[:, ~valid]
    if nodata is not None:
        assert (constant == nodata).all()
        assert (found[:, valid] != nodata).all()
    else:
        assert np.isnan(constant).all() if "float" in dtype else (constant == 0).all()
        assert (found[:, valid] == 7).all()


def test_words_are_given_back(tmp_path: Path) -> None:
    said = {"mismatch": "0.125 3e-7", "höhe": "<a & b>", "json": '{"a": [1, 2]}'}
    with PartFile(tmp_path / "part.tif", output(), range(20)) as part:
        part.write(0, 0, ONES, ALL)
        part.describe(said)
    assert read_tags(tmp_path / "part.tif") == said
    assert names(tmp_path) == ["part.tif"]


def test_words_of_a_damaged_part_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "part.tif").write_text("damaged")
    for name in ("part.tif", "no.tif"):
        sentence = rf"The part .*{name} cannot be read: .*\. Remove it and start again\."
        with pytest.raises(RasterFileError, match=sentence):
            read_tags(tmp_path / name)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("masked", [False, True])
def test_parts_are_written_without_a_warning_in_any_thread(tmp_path: Path, masked: bool) -> None:
    facts, data = output(masked=masked), np.zeros((1, 20, 30))
    with ThreadPoolExecutor(1) as pool:
        for run in (lambda f: f(), lambda f: pool.submit(f).result()):
            (part, _), *_ = run(lambda: write_parts(tmp_path / "parts", facts, data, ~ALL))
            run(lambda: read_tags(part))  # noqa: B023  (it is called at once)
            assert names(tmp_path / "parts") == ["part_000000.tif"]
            with rasterio.open(part) as dataset:
                assert not dataset.read_masks(1).any()


def test_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    sentence = r"no.part\.tif cannot be written: .*No such file"
    with (
        pytest.raises(RasterFileError, match=sentence),
        PartFile(tmp_path / "no" / "part.tif", output(), range(20)),
    ):
        pass


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from tests.raster.writing.written import output, write_parts
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
data = np.random.default_rng(0).integers(0, 256, (2, 900, 700))
for limit in map(int, sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write_parts(Path(sys.argv[1]), output(900, 700, bands=2, masked=True), data, data[0] > 9, 4)
        print("written")
    except OSError as error:
        print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_full_disk_is_said_and_leaves_no_part(tmp_path: Path) -> None:
    size = 12 * 256 * 256 * 2
    limits = [10, 1000, size // 2, size - 1, size, size + 100, size + 10_000, 10 * size]
    said = in_child(DISK_FULL, tmp_path / "parts", limits)
    assert said[-1] == "written"
    for line in said[:-2]:
        assert line.startswith(f"RasterFileError: {tmp_path}/parts/part_000000.tif cannot be ")
        assert "room" in line and line.endswith("start again.")
    assert names(tmp_path / "parts") == ["part_000000.tif"]


def in_child(code: str, *arguments: Any) -> list[str]:
    """Run code with a folder and numbers as its arguments and return the lines that it prints."""
    folder, numbers = arguments
    command = [sys.executable, "-c", code, str(folder), *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, check=True)
    return done.stdout.splitlines()
