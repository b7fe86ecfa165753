from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from rasterio.windows import from_bounds

from geotranslate import export_chips, mosaic, prepare_data, stack
from geotranslate.chips.bands import Side, sample_scene
from geotranslate.chips.stacking import as_raster
from geotranslate.cli import main
from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.stack import Stack
from tests.conftest import NORTH_UP, WriteRaster, values


@pytest.fixture
def place(write_raster: WriteRaster, tmp_path: Path) -> Path:
    """Return a folder with radar, heights at twice its pixel size, and a target."""
    chance = np.random.default_rng(0)
    radar = chance.normal(-12, 4, (2, 64, 96)).astype("float32")
    radar[:, :20, :20] = np.nan
    heights = chance.integers(200, 900, (1, 32, 48), "int16")
    heights[0, :, 40:] = -1
    write_raster("s1.tif", radar)
    write_raster("dem.tif", heights, nodata=-1, transform=NORTH_UP @ Affine.scale(2))
    write_raster("map.tif", values((3, 64, 96), "uint8"))
    return tmp_path


def test_texts_describe_stacks(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    made = as_raster("s1.tif+dem.tif")
    assert made == stack("s1.tif", "dem.tif")
    assert as_raster("radar=s1.tif+dem.tif") == stack("s1.tif", "dem.tif", names=["radar", "dem"])
    for other in ("s1.tif", "no.tif+none.tif", "https://host/a+b.tif", Path("s1.tif"), None, 3):
        assert as_raster(other) is other
    (place / "a+s1.tif").write_bytes(b"")
    assert as_raster("a+s1.tif") == "a+s1.tif"
    (place / "a=s1.tif").write_bytes((place / "s1.tif").read_bytes())
    found = as_raster("a=s1.tif+dem.tif")
    assert [layer.path for layer in found.layers] == ["a=s1.tif", "dem.tif"]


def test_texts_may_have_mosaics_as_layers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (place / "s1_b.tif").write_bytes((place / "s1.tif").read_bytes())
    both = mosaic("s1.tif", "s1_b.tif")
    assert as_raster("s1.tif,s1_b.tif+dem.tif") == stack(both, "dem.tif", names=["s1", "dem"])
    named = as_raster("radar=s1.tif,s1_b.tif+dem.tif")
    assert named == stack(both, "dem.tif", names=["radar", "dem"])
    assert as_raster("no.tif,none.tif+nothing.tif") == "no.tif,none.tif+nothing.tif"
    with RasterReader(named) as source:
        assert source.short_name == "s1.tif,s1_b.tif+dem.tif"


def test_files_of_equal_names_are_named_by_their_folders(write_raster: WriteRaster) -> None:
    paths = [write_raster(f"{name}/1.tif", values((1, 9, 9), "uint8")) for name in ("s1", "dem")]
    with RasterReader(stack(*paths)) as source:
        assert source.band_names == ("s1:1", "dem:1")
        assert source.short_name == "s1=1.tif+dem=1.tif"
    with pytest.raises(InvalidInputError, match="2 layers have the name '1'"):
        stack(paths[0], paths[0])


@pytest.mark.parametrize("missing", ["any", "all", "ignore"])
def test_chips_of_a_stack_hold_its_pixels(place: Path, missing: Any) -> None:
    made = stack(place / "s1.tif", place / "dem.tif", missing=missing)
    done = export_chips(made, place / "map.tif", place / "chips", tile_size=32, min_valid=0.1)
    assert done.pairs
    with RasterReader(made) as source:
        for file in sorted((place / "chips/images").glob("*.tif")):
            with RasterReader(file) as chip, rasterio.open(file) as dataset:
                window = from_bounds(*dataset.bounds, source.grid.transform)
                data, valid = chip.read(dtype=None)
                expected, seen = source.read(window, dtype=None)
                assert chip.band_names == source.band_names
            np.testing.assert_array_equal(valid, seen)
            np.testing.assert_array_equal(data[:, valid], expected[:, valid])


@pytest.mark.parametrize("missing", ["any", "ignore"])
def test_windows_of_a_stack_train_like_its_chips(place: Path, missing: Any) -> None:
    made = stack(place / "s1.tif", place / "dem.tif", missing=missing)
    target = place / "map.tif"
    export_chips(made, target, place / "chips", tile_size=32)
    options: dict[str, Any] = {"num_workers": 0, "device": "cpu", "val_split_pct": 0}
    folder = prepare_data(place / "chips", **options)
    windows = prepare_data(made, target, chip_size=32, **options)
    sides: list[Side] = [data.card.source for data in (folder, windows)]
    assert sides[0].band_names == sides[1].band_names
    np.testing.assert_allclose(sides[0].mean, sides[1].mean)
    for one, other in zip(folder.train_ds, windows.train_ds, strict=True):
        assert one[0].shape == other[0].shape
    chosen = prepare_data(made, target, chip_size=32, source_bands=["dem:1"], **options)
    assert chosen.card.source.bands == 1
    assert f"{made}" in str(windows.summary())


def test_a_stack_may_be_the_target_and_what_to_look_like(place: Path) -> None:
    made = stack(place / "s1.tif", place / "dem.tif")
    options: dict[str, Any] = {"num_workers": 0, "device": "cpu", "chip_size": 32}
    back = prepare_data(place / "map.tif", made, **options)
    assert back.card.target.band_names == ("s1:1", "s1:2", "dem:1")
    with RasterReader(made) as source:
        assert sample_scene(source).shape[0] == 3
    looks = prepare_data(made, place / "map.tif", look_like=[made, str(made)], **options)
    assert len(looks.train_ds)
    unpaired = prepare_data(made, place / "map.tif", paired=False, **options)
    assert unpaired.card.source.bands == 3


def test_chips_on_a_stack(place: Path) -> None:
    export_chips(place / "map.tif", place / "s1.tif", place / "chips", tile_size=32)
    made = stack(place / "s1.tif", place / "dem.tif")
    data = prepare_data(place / "chips/images", made, num_workers=0, device="cpu")
    assert data.card.target.band_names == ("s1:1", "s1:2", "dem:1")


def test_the_command_line_takes_stacks(place: Path) -> None:
    text = f"{place / 's1.tif'}+{place / 'dem.tif'}"
    arguments = [text, f"{place / 'map.tif'}", f"{place / 'chips'}", "--tile-size", "32"]
    done = CliRunner().invoke(main, ["export-chips", *arguments])
    assert done.exit_code == 0, done.output
    with rasterio.open(next((place / "chips/images").glob("*.tif"))) as chip:
        assert chip.descriptions == ("s1:1", "s1:2", "dem:1")
    shown = CliRunner().invoke(main, ["inspect", text, f"{place / 'map.tif'}", "--chip-size", "32"])
    assert "3 bands (s1:1, s1:2, dem:1) of float32" in shown.output
    wrong = CliRunner().invoke(main, ["inspect", f"{text}x", f"{place / 'map.tif'}"])
    assert wrong.exit_code
    assert "dem.tifx cannot be opened as a raster" in wrong.output
    assert isinstance(as_raster(text), Stack)


def test_each_layer_has_its_own_scaling(place: Path) -> None:
    made = stack(place / "s1.tif", place / "dem.tif", missing="ignore")
    options: dict[str, Any] = {"num_workers": 0, "device": "cpu", "chip_size": 32}
    kinds: dict[str, Any] = {"dem": "minmax"}
    data = prepare_data(made, place / "map.tif", source_scaling=kinds, **options)
    source = data.card.source
    (low, high), scaling = source.extent[3], source.scaling
    assert (scaling.low[3], scaling.high[3]) == (low, high)
    assert (scaling.low[2], scaling.high[2], scaling.low[4], scaling.high[4]) == (0, 1, 0, 1)
    plain = prepare_data(made, place / "map.tif", **options).card.source.scaling
    assert (plain.low[:2], plain.high[:2]) == (scaling.low[:2], scaling.high[:2])
    back = prepare_data(place / "map.tif", made, target_scaling=kinds, **options)
    assert back.card.target.scaling.low[3] == low
    for wrong, sentence in (
        ({"dem": "best"}, r"source_scaling\['dem'\] is 'best'; give one of auto"),
        ({"s2": "db"}, "source_scaling has the layer 's2', but the source has the layers s1, dem"),
        (3, "source_scaling is 3; give one of auto"),
    ):
        with pytest.raises(InvalidInputError, match=sentence):
            prepare_data(made, place / "map.tif", source_scaling=wrong, **options)
