from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geotranslate.errors import (
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
    TranslationError,
)
from geotranslate.raster.pipeline.translate import translate_raster
from tests.children import HANGS
from tests.conftest import WriteRaster, values
from tests.full_disk import files_in

Batch = NDArray[np.float32]


def identity(batch: Batch) -> Batch:
    return batch


def test_failing_apply_leaves_no_file(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster("a.tif", values((1, 500, 60), "uint8"))
    calls = []

    def fail(batch: Batch) -> Batch:
        calls.append(batch)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return batch

    sentence = "tile in tile row 1, tile column 0 failed: RuntimeError: out of memory"
    with pytest.raises(TranslationError, match=sentence):
        translate_raster(
            path,
            tmp_path / "b.tif",
            fail,
            bands_out=1,
            overlap=0,
            batch_size=1,
            progress=False,
        )
    assert [item.name for item in tmp_path.iterdir()] == ["a.tif"]


def test_source_is_never_overwritten(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((1, 50, 60), "uint8"))
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="is the source itself"):
        translate_raster(path, path, identity, bands_out=1, overwrite=True, progress=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize("depth", [1, 2])
def test_file_that_the_source_reads_is_never_overwritten(
    write_raster: WriteRaster, tmp_path: Path, depth: int
) -> None:
    path = file = write_raster("a.tif", values((1, 50, 60), "uint8"))
    before = path.read_bytes()
    for level in range(depth):
        vrt = tmp_path / f"{level}.vrt"
        vrt.write_text(
            '<VRTDataset rasterXSize="60" rasterYSize="50"><VRTRasterBand dataType="Byte" band="1">'
            f'<SimpleSource><SourceFilename relativeToVRT="1">{file.name}</SourceFilename>'
            "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
        )
        file = vrt
    sentence = rf"a\.tif is a file that the source .*{depth - 1}\.vrt reads, which must survive"
    with pytest.raises(InvalidInputError, match=sentence):
        translate_raster(file, path, identity, bands_out=1, overwrite=True, progress=False)
    assert path.read_bytes() == before
    other = tmp_path / "b.tif"
    other.write_text("old")
    translate_raster(file, other, identity, bands_out=1, overwrite=True, progress=False)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"overwrite": "no"}, "overwrite is 'no'; give True or False."),
        ({"resume": "x"}, "resume is 'x'; give True or False."),
        ({"categorical": None}, "categorical is None; give True or False."),
        ({"output": ""}, "output is ''; give the path of a file."),
        ({"output": None}, "output is None; give the path of a file."),
        ({"apply": 5}, "apply is 5; give a function from a batch of tiles to as many translated"),
        ({"identity": 5}, "identity is 5; give a text, or a dict from names to texts."),
        ({"scale": 1e9}, "scale is 1000000000.0; give output pixels per source pixel, such as 2"),
        ({"bands_out": 10**9}, "bands_out is 1000000000; give a whole number of at least 1 and"),
        ({"tile_size": 2**30}, "tile_size is 1073741824; give a whole number of at least 1 and at"),
        ({"tile_size": 65_536, "bands_out": 1000}, "at a scale of 1 a tile takes 17197.0 GB of"),
        ({"fill": "x"}, "fill is 'x'; give a finite number."),
        ({"fill": float("nan")}, "fill is nan; give a finite number."),
    ],
)
def test_harmful_options_are_refused_and_nothing_is_written(
    write_raster: WriteRaster, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    arguments = {
        "source": write_raster("a.tif", values((1, 50, 60), "uint8")),
        "output": write_raster("b.tif", values((1, 5, 6), "uint8")),
        "apply": identity,
        "bands_out": 1,
        "overwrite": True,
    }
    before = files_in(tmp_path)
    with pytest.raises(InvalidInputError, match=re.escape(sentence)):
        translate_raster(**{**arguments, **options}, progress=False)
    assert files_in(tmp_path) == before


DISK_FULL = """
import resource, signal, sys
from geotranslate.raster.pipeline import translate_raster
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
source, output, limit = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit),) * 2)
try:
    translate_raster(source, output, lambda b: b, bands_out=3, overwrite=True, progress=False)
except OSError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize(
    ("limit", "failing"),
    [(2_000_000, "b.tif.parts/part_000000.tif"), (5_200_000, "b.tif")],
    ids=["part", "assembly"],
)
def test_full_disk_is_said_and_nothing_is_lost(
    write_raster: WriteRaster, tmp_path: Path, limit: int, failing: str
) -> None:
    path = write_raster("a.tif", values((3, 1200, 1200), "uint8"))
    output = tmp_path / "b.tif"
    output.write_text("old")
    command = [sys.executable, "-c", DISK_FULL, str(path), str(output), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 1
    assert f"RasterFileError: {tmp_path / failing} cannot be" in done.stderr
    assert "room" in done.stderr
    assert output.read_text() == "old"
    kept = ["b.tif.parts"] if failing == "b.tif" else []
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.tif", "b.tif", *kept]
    result = translate_raster(
        path, output, identity, bands_out=3, resume=True, overwrite=True, progress=False
    )
    assert result.path.read_bytes() != b"old"


@pytest.mark.parametrize("driver", ["PNG", None, "", 3])
def test_driver_that_is_none_is_said_before_anything_is_computed(
    write_raster: WriteRaster, tmp_path: Path, driver: Any
) -> None:
    def never(batch: Batch) -> Batch:
        raise AssertionError("computed")

    path = write_raster("a.tif", values((1, 300, 300), "uint8"))
    with pytest.raises(InvalidInputError, match=f"driver is {driver!r}; give 'COG' or 'GTiff'"):
        translate_raster(
            path, tmp_path / "b.tif", never, bands_out=1, driver=driver, progress=False
        )


@pytest.mark.parametrize("name", ["tile_size", "overlap", "batch_size", "bands_out"])
@pytest.mark.parametrize(
    ("value", "given"),
    [
        (2.0, "2.0"),
        ("2", "'2'"),
        (True, "True"),
        (np.True_, ".*True.*"),
        (-1, "-1"),
        (np.int16(-1), "-1"),
        (list(range(99)), r"\[0, 1, 2, 3, 4, 5, \.\.\.\]"),
    ],
)
def test_what_is_no_whole_number_is_said(
    write_raster: WriteRaster, tmp_path: Path, name: str, value: Any, given: str
) -> None:
    path = write_raster("a.tif", values((1, 50, 60), "uint8"))
    least = 0 if name == "overlap" else 1
    sentence = rf"^{name} is {given}; give a whole number of at least {least}( and at most \d+)?\.$"
    with pytest.raises(InvalidInputError, match=sentence):
        options: dict[str, Any] = {"bands_out": 1, name: value}
        translate_raster(path, tmp_path / "b.tif", identity, progress=False, **options)


def test_existing_output_is_refused(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster("a.tif", values((1, 50, 60), "uint8"))
    (tmp_path / "b.tif").write_text("precious")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        translate_raster(path, tmp_path / "b.tif", identity, bands_out=1, progress=False)
    assert (tmp_path / "b.tif").read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch_size": 0}, "batch_size is 0; give a whole number of at least 1"),
        ({"overlap": 200}, "overlap is 200 with tiles of 256; give 0 to 128"),
        (
            {"bands_out": 2},
            r"apply returned \(1, 1, 256, 256\).*tile row 0, tile column 0; it has to return "
            r"\(1, 2, 256, 256\)",
        ),
        ({"fill": (1, 2)}, "fill has 2 values for 1 band"),
        ({"dtype": "complex64"}, "dtype is 'complex64'; give one of"),
        ({"dtype": "rgb"}, "dtype is 'rgb'; give one of"),
    ],
)
def test_impossible_options_are_said(
    write_raster: WriteRaster, tmp_path: Path, options: dict[str, object], sentence: str
) -> None:
    path = write_raster("a.tif", values((1, 50, 60), "uint8"), nodata=7)
    with pytest.raises(InvalidInputError, match=sentence):
        translate_raster(
            path, tmp_path / "b.tif", identity, **{"bands_out": 1, "progress": False, **options}
        )
    assert not (tmp_path / "b.tif").exists()


def test_dtype_that_is_not_written_has_to_be_chosen(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("a.tif", np.arange(6, dtype="uint64").reshape(1, 2, 3))
    with pytest.raises(
        InvalidInputError, match=r"a\.tif holds uint64, which cannot be written; give a dtype"
    ):
        translate_raster(path, tmp_path / "b.tif", identity, bands_out=1, progress=False)
    translate_raster(
        path, tmp_path / "b.tif", identity, bands_out=1, dtype="uint32", progress=False
    )


def test_folder_of_parts_that_goes_away_is_said(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster("a.tif", values((1, 600, 60), "uint8"))

    def remove(batch: Batch) -> Batch:
        shutil.rmtree(tmp_path / "b.tif.parts", ignore_errors=True)
        return batch

    sentence = r"part_000000\.tif cannot be written: .*No such file.*start again"
    with pytest.raises(RasterFileError, match=sentence):
        translate_raster(
            path, tmp_path / "b.tif", remove, bands_out=1, overlap=0, blend="crop", progress=False
        )
