from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from fastai.learner import Learner
from numpy.typing import NDArray

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import (
    GeotranslateWarning,
    InvalidInputError,
    ModelFileError,
    OutputExistsError,
    RasterFileError,
)
from geotranslate.raster.reader import RasterReader
from geotranslate.translators.saved_models.modelfolder import read_model
from tests.conftest import GRIDS, WriteRaster, values

WriteChips = Callable[..., Path]
SMALL = {"recipe": "seamless", "ngf": 4, "ndf": 4}


@pytest.fixture
def model(write_chips: WriteChips) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(prepare_data(write_chips()), **SMALL).fit(1, progress=False)


def test_model_owns_a_learner_and_fit_returns_the_model(write_chips: WriteChips) -> None:
    model = Pix2Pix(prepare_data(write_chips()), **SMALL)
    assert isinstance(model.learn, Learner)
    assert model.fit(2, progress=False) is model


def test_every_epoch_leaves_a_row_of_losses(model: Pix2Pix) -> None:
    model.fit(2, progress=False)
    assert len(model.history) == 3
    assert set(model.history[0]) >= {"g_gan", "g_l1", "d_real", "d_fake", "valid_l1"}
    assert all(np.isfinite(list(row.values())).all() for row in model.history)


# An average is behind by a tenth of the first thousand steps, of which an epoch has one here.
@pytest.mark.parametrize(
    ("ema", "epochs", "batch_size"), [(0, 25, 2), pytest.param(None, 90, 8, marks=pytest.mark.slow)]
)
def test_training_lowers_the_error(
    write_chips: WriteChips, ema: float | None, epochs: int, batch_size: int
) -> None:
    torch.manual_seed(0)
    model = Pix2Pix(prepare_data(write_chips(), batch_size=batch_size), **SMALL)
    before = model.compute_metrics()["mae"]
    model.fit(epochs, lr=1e-3, ema=ema, checkpoint=False, progress=False)
    assert model.compute_metrics()["mae"] < before / 2


def test_optimizer_state_is_kept_between_fits(model: Pix2Pix) -> None:
    optimizer = model.learn.opt
    model.fit(1, progress=False)
    assert model.learn.opt is optimizer
    steps = {int(state["step"]) for state in optimizer.opt.state.values()}
    assert steps == {2 * len(model.data.train)}


def test_learning_rate_and_beta_are_those_of_the_paper(model: Pix2Pix) -> None:
    for group in model.learn.opt.opt.param_groups:
        assert group["lr"] == 2e-4
        assert group["betas"] == (0.5, 0.999)
        assert group["weight_decay"] == 0


def test_without_adversarial_weight_there_is_no_discriminator(write_chips: WriteChips) -> None:
    model = Pix2Pix(prepare_data(write_chips()), recipe="seamless", ngf=4, lambda_gan=0).fit(
        1, progress=False
    )
    assert model.pair.discriminator is None
    assert "g_gan" not in model.history[0]


@pytest.mark.slow_after(4)
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((1, "float64"), (4, "uint16")),
        ((12, "int16"), (1, "float32")),
        ((2, "uint16"), (3, "uint8")),
    ],
)
def test_any_bands_and_dtypes_train_and_predict(
    write_chips: WriteChips, norm: str, source: tuple[int, str], target: tuple[int, str]
) -> None:
    folder = write_chips(count=5, source=source, target=target)
    model = Pix2Pix(prepare_data(folder), norm=norm, **SMALL).fit(1, progress=False)
    found = model.predict(folder / "images" / "000.tif")
    assert found.shape == (target[0], 64, 64)
    assert found.dtype == target[1]


def test_predict_takes_arrays_and_rasters_alike(model: Pix2Pix, tmp_path: Path) -> None:
    path = tmp_path / "chips" / "images" / "001.tif"
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(model.predict(dataset.read()), model.predict(path))
        np.testing.assert_array_equal(model.predict(dataset), model.predict(path))


@pytest.mark.parametrize("shape", [(1, 1), (5, 90), (64, 64), (100, 130)])
def test_predict_takes_any_size(model: Pix2Pix, shape: tuple[int, int]) -> None:
    assert model.predict(values((3, *shape), "uint8")).shape == (1, *shape)


def test_predict_leaves_training_as_it_was(model: Pix2Pix) -> None:
    model.pair.train()
    before = [buffer.clone() for buffer in model.pair.buffers()]
    first, again = (model.predict(values((3, 64, 64), "uint8")) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert model.pair.generator.training
    assert all(torch.equal(a, b) for a, b in zip(before, model.pair.buffers(), strict=True))


def test_predict_of_a_tile_is_predict_raster(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("scene.tif", values((3, 64, 64), "uint8"))
    result = model.predict_raster(path, precision="float32", progress=False)
    with rasterio.open(result) as dataset:
        np.testing.assert_array_equal(dataset.read(), model.predict(path))


@pytest.mark.filterwarnings("ignore:scene.tif is enlarged 1.5 times")
@pytest.mark.parametrize("grid", GRIDS)
def test_scene_is_translated_on_its_own_grid_whatever_the_batch_size(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path, grid: str
) -> None:
    path = write_raster("scene.tif", values((3, 200, 150), "uint8"), transform=GRIDS[grid])
    files = set()
    for batch_size in (1, 3, 8):
        result = model.predict_raster(
            path,
            tmp_path / "out.tif",
            batch_size=batch_size,
            precision="float32",
            overwrite=True,
            progress=False,
        )
        files.add(result.path.read_bytes())
    assert len(files) == 1
    with rasterio.open(path) as before, rasterio.open(result) as after:
        assert after.transform == before.transform
        assert after.crs == before.crs
        assert after.shape == before.shape
        assert after.dtypes == ("uint8",)


def test_invalid_pixels_of_the_scene_do_not_change_the_others(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    valid = values((90, 90), "uint8", seed=1) > 80
    outputs = []
    for fill in (0, 200):
        data = values((3, 90, 90), "uint8")
        data[:, ~valid] = fill
        path = write_raster("scene.tif", data, valid=valid)
        result = model.predict_raster(path, tmp_path / "o.tif", overwrite=True, progress=False)
        with RasterReader(result) as source:
            found, seen = source.read()
        np.testing.assert_array_equal(seen, valid)
        outputs.append(found[:, valid])
    np.testing.assert_array_equal(*outputs)


def test_metrics_are_those_of_the_written_pixels(model: Pix2Pix) -> None:
    errors = []
    for pair in model.data.valid_ds.pairs:
        with rasterio.open(pair.target.path) as dataset:
            truth = dataset.read().astype(float)
        errors.append(model.predict(pair.source.path) - truth)
    found = model.compute_metrics()
    assert found["mae"] == pytest.approx(np.abs(errors).mean(), abs=1e-3)
    assert found["rmse"] == pytest.approx(np.sqrt(np.square(errors).mean()), abs=1e-3)
    assert found["psnr"] == pytest.approx(20 * np.log10(255 / found["rmse"]))
    assert found["psnr_range"] == 255


def test_default_output_lies_beside_the_scene_and_is_not_overwritten(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("scene.tif", values((3, 70, 70), "uint8"))
    assert model.predict_raster(path, progress=False).path == tmp_path / "scene_translated.tif"
    with pytest.raises(OutputExistsError, match=r"scene_translated\.tif exists"):
        model.predict_raster(path, progress=False)


def test_reloaded_model_predicts_the_same_bytes(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("scene.tif", values((3, 150, 150), "uint8"))
    first = model.predict_raster(path, tmp_path / "first.tif", progress=False)
    model.compute_metrics()
    again = Pix2Pix.from_model(model.save(tmp_path / "model"))
    second = again.predict_raster(path, tmp_path / "second.tif", progress=False)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert again.history == model.history
    assert again.metrics == model.metrics
    assert again.config == model.config


def test_reloaded_model_says_that_it_has_no_data(model: Pix2Pix, tmp_path: Path) -> None:
    again = Pix2Pix.from_model(model.save(tmp_path / "model"))
    for call in (again.fit, again.compute_metrics, again.show_results):
        with pytest.raises(InvalidInputError, match="loaded without data, to translate only"):
            call()


def test_model_of_another_class_is_refused(model: Pix2Pix, tmp_path: Path) -> None:
    class Other(Pix2Pix):
        pass

    with pytest.raises(ModelFileError, match=r"is a Pix2Pix model; load it with Pix2Pix\.from_mo"):
        Other.from_model(model.save(tmp_path / "model"))


def test_card_holds_what_is_needed_to_rebuild(model: Pix2Pix, tmp_path: Path) -> None:
    card, _ = read_model(model.save(tmp_path / "model"))
    assert card.translator == "Pix2Pix"
    assert card.data == model.card
    assert card.options["ngf"] == 4


@pytest.mark.parametrize("bands", [1, 4])
def test_scene_with_other_bands_is_refused(
    model: Pix2Pix, write_raster: WriteRaster, bands: int
) -> None:
    path = write_raster("scene.tif", values((bands, 70, 70), "uint8"))
    sentence = rf"scene\.tif has {bands} bands? but the model translates 3. Give a raster with"
    for translate in (model.predict, model.predict_raster):
        with pytest.raises(InvalidInputError, match=sentence):
            translate(path)


def test_bands_of_the_scene_are_those_of_training(
    write_chips: WriteChips, write_raster: WriteRaster, tmp_path: Path
) -> None:
    folder = write_chips(source=(4, "uint8"))
    names = ("blue", "green", "red", "nir")
    for path in (folder / "images").iterdir():
        with rasterio.open(path, "r+") as chip:
            chip.descriptions = names
    model = Pix2Pix(prepare_data(folder, source_bands=["nir", "blue"]), **SMALL)
    data = values((4, 70, 70), "uint8")
    expected = model.predict(data[[3, 0]])
    scenes = {
        "same.tif": (data, ()),
        "chosen.tif": (data[[3, 0]], ()),
        "named.tif": (data[[3, 2, 0]], ("nir", "red", "blue")),
        "turned.tif": (data[[0, 3]], ("blue", "nir")),
    }
    for name, (bands, described) in scenes.items():
        path = write_raster(name, bands, names=described)
        np.testing.assert_array_equal(model.predict(path), expected, err_msg=name)
        with rasterio.open(model.predict_raster(path, overlap=0, progress=False)) as result:
            assert result.count == 1
    with pytest.raises(
        InvalidInputError, match=r"has 3 bands but the model translates 2 \(nir, blu"
    ):
        model.predict(write_raster("other.tif", data[:3]))


def test_nodata_of_the_targets_is_written(
    write_chips: WriteChips, write_raster: WriteRaster
) -> None:
    folder = write_chips(source=(3, "int16"), target=(1, "int16"), nodata=-7)
    model = Pix2Pix(prepare_data(folder), **SMALL)
    data = (values((3, 70, 70), "uint8") | 1).astype("int16")
    data[:, 20:40] = 0
    path = write_raster("scene.tif", data, nodata=0)
    with rasterio.open(model.predict_raster(path, progress=False)) as dataset:
        assert dataset.nodata == -7
        assert (dataset.read(1)[20:40] == -7).all()
        assert (dataset.read(1)[:20] != -7).all()
    assert (model.predict(path)[0, 20:40] == -7).all()


def test_network_sees_the_mean_where_the_scene_is_invalid(
    model: Pix2Pix, write_raster: WriteRaster
) -> None:
    seen: list[torch.Tensor] = []
    hook = model.pair.translating.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    valid = np.zeros((64, 64), bool)
    valid[:10] = True
    path = write_raster("scene.tif", values((3, 64, 64), "uint8"), valid=valid)
    model.predict_raster(path, tile_size=64, precision="float32", progress=False)
    hook.remove()
    side = model.card.source
    mean = side.scaling.scale(np.array(side.mean)[:, None, None])[:, 0, 0]
    np.testing.assert_allclose(seen[0][0, :, 30, 30], mean, atol=1e-6)


def test_tiles_pass_the_network_one_by_one_on_the_cpu(
    model: Pix2Pix, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    network = model.pair.translating
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda x: sizes.append(len(x)) or forward(x))
    model.predictor.inference(values((5, 3, 64, 64), "uint8"))
    assert sizes == [1] * 5


def test_schedules_of_fastai_work_and_keep_the_betas(model: Pix2Pix) -> None:
    rows = len(model.history)
    with model.learn.no_bar(), model.learn.no_logging():
        model.learn.lr_find(num_it=20, show_plot=False)
        assert len(model.history) == rows
        model.learn.fit_one_cycle(1, 2e-4)
    assert len(model.history) == rows + 1
    assert {group["betas"] for group in model.learn.opt.opt.param_groups} == {(0.5, 0.999)}
    model.plot_losses()


def test_untrained_model_can_be_validated(write_chips: WriteChips) -> None:
    model = Pix2Pix(prepare_data(write_chips()), **SMALL)
    with model.learn.no_bar(), model.learn.no_logging():
        model.learn.validate()


def test_tiles_smaller_than_the_stride_are_refused(
    model: Pix2Pix, write_raster: WriteRaster
) -> None:
    path = write_raster("scene.tif", values((3, 70, 70), "uint8"))
    for size in (0, 32):
        with pytest.raises(InvalidInputError, match=rf"tile_size is {size} but .* at least 64"):
            model.predict_raster(path, tile_size=size)


def test_constant_target_has_metrics(write_chips: WriteChips, write_raster: WriteRaster) -> None:
    folder = write_chips(count=3)
    for path in sorted((folder / "images2").iterdir()):
        with rasterio.open(path) as chip:
            place = chip.transform
        write_raster(
            f"chips/images2/{path.name}", np.zeros((1, 64, 64), "float32"), transform=place
        )
    metrics = Pix2Pix(prepare_data(folder), **SMALL).compute_metrics()
    assert np.isfinite(metrics["mae"])


def test_alpha_is_not_a_band_of_the_scene(model: Pix2Pix, write_raster: WriteRaster) -> None:
    data = values((4, 70, 70), "uint8")
    path = write_raster("scene.tif", data, alpha="YES")
    with rasterio.open(model.predict_raster(path, progress=False)) as dataset:
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, data[3] > 0)
    path = write_raster("other.tif", data[:2], alpha="YES")
    with pytest.raises(InvalidInputError, match="has 1 band and alpha, which is its mask, but the"):
        model.predict(path)


def test_scene_without_crs_is_translated_and_said(
    model: Pix2Pix, write_raster: WriteRaster
) -> None:
    path = write_raster("scene.tif", values((3, 70, 70), "uint8"), crs=None)
    with pytest.warns(GeotranslateWarning, match=r"scene\.tif has no CRS, so the output has none"):
        result = model.predict_raster(path, progress=False)
    with rasterio.open(result) as dataset:
        assert dataset.crs is None


def test_missing_output_folder_is_named(model: Pix2Pix, write_raster: WriteRaster) -> None:
    path = write_raster("scene.tif", values((3, 70, 70), "uint8"))
    with pytest.raises(RasterFileError, match=r"folder .*nowhere of the output o\.tif does not"):
        model.predict_raster(path, path.parent / "nowhere" / "o.tif")


def test_results_and_losses_are_drawn(model: Pix2Pix) -> None:
    assert len(model.show_results(rows=1).axes) == 3
    assert len(model.plot_losses().axes) == len(model.history[0])


@pytest.mark.parametrize("rows", [0, -1, 1.5, "x"])
def test_impossible_rows_are_said(model: Pix2Pix, rows: object) -> None:
    with pytest.raises(InvalidInputError, match=r"rows is .*give a whole number of at least 1"):
        model.show_results(rows)


def test_untrained_model_has_no_losses_to_plot(write_chips: WriteChips) -> None:
    with pytest.raises(InvalidInputError, match="no losses to plot yet; call fit first"):
        Pix2Pix(prepare_data(write_chips()), **SMALL).plot_losses()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lambda_l1": 0, "lambda_gan": 0}, "lambda_l1 and lambda_gan are 0; give one of them"),
        ({"lambda_gan": -1}, "lambda_gan is -1; give a number of at least 0"),
        ({"ngf": 0}, "ngf is 0; give a whole number of at least 1"),
        ({"dropout": 2}, "dropout is 2; give a number of at least 0 and below 1"),
        (
            {"norm": "layer"},
            "norm is 'layer'; give one of batch, renorm, instance, group, channel, none",
        ),
        (
            {"recipe": "pix2pix"},
            "recipe is 'pix2pix'; give one of auto, measurement, picture, seamless, paper",
        ),
        ({"upsample": "nearest"}, "upsample is 'nearest'; give one of transposed, resize"),
        ({"gan_mode": "wgan"}, "gan_mode is 'wgan'; give one of vanilla, lsgan, hinge"),
        ({"n_layers": 6}, "n_layers is 6; give a whole number of at least 0 and at most 5"),
        ({"n_layers": 5}, "Chips of 64 px leave no logit of a PatchGAN with n_layers=5; use chips"),
        ({"label_smoothing": 1}, "label_smoothing is 1; give a number of at least 0 and below 1"),
        (
            {"init_gain": 0.05, "generator": "resunet", "lambda_gan": 0},
            "init_gain is 0.05, but a ResUNet draws its weights in its own way; leave init_gain",
        ),
        ({"init_gain": 0}, "init_gain is 0; give a number above 0 and of at most 1"),
        (
            {"label_smoothing": 0.1, "gan_mode": "hinge"},
            "label_smoothing is 0.1 but gan_mode='hinge' has no labels; give label_",
        ),
        ({"perceptual_loss": -1}, "perceptual_loss is -1; give a number of at least 0"),
        (
            {"perceptual_loss": True, "lambda_gan": 0},
            "perceptual_loss compares features of the discriminator, which lambda_gan=0 leaves out",
        ),
    ],
)
def test_impossible_options_are_said(
    write_chips: WriteChips, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        Pix2Pix(prepare_data(write_chips()), **{"recipe": "seamless"} | options)


def test_chips_below_64_px_are_refused(write_chips: WriteChips) -> None:
    with pytest.raises(InvalidInputError, match="Chips of 40 px are too small"):
        Pix2Pix(prepare_data(write_chips(), chip_size=40), recipe="seamless")


def test_data_that_is_no_data_is_refused() -> None:
    with pytest.raises(
        InvalidInputError, match="data is str without a data card; give what prepare"
    ):
        Pix2Pix("chips")


def test_epochs_below_1_are_refused(model: Pix2Pix) -> None:
    with pytest.raises(InvalidInputError, match="epochs is 0; give a whole number of at least 1"):
        model.fit(0)
    with pytest.raises(InvalidInputError, match="lr is -1; give a number above 0"):
        model.fit(1, lr=-1)


def test_array_without_bands_is_refused(model: Pix2Pix) -> None:
    with pytest.raises(InvalidInputError, match=r"shape \(64, 64\) .* \(bands, rows, cols\)"):
        model.predict(np.zeros((64, 64)))


def test_nan_in_an_array_gives_nan_in_float_targets(write_chips: WriteChips) -> None:
    model = Pix2Pix(prepare_data(write_chips(count=3, target=(1, "float32"))), **SMALL)
    image: NDArray[np.float32] = np.ones((3, 64, 64), np.float32)
    image[1, 5, 6] = np.nan
    assert np.argwhere(np.isnan(model.predict(image)[0])).tolist() == [[5, 6]]
