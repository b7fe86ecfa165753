from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import geotranslate.raster.writing.cog
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.raster.bandfacts import DTYPES
from geotranslate.raster.grid import Grid
from geotranslate.raster.writing.cog import Driver, assemble
from geotranslate.raster.writing.geotiff import is_complete
from geotranslate.raster.writing.partfile import PartFile
from tests.conftest import values
from tests.raster.writing.test_partfile import in_child, names
from tests.raster.writing.written import Parts, output, write, write_parts

DRIVERS: list[Driver] = ["COG", "GTiff"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a path in a folder of its own."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "a.tif"


def read(path: Path, **options: Any) -> NDArray[Any]:
    with rasterio.open(path, **options) as dataset:
        return dataset.read()


@pytest.mark.slow_after(16)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 1), (1, 1300), (1300, 1), (600, 513)], ids=str)
def test_every_pixel_is_what_was_written(
    out: Path, dtype: str, size: tuple[int, int], driver: Driver
) -> None:
    data = values((2, *size), "int8" if dtype == "int8" else "uint8").astype(np.float32) % 120
    write(out, output(*size, bands=2, dtype=dtype), data, driver=driver)
    np.testing.assert_array_equal(read(out), data)
    assert names(out.parent) == ["a.tif"]


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(("masked", "nodata"), [(False, None), (True, None), (True, 9)])
def test_file_does_not_depend_on_how_it_was_cut(
    out: Path, driver: Driver, masked: bool, nodata: float | None
) -> None:
    data = values((2, 1300, 700), "uint8")
    facts = output(1300, 700, bands=2, masked=masked, nodata=nodata)
    files = set()
    for blocks in (1, 2, 3, 6):
        folder = out.parent / f"parts {blocks}"
        parts = write_parts(folder, facts, data, data[0] > 100, blocks)
        assert len(parts) == -(-1300 // (256 * blocks))
        assemble(out, facts, parts, driver)
        files.add(out.read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize("side", [512, 513, 1500])
@pytest.mark.parametrize("driver", DRIVERS)
def test_layout_is_what_readers_of_the_cloud_expect(out: Path, driver: Driver, side: int) -> None:
    write(out, output(side, side), driver=driver)
    with rasterio.open(out) as dataset:
        structure = dataset.tags(ns="IMAGE_STRUCTURE")
        assert structure.get("LAYOUT") == ("COG" if driver == "COG" else None)
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.compression.name == "deflate"
        assert structure["INTERLEAVE"] in ("PIXEL", "BAND")
        factors = dataset.overviews(1)
    assert factors == [2**n for n in range(1, 9) if 512 * 2 ** (n - 1) < side]
    assert names(out.parent) == ["a.tif"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_predictor_follows_the_dtype(out: Path, driver: Driver, dtype: str) -> None:
    for categorical, expected in (
        (False, "3" if "float" in dtype else "2"),
        (True, None),
    ):
        write(out, output(dtype=dtype, categorical=categorical), driver=driver)
        with rasterio.open(out) as dataset:
            found = dataset.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR")
        assert found in ((expected, "1") if categorical else (expected,))


@pytest.mark.slow_after(4)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("nodata", [None, pytest.param(0, marks=pytest.mark.slow), 7])
def test_overviews_mix_nothing_invalid_in(
    out: Path, driver: Driver, dtype: str, nodata: float | None
) -> None:
    # Within every 2 x 2 pixels one is valid at least; the right half has none.
    valid = values((1100, 1200), "uint8") > 128
    valid[::2, ::2] = True
    valid[:, 600:] = False
    data = np.where(valid, 100, 50)[None].repeat(2, axis=0)
    facts = output(1100, 1200, bands=2, dtype=dtype, nodata=nodata, masked=True)
    write(out, facts, data, valid, driver)
    for level in range(2):
        with rasterio.open(out, overview_level=level) as dataset:
            seen = dataset.dataset_mask() > 0
            half = 600 // 2 ** (level + 1)
            assert seen[:, :half].all() and not seen[:, half:].any()
            assert (dataset.read()[:, seen] == 100).all()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "facts", [{"categorical": True}, {"colormap": {1: (1, 2, 3, 255)}}], ids=["said", "colormap"]
)
def test_overviews_of_classes_hold_classes(
    out: Path, driver: Driver, facts: dict[str, Any]
) -> None:
    data = values((1, 1100, 1200), "uint8") // 100 * 100
    write(out, output(1100, 1200, **facts), data, driver=driver)
    for level in range(2):
        assert set(np.unique(read(out, overview_level=level))) == {0, 100, 200}


@pytest.mark.parametrize("driver", DRIVERS)
def test_overviews_of_measurements_are_means(out: Path, driver: Driver) -> None:
    data = values((1, 1200, 1200), "uint8")
    write(out, output(1200, 1200, dtype="float32"), data, driver=driver)
    expected = data[0].reshape(600, 2, 600, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(read(out, overview_level=0)[0], expected, rtol=1e-6)


@settings(max_examples=25)
@given(st.sampled_from(DRIVERS), st.sampled_from(DTYPES), st.integers(0, 99))
def test_mask_is_the_one_that_was_written(
    tmp_path_factory: pytest.TempPathFactory, driver: Driver, dtype: str, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "out").mkdir()
    valid = values((300, 310), "uint8", seed) > seed * 2.6
    valid[:250, :250] &= seed % 3 > 0
    facts = output(300, 310, dtype=dtype, masked=True)
    path = write(folder / "out" / "a.tif", facts, np.ones((1, 300, 310)), valid, driver)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, valid)
        assert (dataset.nodata is None) == ("int" in dtype)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("driver", DRIVERS)
def test_raster_without_georeference_is_written_without_a_warning(
    out: Path, driver: Driver
) -> None:
    write(out, output(grid=Grid(None, Affine.identity(), 600, 30)), driver=driver)
    assert names(out.parent) == ["a.tif"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ["a b.tif", "a#1.tif", "50%20.tif", "höhe.tif", "a,b;c!d<&>.TIFF"])
def test_any_file_name_will_do(tmp_path: Path, driver: Driver, name: str) -> None:
    folder = tmp_path / name / "out"
    folder.mkdir(parents=True)
    write(folder / name, output(masked=True), driver=driver)
    assert names(folder) == [name]
    assert read(folder / name).min() == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_assembly_leaves_the_old_file_and_nothing_else(
    out: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(_: str, target: Path, **options: Any) -> None:
        for ending in ("", ".ovr.tmp", ".msk.ovr.tmp"):
            Path(f"{target}{ending}").write_text("half")
        raise error

    out.write_text("old")
    monkeypatch.setattr("rasterio.shutil.copy", fail)
    with pytest.raises(error):
        write(out, output())
    assert out.read_text() == "old"
    assert names(out.parent) == ["a.tif"]


def test_old_file_stays_until_the_new_one_takes_its_name(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = write_parts(out.parent / "parts", output(), np.ones((1, 20, 30)))
    out.write_text("old")
    sidecar = out.parent / "a.tif.ovr"
    sidecar.write_text("of the old")

    def fail(*_: object) -> None:
        raise PermissionError("a virus scanner has it")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(RasterFileError, match=r"a\.tif cannot be completed: a virus scanner"):
            assemble(out, output(), parts)
    assert out.read_text() == "old"
    assert names(out.parent) == ["a.tif", "a.tif.ovr", "parts"]
    assemble(out, output(), parts)
    assert names(out.parent) == ["a.tif", "parts"]
    assert read(out).min() == 1


def damaged(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-100])


def of_other_size(part: Path) -> None:
    facts = output(88, 31, masked=True)
    write_parts(part.parent / "other", facts, np.ones((1, 88, 31)))[0][0].replace(part)


@pytest.mark.parametrize("spoil", [Path.unlink, damaged, of_other_size])
def test_part_that_is_missing_or_damaged_is_named(out: Path, spoil: Any) -> None:
    facts = output(600, 30, masked=True)
    parts = write_parts(out.parent.parent / "parts", facts, np.ones((1, 600, 30)))
    spoil(parts[2][0])
    what = "missing; start" if spoil is Path.unlink else "damaged or not of this output; remove it"
    with pytest.raises(RasterFileError, match=rf"The part .*part_000002\.tif is {what}"):
        assemble(out, facts, parts)
    assert names(out.parent) == []


@pytest.mark.parametrize(
    "spoil", [lambda p: p[1:], lambda p: p[:-1], lambda p: p[::2], lambda p: p[::-1], lambda p: []]
)
def test_rows_that_no_part_holds_are_said(out: Path, spoil: Any) -> None:
    facts = output(600, 30)
    parts: Parts = write_parts(out.parent.parent / "parts", facts, np.ones((1, 600, 30)))
    with pytest.raises(InvalidInputError, match=r"The parts hold rows 0 to \d+ of 600 without"):
        assemble(out, facts, spoil(parts))


def test_unknown_driver_is_refused(out: Path) -> None:
    with pytest.raises(InvalidInputError, match="driver is 'PNG'; give 'COG' or 'GTiff'"):
        write(out, output(), driver="PNG")  # type: ignore[arg-type]


def test_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    parts = write_parts(tmp_path / "parts", output(), np.ones((1, 20, 30)))
    for driver in DRIVERS:
        with pytest.raises(RasterFileError, match=r"a\.tif cannot be completed: .*No such file"):
            assemble(tmp_path / "no" / "a.tif", output(), parts, driver)


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from geotranslate.raster.writing.cog import assemble
from tests.raster.writing.written import output, write_parts
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, *limits = sys.argv[1:]
facts = output(900, 700, bands=2, masked=True)
data = np.random.default_rng(0).integers(0, 256, (2, 900, 700))
parts = write_parts(Path(folder) / "parts", facts, data, data[0] > 9, 4)
for limit in limits:
    for driver in ("COG", "GTiff"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
        out = Path(folder) / "a.tif"
        out.write_text("old")
        try:
            assemble(out, facts, parts, driver)
            print("written", out.stat().st_size)
        except OSError as error:
            print(f"{type(error).__name__}: {error}")
            assert out.read_text() == "old"
        assert sorted(item.name for item in Path(folder).iterdir()) == ["a.tif", "parts"]
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_full_disk_is_said_and_the_old_file_stays(tmp_path: Path) -> None:
    _, *sizes = in_child(DISK_FULL, tmp_path, [10, 10**9])[1:]
    cog, gtiff = (int(line.split()[1]) for line in sizes)
    least = min(cog, gtiff)
    limits = [10, 5000, least // 3, least // 2, least - 5000, least - 100, least - 1]
    for line in in_child(DISK_FULL, tmp_path, limits):
        assert line.startswith(f"RasterFileError: {tmp_path}/a.tif cannot be completed: ")
        assert "room" in line and line.endswith("start again.")


def test_incomplete_file_is_never_put_in_place(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geotranslate.raster.writing.cog, "is_complete", hide_the_end)
    with pytest.raises(RasterFileError, match=r"a\.tif cannot be completed: the disk is full or"):
        write(out, output(masked=True))
    assert names(out.parent) == []


def hide_the_end(path: Path, *, masked: bool) -> bool:
    if path.name.endswith(".partial.tif"):
        path.write_bytes(path.read_bytes()[:-200])
    return is_complete(path, masked=masked)


@pytest.mark.slow(minutes=0.5)
@pytest.mark.parametrize("driver", DRIVERS)
def test_file_that_may_pass_4_gb_is_bigtiff(out: Path, driver: Driver) -> None:
    # GDAL's estimate of how well pixels are compressed leaves room: it begins at 2 GB.
    side, step = 46_000, 2300
    facts = output(side, side)
    part = out.parent.parent / "part.tif"
    with PartFile(part, facts, range(step)) as file:
        for row in range(0, step, 256):
            shape = (min(256, step - row), side)
            file.write(row, 0, np.zeros((1, *shape), np.float32), np.ones(shape, bool))
    # One part many times: 2 GB that no disk has to hold.
    assemble(out, facts, [(part, range(top, top + step)) for top in range(0, side, step)], driver)
    with out.open("rb") as opened:
        assert opened.read(4) == b"II+\0"
    with rasterio.open(out) as dataset:
        assert dataset.shape == (side, side)
        assert dataset.overviews(1)[-1] >= 64
