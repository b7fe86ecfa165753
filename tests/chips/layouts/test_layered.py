from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from geotranslate import prepare_data
from geotranslate.chips.scenes import scenes_of
from geotranslate.errors import InvalidInputError, RasterFileError
from tests.conftest import NORTH_UP, WriteRaster, values

OPTIONS: dict[str, Any] = {"num_workers": 0, "device": "cpu", "val_split_pct": 0}


@pytest.fixture
def chips(write_raster: WriteRaster, tmp_path: Path) -> Path:
    """Write radar, heights at twice its pixel size, and targets, in folders of their own."""
    for i in range(3):
        place = NORTH_UP @ Affine.translation(32 * i, 0)
        write_raster(f"s1/{i}.tif", values((2, 32, 32), "int16", seed=i), transform=place)
        heights = values((1, 16, 16), "uint8", seed=i)
        write_raster(f"dem/{i}.tif", heights, transform=place @ Affine.scale(2))
        write_raster(f"s2/{i}.tif", values((3, 32, 32), "uint8", seed=9 + i), transform=place)
    return tmp_path


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_folders_of_layers_are_read_by_stem(chips: Path, direction: Any) -> None:
    folders = {"radar": chips / "s1", "dem": f"{chips / 'dem'}"}
    data = prepare_data(folders, chips / "s2", direction=direction, **OPTIONS)
    sides = (data.card.source, data.card.target)
    stacked, alone = sides if direction == "AtoB" else sides[::-1]
    assert stacked.band_names == ("radar:1", "radar:2", "dem:1")
    assert (stacked.dtype, alone.bands) == ("int16", 3)
    assert len(data.train_ds) == 3
    pair = data.train_ds.pairs[0]
    found = (pair.source if direction == "AtoB" else pair.target).read()[0]
    np.testing.assert_array_equal(found[:2], values((2, 32, 32), "int16", seed=0))
    assert "radar & dem + s2" in str(data.summary())
    assert scenes_of([pair.source]) == scenes_of([pair.target]) == (None,)


def test_names_may_differ_in_a_word_and_chips_may_lack_a_layer(
    chips: Path, recwarn: pytest.WarningsRecorder
) -> None:
    for name in ("s1", "dem", "s2"):
        for file in (chips / name).glob("*.tif"):
            file.rename(file.with_name(f"{file.stem}_{name}.tif"))
    (chips / "dem" / "1_dem.tif").unlink()
    folders = {name: chips / name for name in ("s1", "dem")}
    with pytest.warns(UserWarning, match=r"s1/1_s1\.tif: not in all layers"):
        data = prepare_data(folders, chips / "s2", **OPTIONS)
    assert len(data.train_ds) == 2


def test_parts_and_unpaired_folders(chips: Path, write_raster: WriteRaster) -> None:
    folders = {name: chips / name for name in ("s1", "dem")}
    unpaired = prepare_data(folders, chips / "s2", paired=False, **OPTIONS)
    assert unpaired.card.source.bands == 3
    for name in ("s1", "dem", "s2"):
        for i, part in enumerate(("train", "train", "val")):
            (chips / name / part).mkdir(exist_ok=True)
            (chips / name / f"{i}.tif").rename(chips / name / part / f"{i}.tif")
    divided = prepare_data(folders, chips / "s2", num_workers=0, device="cpu")
    assert (len(divided.train_ds), len(divided.valid_ds)) == (2, 1)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_validation_and_tests_may_have_folders_of_layers(chips: Path, direction: Any) -> None:
    names = ("s1", "dem", "s2")
    for i, part in enumerate(("val", "test")):
        for name in names:
            (chips / part / name).mkdir(parents=True)
            (chips / name / f"{i}.tif").rename(chips / part / name / f"{i}.tif")
    folders = {"radar": chips / "s1", "dem": chips / "dem"}
    listed = {key: chips / "val" / path.name for key, path in reversed(folders.items())}
    for valid in (chips / "val", (listed, chips / "val/s2"), [listed, str(chips / "val/s2")]):
        data = prepare_data(
            folders,
            chips / "s2",
            valid_path=valid,
            test_path=chips / "test",
            direction=direction,
            num_workers=0,
            device="cpu",
        )
        assert (len(data.train_ds), len(data.valid_ds), len(data.test.dataset)) == (1, 1, 1)
        pair = data.valid_ds.pairs[0]
        found = (pair.source if direction == "AtoB" else pair.target).read()[0]
        np.testing.assert_array_equal(found[:2], values((2, 32, 32), "int16", seed=0))
        np.testing.assert_array_equal(
            found[2, ::31, ::31], values((1, 16, 16), "uint8")[0, ::15, ::15]
        )


def test_layers_may_be_rasters(chips: Path) -> None:
    layers = {"a": chips / "s1/0.tif", "b": chips / "dem/0.tif"}
    data = prepare_data(layers, chips / "s2/0.tif", chip_size=16, **OPTIONS)
    assert data.card.source.band_names == ("a:1", "a:2", "b:1")


def test_of_numbered_folders_the_last_one_is_the_target(chips: Path) -> None:
    for old, new in (("s1", "images"), ("dem", "images2"), ("s2", "Images3")):
        (chips / old).rename(chips / new)
    data = prepare_data(chips, **OPTIONS)
    assert data.card.source.band_names == ("images:1", "images:2", "images2:1")
    assert data.card.target.bands == 3


@pytest.mark.parametrize(
    "path, target, options, sentence",
    [
        ({}, "s2", {}, r"path is \{\} and target .*; give layers by their names"),
        ({"a": "s1"}, None, {}, "and target None; give layers by their names"),
        ({"a": "s1", "b": "none"}, "s2", {}, "s1 cannot be opened as a raster|A layer"),
        ({"a": "s1", "b": "s2"}, "none", {}, "none"),
        ({"a": "s1", "b:c": "dem"}, "s2", {}, "The name of a layer is 'b:c'"),
        ({"a": "s1", 3: "dem"}, "s2", {}, "The name of a layer is 3"),
        ({"a": "s1", "b": 3}, "s2", {}, "A layer is 3"),
        ({"a": "s1", "b": "odd"}, "s2", {}, "No chip is in all of "),
        ({"a": "s1", "b": "dem"}, "s2", {"stride": 4}, "stride is 4, but folders of layers"),
        ({"a": "s1", "b": "dem"}, "s2", {"valid_path": 3}, "valid_path is 3, but .* layers a, b;"),
        (
            {"a": "s1", "b": "dem"},
            "s2",
            {"test_path": ({"a": "s1"}, "s2")},
            r"test_path is \(\{.* has the layers a, b; give their folders",
        ),
        ({"a": "s1", "b": "dem"}, "s2", {"test_path": ["x", "y"]}, "test_path is .* layers a, b;"),
        ({"a": "s1", "b": "x/s1"}, "s2", {"valid_path": "s1"}, "valid_path is 's1', but"),
        ({"a": "s1", "b": "dem"}, "s2", {"valid_path": "odd"}, "odd/s1"),
        ({"a": "s1", "b": "dem"}, "s2", {"valid_path": ({"a": 1, "b": 2}, "s2")}, "valid_path.'a'"),
    ],
)
def test_wrong_layers_end_in_a_sentence(
    chips: Path,
    write_raster: WriteRaster,
    monkeypatch: pytest.MonkeyPatch,
    path: Any,
    target: Any,
    options: dict[str, Any],
    sentence: str,
) -> None:
    monkeypatch.chdir(chips)
    write_raster("odd/other.tif", values((1, 32, 32), "uint8"))
    write_raster("x/s1/0.tif", values((1, 32, 32), "uint8"))
    with pytest.raises((InvalidInputError, RasterFileError), match=sentence):
        prepare_data(path, target, **options)
