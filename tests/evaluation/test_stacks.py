"""`evaluate_raster` with stacks equals the evaluation of files with their pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from click.testing import CliRunner

from geotranslate import evaluate_raster, mosaic, stack
from geotranslate.cli import main
from geotranslate.errors import GridMismatchError, InvalidInputError, RasterFileError
from geotranslate.raster.reader import RasterReader
from tests.conftest import NORTH_UP, WriteRaster
from tests.evaluation.conftest import images


@pytest.fixture
def paths(write_raster: WriteRaster) -> dict[str, Path]:
    """Return the layers of a prediction and of a reference, one on another grid."""
    ours, theirs = images((3, 140, 150), "float32")
    ours[0, :30, :40] = np.nan
    moved = NORTH_UP @ Affine.translation(-3.3, 2.6) @ Affine.scale(1.1)
    return {
        "a": write_raster("a.tif", ours[:2]),
        "b": write_raster("b.tif", ours[2:]),
        "c": write_raster("c.tif", theirs[:1]),
        "d": write_raster("d.tif", theirs[1:], transform=moved),
    }


def as_file(write: WriteRaster, name: str, raster: Any) -> Path:
    with RasterReader(raster) as source:
        data, valid = source.read()
        return write(name, np.where(valid, data, np.nan), transform=source.grid.transform)


@pytest.mark.parametrize("missing", ["any", "all"])
def test_stacks_are_evaluated_like_files_of_their_pixels(
    paths: dict[str, Path], write_raster: WriteRaster, missing: Any
) -> None:
    ours = stack(paths["a"], paths["b"], missing=missing)
    theirs = stack(paths["c"], paths["d"], missing=missing)
    options: dict[str, Any] = {"progress": False, "data_range": 3.0, "classes": False}
    found = evaluate_raster(ours, theirs, source=ours, fitted_on=(ours, theirs), **options)
    pair = (as_file(write_raster, "ours.tif", ours), as_file(write_raster, "theirs.tif", theirs))
    expected = evaluate_raster(*pair, source=pair[0], fitted_on=pair, **options)
    assert dict(found) == pytest.approx(dict(expected), rel=1e-6, nan_ok=True)
    assert list(found.per_band) == ["c:1", "d:1", "d:2"]


def test_the_windows_do_not_matter(paths: dict[str, Path]) -> None:
    theirs = stack(paths["c"], paths["d"])
    sides = stack(paths["a"], paths["b"]), theirs
    options: dict[str, Any] = {"block_size": 64, "classes": False, "progress": False}
    found = [evaluate_raster(*sides, window_size=size, **options) for size in (48, 512)]
    for other in found[1:]:
        assert dict(other) == pytest.approx(dict(found[0]), rel=1e-9, nan_ok=True)


def test_texts_are_stacks_on_the_command_line(paths: dict[str, Path]) -> None:
    ours, theirs = f"{paths['a']}+x={paths['b']}", f"{paths['c']}+{paths['d']}"
    options = ["--no-progress", "--json", "--baseline", ours, "--source", ours]
    done = CliRunner().invoke(main, ["evaluate-raster", ours, theirs, *options])
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert values["skill_over_baseline"] == 0
    expected = evaluate_raster(
        stack(paths["a"], paths["b"]), stack(paths["c"], paths["d"]), progress=False
    )
    assert values["mae"] == pytest.approx(expected["mae"], rel=1e-9)
    wrong = CliRunner().invoke(main, ["evaluate-raster", f"{ours}x", theirs])
    assert wrong.exit_code
    assert "b.tifx cannot be opened as a raster" in wrong.output


def test_bands_are_chosen_by_the_names_of_layers(paths: dict[str, Path]) -> None:
    theirs = stack(paths["c"], paths["d"])
    one = evaluate_raster(paths["b"], theirs, reference_bands=["d:2"], progress=False)
    other = evaluate_raster(paths["b"], paths["d"], reference_bands=[2], progress=False)
    # The layer is warped onto the grid of the stack, which is that of the prediction here.
    assert one["mae"] == pytest.approx(other["mae"], rel=1e-9)


def test_a_mosaic_is_evaluated_like_its_rasters(write_raster: WriteRaster) -> None:
    ours, theirs = images((1, 64, 128))
    east = NORTH_UP @ Affine.translation(64, 0)
    halves = [
        write_raster("west.tif", ours[:, :, :64]),
        write_raster("east.tif", ours[:, :, 64:], transform=east),
    ]
    whole, reference = write_raster("whole.tif", ours), write_raster("reference.tif", theirs)
    expected = evaluate_raster(whole, reference, progress=False)
    for raster in (mosaic(halves), ",".join(map(str, halves))):
        found = evaluate_raster(raster, reference, progress=False)
        assert dict(found) == pytest.approx(dict(expected), rel=1e-12, nan_ok=True)


def test_wrong_stacks_end_in_a_sentence(paths: dict[str, Path], write_raster: WriteRaster) -> None:
    ours = stack(paths["a"], paths["b"])
    with pytest.raises(InvalidInputError, match=r"b\.tif has 3 bands and .*c\.tif 1;"):
        evaluate_raster(ours, paths["c"], progress=False)
    far = write_raster("far.tif", np.ones((1, 9, 9), "uint8"), transform=Affine.translation(9, 9))
    with pytest.raises(GridMismatchError, match="does not overlap"):
        evaluate_raster(ours, f"{far}+{far.with_name('c.tif')}", progress=False)
    paths["b"].unlink()
    with pytest.raises(RasterFileError, match=r"b\.tif cannot be opened"):
        evaluate_raster(ours, stack(paths["c"], paths["d"]), progress=False)
