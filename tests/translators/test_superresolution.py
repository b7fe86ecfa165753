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
from click.testing import CliRunner

from geotranslate import Pix2Pix, SuperResolution, load_model, prepare_data
from geotranslate.cli import main
from geotranslate.errors import InvalidInputError
from geotranslate.networks.bicubic import Bicubic
from geotranslate.translators.loading import load_checkpoint
from tests.conftest import NORTH_UP, WriteRaster

WritePairs = Callable[..., Path]
SMALL: dict[str, Any] = {"blocks": 1, "ngf": 8, "ndf": 4, "n_layers": 1}


@pytest.fixture
def write_pairs(write_raster: WriteRaster, tmp_path: Path) -> WritePairs:
    """Return a function that writes images and the means of their blocks."""

    def write(
        times: int = 2, dtype: str = "uint8", bands: int = 2, source_bands: int | None = None
    ) -> Path:
        for number in range(4):
            ground = NORTH_UP @ Affine.translation(number * 32, 0)
            size = 32 * times
            at = np.arange(size)
            waves = np.sin(at / 5 + number)[:, None] * np.cos(at / 4)
            fine = np.stack([waves * 60 + 120 + 5 * band for band in range(bands)])
            coarse = fine.reshape(bands, 32, times, 32, times).mean(axis=(2, 4))
            coarse = coarse[: source_bands or bands]
            write_raster(f"pairs/images/{number}.tif", coarse.astype(dtype), transform=ground)
            finer = ground @ Affine.scale(1 / times)
            write_raster(f"pairs/images2/{number}.tif", fine.astype(dtype), transform=finer)
        return tmp_path / "pairs"

    return write


@pytest.mark.parametrize(("times", "dtype"), [(2, "uint8"), (3, "float32")])
def test_untrained_it_is_the_bicubic_enlargement(
    write_pairs: WritePairs, write_raster: WriteRaster, tmp_path: Path, times: int, dtype: str
) -> None:
    model = SuperResolution(prepare_data(write_pairs(times, dtype)), **SMALL)
    assert model.card.source.scaling == model.card.target.scaling
    scene = np.random.default_rng(0).integers(60, 200, (2, 70, 45)).astype(dtype)
    path = write_raster("scene.tif", scene)
    done = model.predict_raster(
        path, tmp_path / "a.tif", tile_size=32, precision="float32", progress=False
    )
    assert done.tiles > 1
    expected = Bicubic(times)(torch.from_numpy(scene.astype("float32"))[None])[0].numpy()
    with rasterio.open(done) as dataset:
        found = dataset.read().astype(float)
        assert dataset.transform.almost_equals(NORTH_UP @ Affine.scale(1 / times), 1e-9)
    if dtype == "uint8":
        expected = np.clip(np.rint(expected), 0, 255)
    # Half a value may be rounded either way.
    assert (np.abs(found - expected) < 1e-3).mean() > 0.99
    assert np.abs(found - expected).max() <= 1
    assert model.compute_metrics()["mae"] < 10


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("lambda_gan", [0, 1])
def test_training_lowers_the_error_and_goes_on_after_an_interruption(
    write_pairs: WritePairs, tmp_path: Path, lambda_gan: float
) -> None:
    data = prepare_data(write_pairs(), batch_size=1)
    options = SMALL | {"lambda_gan": lambda_gan, "perceptual_loss": bool(lambda_gan)}
    model = SuperResolution(data, **options)
    before = model.compute_metrics()["rmse"]
    model.fit(6, folder=tmp_path / "run", lr=2e-3)
    assert model.compute_metrics()["rmse"] < before
    model.show_results(1)
    digest = model.digest()
    again = load_checkpoint(SuperResolution, tmp_path / "run", prepare_data(write_pairs()))
    assert again.digest() == digest
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model", prepare_data(write_pairs()), device=None)
    assert isinstance(loaded, SuperResolution)
    assert loaded.compute_metrics(which="val") == model.compute_metrics(which="val")
    started = SuperResolution(data, **options, pretrained_path=tmp_path / "model")
    chip = np.asarray(data.train_ds[0][0].numpy() * 100 + 120).astype("uint8")
    np.testing.assert_array_equal(started.predict(chip), model.predict(chip))


def test_scene_is_evaluated_against_a_finer_reference(
    write_pairs: WritePairs, write_raster: WriteRaster
) -> None:
    model = SuperResolution(prepare_data(write_pairs()), **SMALL)
    fine = np.random.default_rng(0).integers(60, 200, (2, 80, 80)).astype("uint8")
    coarse = fine.reshape(2, 40, 2, 40, 2).mean(axis=(2, 4)).astype("uint8")
    scene = write_raster("scene.tif", coarse)
    truth = write_raster("truth.tif", fine, transform=NORTH_UP @ Affine.scale(0.5))
    found = model.evaluate(scene, truth, progress=False)
    assert found.overall["count"] == 2 * 80 * 80
    assert "skill_over_linear" in str(found.overall)


def test_bfloat16_keeps_the_enlargement_exact(write_pairs: WritePairs) -> None:
    model = SuperResolution(prepare_data(write_pairs(dtype="float32")), **SMALL)
    batch = np.random.default_rng(0).uniform(60, 180, (1, 2, 32, 32)).astype("float32")
    exact, short = (model.predictor.inference.at(kind) for kind in ("float32", "bfloat16"))
    np.testing.assert_allclose(exact(batch), short(batch), atol=1e-4)


def test_command_line_trains_it(write_pairs: WritePairs, tmp_path: Path) -> None:
    command = ["train", str(write_pairs()), "-o", str(tmp_path / "m"), "--epochs", "1"]
    options = ["--translator", "SuperResolution", "--blocks", "1", "--ngf", "4"]
    done = CliRunner().invoke(main, [*command, *options])
    assert done.exit_code == 0, done.output
    assert isinstance(load_model(tmp_path / "m", device="cpu"), SuperResolution)


@pytest.mark.parametrize(
    ("pairs", "options", "sentence"),
    [
        ({"times": 1}, {}, "SuperResolution makes pixels finer, but the targets .* have 1 times"),
        ({"source_bands": 1}, {}, "the source has 1 band and the target 2; choose the same bands"),
        ({}, {"lambda_l1": 0}, "lambda_l1 and lambda_gan are 0"),
        ({}, {"perceptual_loss": True}, "perceptual_loss compares features of the discriminator"),
        ({}, {"blocks": 0}, "blocks is 0"),
        ({}, {"lambda_gan": 1, "n_layers": 5}, "leave no logit of a PatchGAN"),
    ],
)
def test_what_does_not_fit_is_said(
    write_pairs: WritePairs, pairs: dict[str, int], options: dict[str, Any], sentence: str
) -> None:
    data = prepare_data(write_pairs(**pairs))
    with pytest.raises(InvalidInputError, match=sentence):
        SuperResolution(data, **options)


def test_classes_are_not_interpolated(write_pairs: WritePairs) -> None:
    path = write_pairs(bands=1)
    with pytest.warns(match="taken for"):
        data = prepare_data(path, target_classes=True, source_classes=True)
    with pytest.raises(InvalidInputError, match="a side of the data holds classes"):
        SuperResolution(data)


def test_factor_is_that_of_the_data(write_pairs: WritePairs) -> None:
    data = prepare_data(write_pairs(3), direction="BtoA")
    assert data.card.factor == Fraction(1, 3)
    with pytest.raises(InvalidInputError, match="have 1/3 times as many pixels"):
        SuperResolution(data)
    assert Pix2Pix(data, recipe="measurement", ngf=4, depth=1).card.factor == Fraction(1, 3)
