from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform
from rasterio.windows import Window

from geotranslate import mosaic, stack, translate_raster
from geotranslate.errors import GridMismatchError, InvalidInputError, RasterFileError
from geotranslate.raster.grid import Grid, align
from geotranslate.raster.reader import RasterReader, reflected
from geotranslate.raster.stack import StackedDataset
from tests.conftest import NORTH_UP, WriteRaster, raster_writer, values

CENTER = (500_060.0, 4_999_940.0)
"""Middle of all rasters, in EPSG:32633."""
SYSTEMS = {"EPSG:32633": 2.0, "EPSG:3857": 2.8, "EPSG:4326": 2.5e-5}
"""CRS and a pixel size of about two meters."""
METHODS = ["nearest", "bilinear", "cubic", "average"]


@st.composite
def rasters(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a raster of about 60 px around the middle."""
    crs = draw(st.sampled_from(sorted(SYSTEMS)))
    return {
        "crs": crs,
        "pixel": SYSTEMS[crs] * draw(st.floats(0.4, 3)),
        "turn": draw(st.sampled_from([0, 0, 20])),
        "shape": (draw(st.integers(1, 3)), draw(st.integers(30, 60)), draw(st.integers(30, 60))),
        "dtype": draw(st.sampled_from(["uint8", "int16", "uint16", "float32", "float64"])),
        "nodata": draw(st.sampled_from([None, 0])),
        "method": draw(st.sampled_from(METHODS)),
        "seed": draw(st.integers(0, 99)),
    }


def written(write: WriteRaster, name: str, drawn: dict[str, Any]) -> Path:
    (x,), (y,) = transform("EPSG:32633", drawn["crs"], *([c] for c in CENTER))
    _, rows, cols = drawn["shape"]
    place = (
        Affine.translation(x, y)
        @ Affine.rotation(drawn["turn"])
        @ Affine.scale(drawn["pixel"], -drawn["pixel"])
        @ Affine.translation(-cols / 2, -rows / 2)
    )
    data = np.random.default_rng(drawn["seed"]).integers(0, 200, drawn["shape"])
    data[:, rows // 3 : rows // 2, : cols // 2] = 0
    return write(
        name, data.astype(drawn["dtype"]), crs=drawn["crs"], transform=place, nodata=drawn["nodata"]
    )


def warped_alone(path: Path, grid: Grid, method: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a raster on a grid by rasterio alone, as `rio warp` lays it."""
    with rasterio.open(path) as dataset:
        if Grid.of(dataset).matches(grid):
            return dataset.read(), mask_of(dataset, range(1, dataset.count + 1))
        with WarpedVRT(
            dataset,
            crs=grid.crs,
            transform=grid.transform,
            height=grid.height,
            width=grid.width,
            resampling=Resampling[method],
            add_alpha=dataset.nodata is None,
            UNIFIED_SRC_NODATA="YES" if dataset.dtypes[0] == "uint8" else "NO",
        ) as warped:
            return warped.read(dataset.indexes), mask_of(warped, dataset.indexes)


def mask_of(dataset: Any, indexes: Sequence[int]) -> NDArray[np.bool_]:
    if dataset.count > len(indexes):
        return np.asarray(dataset.read(dataset.count) > 0)
    if dataset.nodata is None:
        return np.ones(dataset.shape, bool)
    valid = dataset.read(list(indexes)) != dataset.nodata
    return np.asarray(valid.any(axis=0) if dataset.dtypes[0] == "uint8" else valid.all(axis=0))


@settings(max_examples=25)
@given(st.lists(rasters(), min_size=2, max_size=3), st.data())
def test_a_stack_equals_its_layers_warped_beforehand(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[dict[str, Any]], data: st.DataObject
) -> None:
    write = raster_writer(tmp_path_factory.mktemp("stack"))
    paths = [written(write, f"{i}.tif", one) for i, one in enumerate(drawn)]
    made = stack(*paths, resampling=[one["method"] for one in drawn])
    with RasterReader(made) as source:
        found, valid = source.read(dtype=None)
        grid = source.grid
        window = Window(data.draw(st.integers(-9, 40)), data.draw(st.integers(-9, 40)), 20, 13)
        part, part_valid = source.read(window, dtype=None)
    alone = [
        warped_alone(path, grid, one["method"]) for path, one in zip(paths, drawn, strict=True)
    ]
    expected = np.logical_and.reduce([mask for _, mask in alone])
    np.testing.assert_array_equal(valid, expected)
    joined = np.concatenate([layer for layer, _ in alone])
    assert found.dtype == np.result_type(*(one["dtype"] for one in drawn))
    np.testing.assert_array_equal(found[:, valid], joined[:, valid])
    at = np.ix_(
        reflected(int(window.row_off), 13, grid.height),
        reflected(int(window.col_off), 20, grid.width),
    )
    np.testing.assert_array_equal(part, found[:, at[0], at[1]])
    np.testing.assert_array_equal(part_valid, valid[at])


@pytest.fixture
def pair(write_raster: WriteRaster) -> tuple[Path, Path]:
    """Two bands in decibels with a gap, and whole numbers at twice the pixel size."""
    radar = values((2, 40, 60), "float64", seed=1)
    radar[:, 5:10, 5:20] = np.nan
    heights = values((1, 20, 30), "int16", seed=2)
    heights[0, :, -5:] = -32768
    dem = write_raster("dem.tif", heights, nodata=-32768, transform=NORTH_UP @ Affine.scale(2))
    with rasterio.open(dem, "r+") as dataset:
        dataset.units = ("m",)
    return write_raster("s1.tif", radar, names=("VV", "VH")), dem


def test_bands_are_named_by_layer_and_keep_their_facts(pair: tuple[Path, Path]) -> None:
    with RasterReader(stack(*pair)) as source:
        assert source.band_names == ("s1:VV", "s1:VH", "dem:1")
        assert (source.dtype, source.nodata, source.file_bands) == ("float64", None, 3)
        assert isinstance(source.dataset, StackedDataset)
        assert source.dataset.units[2] == "m"
        assert {Path(file).name for file in source.dataset.files} == {"s1.tif", "dem.tif"}
        whole, _ = source.read(dtype=None)
        chosen, _ = RasterReader(source.dataset, ["dem:1", "s1:VV"]).read(dtype=None)
    valid = ~np.isnan(whole[0])
    np.testing.assert_array_equal(chosen[:, valid], whole[[2, 0]][:, valid])


def test_missing_decides_which_pixels_are_lost(pair: tuple[Path, Path]) -> None:
    one = np.ones((40, 60), bool)
    one[5:10, 5:20] = False
    with RasterReader(stack(*pair)) as source:
        data, valid = source.read()
        second = RasterReader(source.dataset, [3]).read()[1]
    np.testing.assert_array_equal(valid, one & second)
    made = stack(*pair, missing="all")
    with RasterReader(made) as source:
        kept, either = source.read()
    np.testing.assert_array_equal(either, one | second)
    np.testing.assert_array_equal(kept[:, valid], data[:, valid])
    means = [np.nanmean(values((2, 40, 60), "float64", seed=1)[band][one]) for band in (0, 1)]
    np.testing.assert_allclose(kept[:2, 7, 7], means, rtol=1e-6)
    heights = values((1, 20, 30), "int16", seed=2)[0, :, :-5]
    assert kept[2, 20, 59] == pytest.approx(heights.mean())
    with RasterReader(stack(*pair, missing="ignore")) as source:
        assert source.band_names == ("s1:VV", "s1:VH", "s1:valid", "dem:1", "dem:valid")
        shown, ignored = source.read()
        (only,), _ = RasterReader(source.dataset, ["dem:valid"]).read()
    np.testing.assert_array_equal(ignored, either)
    np.testing.assert_array_equal(shown[[0, 1, 3]][:, either], kept[:, either])
    np.testing.assert_array_equal(shown[2], one)
    np.testing.assert_array_equal(shown[4], second)
    np.testing.assert_array_equal(only, second)


def test_missing_classes_hold_a_number_that_is_none(write_raster: WriteRaster) -> None:
    cover = np.repeat(np.arange(40, dtype="uint8")[:, None] // 10 + 1, 60, axis=1)[None]
    cover[:, 5] = 0
    paths = (
        write_raster("s.tif", values((1, 40, 60), "uint8")),
        write_raster("c.tif", cover, nodata=0),
    )
    made = stack(*paths, missing="all")
    assert [layer.resampling.name for layer in made.layers] == ["bilinear", "nearest"]
    with RasterReader(made) as source:
        assert set(np.unique(source.read()[0][1])) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("classes", "none"), [((0, 254), 255), ((1, 255), 0), ((0, 1, 2, 255), 3), (range(256), None)]
)
def test_the_number_that_is_no_class_fits_the_dtype(
    write_raster: WriteRaster, classes: Any, none: int | None
) -> None:
    cover = np.resize(np.array(classes, "uint8"), (1, 40, 60))
    valid = np.ones((40, 60), bool)
    valid[:, 5] = False
    paths = (
        write_raster("s.tif", values((1, 40, 60), "uint8")),
        write_raster("c.tif", cover, valid=valid, colormap={0: (1, 2, 3, 255)}),
    )
    if none is None:
        with pytest.raises(InvalidInputError, match=r"c\.tif holds every number of uint8, so none"):
            stack(*paths, missing="all")
        return
    with RasterReader(stack(*paths, missing="all")) as source:
        data, _ = source.read(dtype=None)
    assert data.dtype == "uint8"
    assert set(data[1, :, 5]) == {none}


def test_other_values_may_replace_missing_ones(pair: tuple[Path, Path]) -> None:
    made = stack(*pair, missing="all").filled({"s1:VH": -7.0, "dem:1": 9.0, "x:1": 3.0})
    with RasterReader(made) as source:
        data, _ = source.read()
    assert (data[1, 7, 7], data[2, 20, 59]) == (-7, 9)
    assert stack(*pair).filled({"s1:VH": -7.0}) == stack(*pair)


@pytest.mark.parametrize("missing", ["any", "ignore"])
def test_a_stack_is_a_value(pair: tuple[Path, Path], missing: Any) -> None:
    made = stack(*pair, missing=missing)
    assert made == stack(*map(str, pair), missing=missing)
    assert len({made, pickle.loads(pickle.dumps(made))}) == 1
    assert str(made) == f"{pair[0]}+{pair[1]}"


def test_the_grid_may_be_chosen(pair: tuple[Path, Path], write_raster: WriteRaster) -> None:
    like = write_raster("like.tif", values((1, 11, 9), "uint8"))
    for options, shape in (
        ({}, (40, 60)),
        ({"like": like}, (11, 9)),
        ({"resolution": 4}, (20, 30)),
        ({"like": like, "resolution": 1}, (22, 18)),
    ):
        with RasterReader(stack(*pair, **options)) as source:  # type: ignore[arg-type]
            assert (source.grid.height, source.grid.width) == shape
            assert source.read()[0].shape == (3, *shape)


def test_a_stack_on_another_grid_warps_each_layer_once(pair: tuple[Path, Path]) -> None:
    made = stack(*pair)
    grid = Grid.of(rasterio.open(pair[0])).moved(3, -5)
    with (
        RasterReader(made) as source,
        align(source.dataset, grid) as aligned,
        rasterio.open(pair[1]) as dem,
        align(dem, grid) as alone,
    ):
        found, valid = RasterReader(aligned).read(dtype=None)
        expected, seen = RasterReader(alone).read(dtype=None)
    assert not (valid & ~seen).any()
    np.testing.assert_array_equal(found[2, valid], expected[0, valid])


def identity(batch: NDArray[Any]) -> NDArray[Any]:
    return batch


def test_a_stack_is_translated_like_one_file_of_its_bands(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pair[0].parent)
    made = stack("s1.tif", "dem.tif")
    with RasterReader(made) as source:
        data, valid = source.read()
    identity.radius, identity.stride = 0, 1  # type: ignore[attr-defined]
    options: dict[str, Any] = {"bands_out": 3, "dtype": "float32", "progress": False}
    options |= {"tile_size": 16}
    outputs = []
    for name, more in (
        ("a", {}),
        ("b", {"batch_size": 1, "max_memory": 20_000}),
        ("c", {"executor": ProcessPoolExecutor(1)}),
    ):
        with more.get("executor", open(tmp_path / "nothing", "w")):
            written = translate_raster(made, tmp_path / f"{name}.tif", identity, **options, **more)
        outputs.append(Path(written).read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]
    with RasterReader(tmp_path / "a.tif") as output:
        found, seen = output.read()
    np.testing.assert_array_equal(seen, valid)
    np.testing.assert_array_equal(found[:, valid], data[:, valid])


@pytest.mark.parametrize("missing", ["any", "ignore"])
@pytest.mark.parametrize("first", [True, False])
def test_a_mosaic_is_a_layer_like_its_whole(
    pair: tuple[Path, Path], write_raster: WriteRaster, missing: Any, first: bool
) -> None:
    # Smooth, as GDAL finds places in a raster and in a part of it to an eighth of a pixel.
    rows, cols = np.mgrid[0:40, 0:60]
    radar = np.stack([rows + 2.0 * cols, 99.0 - cols])
    radar[:, 5:10, 5:20] = np.nan
    names = ("VV", "VH")
    write_raster("s1.tif", radar, names=names)
    east = NORTH_UP @ Affine.translation(25, 0)
    halves = [
        write_raster("west.tif", radar[:, :, :40], names=names),
        write_raster("east.tif", radar[:, :, 25:], names=names, transform=east),
    ]
    layers = {"s1": pair[0], "dem": pair[1]}
    parts: dict[str, Any] = {**layers, "s1": mosaic(halves)}
    order = ["s1", "dem"] if first else ["dem", "s1"]
    options: dict[str, Any] = {"names": order, "missing": missing}
    whole = stack(*(layers[name] for name in order), **options)
    made = stack(*(parts[name] for name in order), **options)
    with RasterReader(whole) as one, RasterReader(pickle.loads(pickle.dumps(made))) as other:
        assert one.band_names == other.band_names
        assert one.grid == other.grid
        (data, valid), (found, seen) = one.read(), other.read()
        assert (seen != valid).mean() <= (0 if first else 0.02)
        valid &= seen
        apart = np.abs(found - data)[:, valid]
        assert (apart > (0 if first else 0.5)).mean() <= (0 if first else 0.02)
        assert set(map(str, halves)) < set(other.dataset.files)
    assert made.main == str(halves[0] if first else pair[1])
    assert [layer.share for layer in made.summary().layers] == [1, 1]


@pytest.mark.parametrize(
    "arguments, options, sentence",
    [
        (["s1.tif"], {}, "A stack of 1 rasters was asked for; give two or more paths"),
        (["s1.tif", 5], {}, "A layer is 5; give the path, URL or GDAL name"),
        (["s1.tif", "other.tif"], {}, "other.tif cannot be opened as a raster"),
        (["s1.tif", "s1.tif"], {}, "2 layers have the name 's1'; give each its own in names"),
        (["s1.tif", "dem.tif"], {"names": ["a"]}, r"names is \['a'\]; give a list of 2 names"),
        (["s1.tif", "dem.tif"], {"names": ["a", "b:c"]}, "The name of a layer is 'b:c'"),
        (["s1.tif", "dem.tif"], {"names": ["a", "a"]}, "2 layers have the name 'a'"),
        (["s1.tif", "dem.tif"], {"missing": "no"}, "missing is 'no'; give one of any, all"),
        (["s1.tif", "dem.tif"], {"resampling": "best"}, "resampling is 'best'; give one of"),
        (["s1.tif", "dem.tif"], {"resampling": ["cubic"]}, "one for each of 2 rasters"),
        (["s1.tif", "dem.tif"], {"resolution": 0}, "resolution is 0; give a number above 0"),
        (["s1.tif", "dem.tif"], {"resolution": 1e9}, "at which .*s1.tif would have 0 x 0"),
        (["s1.tif", "dem.tif"], {"like": 3}, "like is 3; give the path of a raster"),
        (["s1.tif", "dem.tif"], {"likes": 3}, "stack has no argument 'likes'; perhaps like"),
        (["s1.tif", "dem.tif"], {"like": "none.tif"}, "none.tif cannot be opened"),
        (["s1.tif", "far.tif"], {}, "far.tif does not overlap the stack's grid on the ground"),
        (["s1.tif", "plain.tif"], {}, "it has no CRS and the stack's grid has EPSG:32633"),
        (["s1.tif", "empty.tif"], {"missing": "all"}, "empty.tif has no valid pixel"),
    ],
)
def test_wrong_stacks_end_in_a_sentence(
    pair: tuple[Path, Path],
    write_raster: WriteRaster,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[Any],
    options: dict[str, Any],
    sentence: str,
) -> None:
    monkeypatch.chdir(pair[0].parent)
    data = values((1, 20, 30), "uint8")
    write_raster("far.tif", data, transform=Affine.translation(9e4, 0) @ NORTH_UP)
    write_raster("plain.tif", data, crs=None)
    write_raster("empty.tif", np.zeros_like(data), nodata=0)
    kinds = (InvalidInputError, GridMismatchError, RasterFileError, TypeError)
    with pytest.raises(kinds, match=sentence):
        stack(*arguments, **options)
