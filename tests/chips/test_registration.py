from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from geotranslate import export_chips, prepare_data
from geotranslate.chips.registration import ComparedPair, Registration, register, spread
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from tests.conftest import WriteRaster, read_pairs

GRID = Grid(CRS.from_epsg(32633), Affine(2, 0, 5e5, 0, -2, 5e6), 64, 64)


def town(side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return rectangles of random gray, one band."""
    chance = np.random.default_rng(seed)
    found = np.full((1, side, side), 90, "uint8")
    for _ in range(side * side // 300):
        row, col = chance.integers(0, side, 2)
        height, width = chance.integers(6, 20, 2)
        found[:, row : row + height, col : col + width] = chance.integers(0, 255)
    return found


def pairs(
    rows: int, cols: int, count: int = 12, side: int = 64, gaps: bool = False
) -> Iterator[ComparedPair]:
    for seed in range(count):
        scene = town(side + 40, seed)
        source = scene[:, 20 : 20 + side, 20 : 20 + side]
        target = scene[:, 20 - rows : 20 - rows + side, 20 - cols : 20 - cols + side]
        valid = np.ones((side, side), bool)
        if gaps:
            valid[: side // 3] = False
        # The values of the sides have nothing in common but their edges.
        yield ComparedPair(str(seed), (source, valid), (255 - target // 2, valid))


@pytest.mark.parametrize(("rows", "cols"), [(0, 0), (3, 0), (0, -6), (-5, 4), (10, 10)])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("classes", [(False, False), (False, True)])
def test_shifts_are_found(rows: int, cols: int, gaps: bool, classes: tuple[bool, bool]) -> None:
    found = register(pairs(rows, cols, gaps=gaps), classes, GRID)
    np.testing.assert_allclose(found.shift, (rows, cols), atol=0.3)
    assert found.whole == (rows, cols)
    assert found.error < 0.5
    assert found.ground is not None
    np.testing.assert_allclose(found.ground, (2 * cols, -2 * rows), atol=0.6)
    assert found.unit == "metre"
    assert len(found.chips) == 12
    assert found.is_shifted == bool(rows or cols)


def test_nothing_is_known_without_edges() -> None:
    flat = np.zeros((1, 64, 64), "uint8"), np.ones((64, 64), bool)
    none = town(64), np.zeros((64, 64), bool)
    small = town(16), np.ones((16, 16), bool)
    for source, target in ((flat, (town(64), flat[1])), (none, none), (small, small)):
        found = register([ComparedPair("a", source, target)] * 9, (False, False), GRID)
        assert (found.shift, found.error, found.chips) == ((0, 0), math.inf, ())
        assert not found.is_shifted
        assert "unknown, as 0 pairs with edges are too few" in str(found)


def test_unrelated_sides_are_not_certain() -> None:
    everywhere = np.ones((64, 64), bool)
    mixed = [
        ComparedPair(str(i), (town(64, i), everywhere), (town(64, 99 - i), everywhere))
        for i in range(30)
    ]
    found = register(mixed, (False, False), GRID)
    assert not found.is_shifted
    assert found.whole == (0, 0)
    assert "less than a pixel or not certain" in str(found)


def test_text_names_pixels_and_ground() -> None:
    found = Registration((3.04, -4.0), 0.11, (-8.0, -6.0), "metre", ())
    assert str(found) == (
        "the target lies +3.0 rows and -4.0 columns from the source (10 metre on the ground), with "
        "a standard error of 0.1 px over 0 pairs"
    )


@pytest.mark.parametrize(("count", "most"), [(3, 5), (10, 3), (7, 7), (1, 1)])
def test_positions_are_spread(count: int, most: int) -> None:
    found = spread(count, most)
    assert len(found) == len({*found}) == min(count, most)
    assert found[0] == 0
    assert found[-1] < count


@pytest.fixture
def scene(write_raster: WriteRaster) -> tuple[Path, Path]:
    """Return a source, and a target whose content lies 3 rows down and 2 columns left of it."""
    whole = town(640)
    transform = Affine(2, 0, 5e5, 0, -2, 5e6)
    source = write_raster("a.tif", whole[:, 20:620, 20:620], transform=transform)
    target = write_raster("b.tif", whole[:, 17:617, 22:622] // 2, transform=transform)
    return source, target


@pytest.mark.slow
def test_shift_is_found_in_chips_and_said_in_the_summary(
    scene: tuple[Path, Path], tmp_path: Path
) -> None:
    export_chips(*scene, tmp_path / "chips", tile_size=64, progress=False)
    data = prepare_data(tmp_path / "chips")
    found = data.check_registration()
    assert found.whole == (3, -2)
    assert "registration" in str(data.summary())
    assert "the target lies +3.0 rows and -2.0 columns" in str(data.summary())
    assert len(data.check_registration(pairs=10).chips) == 10
    with pytest.raises(InvalidInputError, match="pairs is 0; give"):
        data.check_registration(pairs=0)
    reverse = prepare_data(tmp_path / "chips", direction="BtoA")
    assert reverse.check_registration().whole == (-3, 2)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("shift", ["auto", (3, -2), [3.0, -2]])
def test_shift_is_undone(scene: tuple[Path, Path], tmp_path: Path, shift: Any) -> None:
    done = export_chips(*scene, tmp_path / "chips", tile_size=64, shift=shift, progress=False)
    assert done.shifts == ((3, -2),)
    for pair in read_pairs(tmp_path / "chips").pairs:
        (source, _), (target, valid) = pair.source.read(), pair.target.read()
        np.testing.assert_array_equal(target[:, valid], source[:, valid] // 2)
        assert valid.mean() > 0.9
        assert pair.source.grid == pair.target.grid
    assert "registration" not in str(prepare_data(tmp_path / "chips").summary())


@pytest.mark.slow
def test_shift_is_undone_in_turned_chips(scene: tuple[Path, Path], tmp_path: Path) -> None:
    options: dict[str, Any] = {"tile_size": 64, "rotation_angle": 90, "progress": False}
    export_chips(*scene, tmp_path / "chips", shift=(3, -2), **options)
    for pair in read_pairs(tmp_path / "chips").pairs:
        (source, seen), (target, valid) = pair.source.read(), pair.target.read()
        both = seen & valid
        assert both.any()
        assert np.abs(target[:, both].astype(int) - source[:, both] // 2).max() <= 1


@pytest.mark.parametrize("shift", ["none", 3, (1, 2, 3), (1, "a"), None, (float("nan"), 0), {}])
def test_other_shifts_are_refused(scene: tuple[Path, Path], tmp_path: Path, shift: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^shift is "):
        export_chips(*scene, tmp_path / "chips", shift=shift)


def test_shift_without_crs_is_refused(write_raster: WriteRaster, tmp_path: Path) -> None:
    sides = [write_raster(f"{name}.tif", town(256), crs=None) for name in "ab"]
    with pytest.raises(InvalidInputError, match="has no CRS, so that its target cannot be moved"):
        export_chips(*sides, tmp_path / "chips", shift=(1, 0), progress=False)
    assert export_chips(*sides, tmp_path / "auto", shift="auto", progress=False).shifts == ((0, 0),)


def test_unpaired_data_have_no_shift(scene: tuple[Path, Path]) -> None:
    data = prepare_data(*scene, chip_size=128, paired=False)
    with pytest.raises(InvalidInputError, match="The data is unpaired, so its sides have no shift"):
        data.check_registration()
    assert "registration" not in str(data.summary())
