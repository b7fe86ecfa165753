from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geotranslate import Pix2Pix, load_model, prepare_data
from geotranslate.errors import InvalidInputError
from tests.conftest import WriteRaster, values

WriteChips = Callable[..., Path]


def test_saved_model_measures_other_data_by_its_own_scaling(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    folder = write_chips(source=(2, "uint16"), target=(1, "int16"))
    data = prepare_data(folder)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    expected = model.compute_metrics()
    other = prepare_data(folder, source_scaling="zscore", target_scaling="dtype")
    assert other.card.target.scaling != data.card.target.scaling
    again = load_model(model.save(tmp_path / "model"))
    found = again.compute_metrics(data=other)
    # int16 scaled by the whole of its range comes back to a thousandth.
    assert dict(found) == pytest.approx(dict(expected), nan_ok=True, rel=1e-3, abs=1e-2)
    assert again.metrics == expected


def test_data_of_other_bands_or_dtypes_is_refused(
    write_chips: WriteChips, fresh_model: Pix2Pix
) -> None:
    other = prepare_data(write_chips(target=(1, "uint16")))
    with pytest.raises(
        InvalidInputError, match="target of the data has 1 x uint16 but the model w"
    ):
        fresh_model.compute_metrics(data=other)


def test_batches_change_nothing(write_chips: WriteChips, fresh_model: Pix2Pix) -> None:
    found = fresh_model.compute_metrics()
    for size in (1, 3):
        data = prepare_data(write_chips(), batch_size=size)
        assert dict(fresh_model.compute_metrics(data=data)) == pytest.approx(
            dict(found), nan_ok=True
        )


def test_measures_of_bands_are_those_of_the_written_pixels(write_chips: WriteChips) -> None:
    model = Pix2Pix(prepare_data(write_chips(target=(3, "uint8"))), recipe="seamless", ngf=4, ndf=4)
    found = model.compute_metrics(["mae", "sam"])
    errors = []
    for pair in model.data.valid_ds.pairs:
        with rasterio.open(pair.target.path) as dataset:
            errors.append(model.predict(pair.source.path) - dataset.read().astype(float))
    bands = [found.per_band[f"band {i}"]["mae"] for i in (1, 2, 3)]
    assert bands == pytest.approx(np.abs(errors).mean(axis=(0, 2, 3)).tolist())
    assert [*found] == ["mae", "sam", "count", "skill_over_constant"]


def test_classes_are_measured_as_such(write_chips: WriteChips, write_raster: WriteRaster) -> None:
    folder = write_chips(count=4)
    for path in sorted((folder / "images2").iterdir()):
        with rasterio.open(path) as chip:
            place = chip.transform
        codes = np.array([10, 200], np.uint8)[values((1, 64, 64), "uint8") % 2]
        write_raster(f"chips/images2/{path.name}", codes, transform=place)
    model = Pix2Pix(prepare_data(folder), recipe="seamless", ngf=4, ndf=4)
    found = model.compute_metrics()
    assert [*found.per_class] == ["10", "200"]
    assert found.confusion.sum() == found["count"] == 64 * 64
    assert model.available_metrics[-5:] == ["valid_l1", "mae", "accuracy", "f1", "iou"]


def test_metrics_are_saved_with_the_model(fresh_model: Pix2Pix, tmp_path: Path) -> None:
    found = fresh_model.compute_metrics()
    assert math.isnan(found["ms_ssim"])
    again = load_model(fresh_model.save(tmp_path / "model"))
    assert again.metrics == found
    assert [*again.metrics.per_band] == ["band 1"]
    names = ["valid_l1", "mae", "rmse", "psnr", "ssim"]
    assert fresh_model.available_metrics[-5:] == names


def test_data_without_pairs_is_refused(
    fresh_model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    for number in range(4):
        for side, bands in (("A", 3), ("B", 1)):
            values = np.random.default_rng(number).integers(0, 255, (bands, 64, 64), np.uint8)
            place = rasterio.Affine(2, 0, 5e5 + 128 * number, 0, -2, 5e6)
            write_raster(f"apart/{side}/{number}.tif", values, transform=place)
    data = prepare_data(tmp_path / "apart")
    with pytest.raises(InvalidInputError, match=r"data is unpaired: .* Give loaders of pairs"):
        fresh_model.compute_metrics(data=data)
