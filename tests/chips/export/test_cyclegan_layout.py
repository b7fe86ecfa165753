"""Exports in the layout of CycleGAN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geotranslate import export_chips, prepare_data
from geotranslate.errors import InvalidInputError
from tests.conftest import WriteRaster, values

OPTIONS: dict[str, Any] = {"tile_size": 32, "progress": False}


@pytest.fixture
def pair(write_raster: WriteRaster) -> tuple[Path, Path]:
    source = write_raster("source.tif", values((3, 96, 128), "uint8"))
    return source, write_raster("target.tif", values((1, 96, 128), "float32"))


def test_sides_have_no_pairs_and_hold_the_chips_of_pairs(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    paired = export_chips(*pair, tmp_path / "pairs", **OPTIONS)
    export = export_chips(*pair, tmp_path / "sides", layout="CycleGAN", **OPTIONS)
    assert export.pairs == paired.pairs == 12
    for one, other in (("images", "trainA"), ("images2", "trainB")):
        for chip in (tmp_path / "pairs" / one).iterdir():
            assert chip.read_bytes() == (tmp_path / "sides" / other / chip.name).read_bytes()
    assert {path.name for path in (tmp_path / "sides").iterdir() if path.is_dir()} == {
        "trainA",
        "trainB",
    }
    model = json.loads((tmp_path / "sides" / "esri_model_definition.emd").read_text())
    assert model["MetaDataMode"] == "CycleGAN"


def test_prepare_data_reads_the_sides_and_pairs_them_on_request(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    export = export_chips(*pair, tmp_path / "chips", layout="cyclegan", **OPTIONS)
    data = prepare_data(export, batch_size=2)
    assert not data.card.paired
    assert "trainA + trainB, unpaired" in str(data.summary())
    assert prepare_data(export, batch_size=2, paired=True).card.paired
    labeled = prepare_data(export, batch_size=2, split="folder")
    assert len(labeled.valid_ds) > 0


def test_sides_are_added_to_and_replaced(pair: tuple[Path, Path], tmp_path: Path) -> None:
    chips = tmp_path / "chips"
    export_chips(*pair, chips, layout="cyclegan", **OPTIONS)
    export_chips(*pair, chips, layout="cyclegan", append=True, aoi=None, **OPTIONS)
    assert len(list((chips / "trainA").iterdir())) == 24
    export_chips(*pair, chips, layout="cyclegan", overwrite=True, stride=64, **OPTIONS)
    assert len(list((chips / "trainB").iterdir())) == 4
    with pytest.raises(
        InvalidInputError, match=r"has trainA/ and trainB/, beside .* layout='pairs"
    ):
        export_chips(*pair, chips, overwrite=True, **OPTIONS)
    with pytest.raises(InvalidInputError, match="layout is 'yolo'; give one of pairs, cyclegan"):
        export_chips(*pair, tmp_path / "new", layout="yolo", **OPTIONS)


def test_a_scene_among_the_chips_is_not_replaced(pair: tuple[Path, Path], tmp_path: Path) -> None:
    chips = tmp_path / "chips"
    export_chips(*pair, chips, layout="cyclegan", **OPTIONS)
    chip = chips / "trainA" / "000000000.tif"
    with pytest.raises(InvalidInputError, match="lies among the chips of"):
        export_chips(chip, pair[1], chips, layout="cyclegan", overwrite=True, **OPTIONS)
    with rasterio.open(chip) as opened:
        assert np.any(opened.read())
