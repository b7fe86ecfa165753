"""Translators of pairs whose sides differ in pixel size, from the chips to the scene."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from fastai.callback.core import Callback as FastaiCallback

from geotranslate import Pix2Pix, Pix2PixHD, load_model, measure_seams, prepare_data
from geotranslate.errors import InvalidInputError, ModelFileError
from tests.conftest import NORTH_UP, WriteRaster

WritePairs = Callable[..., Path]
FACTORS = [Fraction(2), Fraction(1, 2)]


@pytest.fixture
def write_pairs(write_raster: WriteRaster, tmp_path: Path) -> WritePairs:
    """Return a function that writes smooth chips of 64 px or more and targets of another size."""

    def write(factor: Fraction, dtype: str = "uint8") -> Path:
        whole = -(-64 // factor.denominator) * factor.denominator
        for number in range(4):
            ground = NORTH_UP @ Affine.translation(number * whole, 0)
            for side, size in (("images", whole), ("images2", int(whole * factor))):
                at = (np.arange(size) + 0.5) / size
                waves = np.sin(6 * at)[:, None] + np.cos(5 * at * (number + 1))
                data = (waves * 40 + 100)[None]
                place = ground @ Affine.scale(whole / size)
                data = data.astype(dtype if side == "images2" else "uint8")
                write_raster(f"pairs/{side}/{number}.tif", data, transform=place)
        return tmp_path / "pairs"

    return write


class Stop(FastaiCallback):
    """Stop a training in its second epoch."""

    def before_batch(self) -> None:
        """Raise what Ctrl-C raises."""
        if self.epoch == 1 and self.training:
            raise KeyboardInterrupt


def models(data: Any) -> dict[str, Any]:
    """Return small models of every kind."""
    return {
        "picture": Pix2Pix(data, recipe="picture", ngf=4, ndf=4, gan_after=0, depth=3),
        "measurement": Pix2Pix(data, recipe="measurement", ngf=4, depth=1),
        "hd": Pix2PixHD(
            data, ngf=4, ndf=4, n_blocks_global=1, n_downsample_global=2, n_dscr=1, n_layers=1
        ),
    }


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("factor", FACTORS, ids=str)
@pytest.mark.parametrize("kind", ["picture", "measurement", "hd"])
def test_trains_measures_saves_and_translates(
    write_pairs: WritePairs, write_raster: WriteRaster, tmp_path: Path, factor: Fraction, kind: str
) -> None:
    data = prepare_data(write_pairs(factor), batch_size=2)
    torch.manual_seed(0)
    model = models(data)[kind]
    model.fit(1, folder=tmp_path / "run")
    assert model.compute_metrics()["mae"] > 0
    model.show_results(1)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model", device="cpu")
    assert again.card.factor == factor
    side = int(64 * factor)
    chip = np.asarray(data.train_ds[0][0].numpy() * 100 + 100).astype("uint8")
    assert again.predict(chip).shape == (1, side, side)
    np.testing.assert_array_equal(again.predict(chip), model.predict(chip))
    scene = np.tile(chip, (1, 3, 3))[:, :181, :150]
    path = write_raster("scene.tif", scene)
    done = again.predict_raster(path, tmp_path / "a.tif", precision="float32", progress=False)
    with rasterio.open(done) as dataset:
        assert dataset.shape == tuple(
            -(-n * factor.numerator // factor.denominator) for n in (181, 150)
        )
        ground = NORTH_UP @ Affine.scale(1 / float(factor))
        assert dataset.transform.almost_equals(ground, 1e-9)
    other = again.predict_raster(
        path, tmp_path / "b.tif", precision="float32", progress=False, batch_size=3
    )
    assert other.path.read_bytes() == done.path.read_bytes()
    assert measure_seams(done) is not None


@pytest.mark.parametrize("factor", [*FACTORS, Fraction(1, 3), Fraction(1, 7)], ids=str)
def test_cropped_tiles_are_the_whole_image(
    write_pairs: WritePairs, write_raster: WriteRaster, tmp_path: Path, factor: Fraction
) -> None:
    data = prepare_data(write_pairs(factor, dtype="float32"))
    model = Pix2Pix(data, recipe="measurement", ngf=4, depth=1)
    torch.manual_seed(0)
    for weight in model.pair.generator.parameters():
        torch.nn.init.normal_(weight, 0, 0.2)
    model._renew()
    scene = np.random.default_rng(0).integers(60, 180, (1, 210, 190), "uint8")
    path = write_raster("scene.tif", scene)
    options: dict[str, Any] = {"precision": "float32", "progress": False, "dtype": "float32"}
    tile = -(-96 // factor.denominator) * factor.denominator
    done = model.predict_raster(path, tmp_path / "a.tif", tile_size=tile, **options)
    assert done.tiles > 1
    side = model.card.target
    with torch.inference_mode():
        scaled = torch.from_numpy(model.card.source.scaling.scale(scene[None].astype("float32")))
        whole = side.scaling.unscale(model.predictor.inference.scaled(scaled).numpy())[0]
    with rasterio.open(done) as dataset:
        np.testing.assert_allclose(dataset.read(), whole, atol=2e-3)
        np.testing.assert_allclose(dataset.read(), model.predict(scene), atol=2e-3)
    assert done.mismatch is not None
    assert done.mismatch < 0.05
    # A strip that is lower than the stride.
    strip = scene[:, :13]
    path = write_raster("strip.tif", strip)
    done = model.predict_raster(path, tmp_path / "b.tif", tile_size=tile, **options)
    with rasterio.open(done) as dataset:
        np.testing.assert_allclose(dataset.read(), model.predict(strip), atol=2e-3)


@pytest.mark.parametrize("factor", FACTORS, ids=str)
def test_scene_of_another_pixel_size_is_resampled_and_lies_on_its_own_ground(
    write_pairs: WritePairs, write_raster: WriteRaster, tmp_path: Path, factor: Fraction
) -> None:
    model = Pix2Pix(prepare_data(write_pairs(factor)), recipe="measurement", ngf=4, depth=1)
    at = NORTH_UP @ Affine.scale(0.7)
    path = write_raster("scene.tif", np.full((1, 101, 120), 120, "uint8"), transform=at)
    done = model.predict_raster(path, tmp_path / "a.tif", progress=False)
    with rasterio.open(done) as dataset:
        rows, cols = (-(-n * factor.numerator // factor.denominator) for n in (101, 120))
        assert dataset.shape == (rows, cols)
        assert dataset.transform.almost_equals(at @ Affine.scale(1 / float(factor)), 1e-9)
        assert (dataset.dataset_mask() > 0).all()


@pytest.mark.slow
def test_interrupted_training_goes_on_to_the_same_weights(
    write_pairs: WritePairs, tmp_path: Path
) -> None:
    path = write_pairs(Fraction(2))
    whole, broken = (models(prepare_data(path))["picture"] for _ in range(2))
    whole.fit(2, folder=tmp_path / "one")
    with pytest.raises(KeyboardInterrupt):
        broken.fit(2, folder=tmp_path / "two", callbacks=[Stop()])
    resumed = Pix2Pix.from_checkpoint(tmp_path / "two", prepare_data(path))
    resumed.fit(2, folder=tmp_path / "two", resume=True)
    assert resumed.digest() == whole.digest()


def test_what_does_not_fit_the_factor_is_said(write_pairs: WritePairs, tmp_path: Path) -> None:
    two = prepare_data(write_pairs(Fraction(2)))
    models(two)["measurement"].save(tmp_path / "two")
    half = prepare_data(write_pairs(Fraction(1, 2)))
    with pytest.raises(InvalidInputError, match=r"have 1/2 times as many .* trained on 2 times"):
        load_model(tmp_path / "two", half)
    with pytest.raises(ModelFileError, match="factor of the target's pixels is 2 there and 1/2"):
        Pix2Pix(half, recipe="measurement", ngf=4, depth=1, pretrained_path=tmp_path / "two")
    with pytest.raises(InvalidInputError, match="start is 'pixel', which translates pixel by"):
        Pix2Pix(half, start="pixel")
