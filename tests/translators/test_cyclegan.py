from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from torch import nn

import geotranslate
from geotranslate import CycleGAN, Pix2Pix, load_model, prepare_data
from geotranslate.errors import GeotranslateWarning, InvalidInputError, ModelFileError
from geotranslate.raster.reader import RasterReader
from geotranslate.training.callbacks import gan as adversary
from geotranslate.training.objectives import base as objectives
from geotranslate.training.objectives import objectives_of
from geotranslate.translators import base, pix2pix
from tests.children import CONTEXT
from tests.conftest import GRIDS, WriteRaster, values

# So few steps leave a network that gives one colour.
pytestmark = pytest.mark.filterwarnings("ignore:Epoch .* has collapsed")
WriteChips = Callable[..., Path]
SMALL: dict[str, Any] = {"gen_blocks": 1, "ngf": 2, "ndf": 2, "n_layers": 2}
FIT: dict[str, Any] = {"progress": False, "checkpoint": False, "precision": "float32"}


@pytest.fixture
def unlike(write_chips: WriteChips) -> CycleGAN:
    """Return a model whose sides differ in bands, dtype and values, with -7 for invalid."""
    folder = write_chips(count=5, source=(3, "int16"), target=(1, "float32"), nodata=-7)
    return CycleGAN(prepare_data(folder), **SMALL)


@pytest.fixture
def alike(write_chips: WriteChips) -> CycleGAN:
    """Return a model whose sides have the same bands and dtype."""
    folder = write_chips(count=5, source=(2, "uint8"), target=(2, "uint8"))
    return CycleGAN(prepare_data(folder), **SMALL)


def count(networks: nn.Module) -> int:
    return sum(parameter.numel() for parameter in networks.parameters())


def test_parameters_are_those_of_the_reference(write_chips: WriteChips) -> None:
    made = CycleGAN(prepare_data(write_chips(count=3, target=(3, "uint8"))))
    # The count that the reference printed while its normalisations had scale and shift.
    assert count(made.pair.generator) == 2 * 11_388_675
    norms = [m for m in made.pair.discriminator.modules() if isinstance(m, nn.InstanceNorm2d)]
    scales = sum(count(norm) for norm in norms)
    assert (count(made.pair.discriminator) - scales) / 2e6 == pytest.approx(2.765, abs=5e-4)


def test_ways_and_judges_have_the_bands_of_their_sides(unlike: CycleGAN) -> None:
    source, target = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    generators, discriminators = unlike.pair.generator, unlike.pair.discriminator
    assert generators.forth(source).shape == target.shape
    assert generators.back(target).shape == source.shape
    assert discriminators["of_source"](source).shape == discriminators["of_target"](target).shape
    names = {"3 bands of int16", "1 band of float32", "ResNet and ResNet", "PatchGAN and PatchGAN"}
    assert all(name in repr(unlike) for name in names)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"gen_blocks": 0}, "gen_blocks is 0; give a whole number of at least 1"),
        ({"pool_size": -1}, "pool_size is -1; give a whole number of at least 0"),
        ({"lambda_cycle": 0}, "lambda_cycle is 0; give a number above 0"),
        ({"lambda_identity": -1}, "lambda_identity is -1; give a number of at least 0"),
        ({"lsgan": "yes"}, "lsgan is 'yes'; give True or False"),
        ({"norm": "layer"}, "norm is 'layer'; give"),
        ({"label_smoothing": 1}, "label_smoothing is 1; give"),
        ({"gan_mode": "wgan"}, "gan_mode is 'wgan'; give one of vanilla, lsgan, hinge, wgangp"),
        (
            {"gan_mode": "wgangp", "label_smoothing": 0.1},
            "label_smoothing is 0.1 but gan_mode='wgangp' has no labels; give label_smoothing=0",
        ),
        ({"n_layers": 6}, "n_layers is 6; give"),
        ({"n_layers": 5}, "Chips of 64 px leave no logit of a PatchGAN with n_layers=5"),
    ],
)
def test_impossible_arguments_are_said(
    unlike: CycleGAN, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        CycleGAN(unlike.card, **{**SMALL, **options})


def test_chips_that_are_too_small_are_said(unlike: CycleGAN) -> None:
    least = replace(unlike.card, chip_size=16)
    CycleGAN(least, **{**SMALL, "n_layers": 1}).pair.generator(torch.rand(1, 3, 16, 16))
    with pytest.raises(
        InvalidInputError, match=r"Chips of 15 px are too small .* of 16 px or more"
    ):
        CycleGAN(replace(least, chip_size=15), **{**SMALL, "n_layers": 0})


def test_identity_counts_where_the_sides_have_the_same_bands(alike: CycleGAN) -> None:
    card = alike.card
    named, other = (
        replace(card.target, band_names=names) for names in (("red", "nir"), ("nir", "red"))
    )
    for source, target, weight in (
        (card.source, card.target, 0.5),
        (named, named, 0.5),
        (named, other, 0.0),
        (named, card.target, 0.5),
    ):
        made = CycleGAN(replace(card, source=source, target=target), **SMALL)
        assert made.config.lambda_identity == weight
        assert ("g_identity" in made.learn.metrics.attrgot("name")) == (weight > 0)
    assert CycleGAN(card, **SMALL, lambda_identity=0).config.lambda_identity == 0


def test_bands_that_differ_leave_identity_out(unlike: CycleGAN) -> None:
    assert unlike.config.lambda_identity == 0
    unlike.fit(1, **FIT)
    assert "g_identity" not in unlike.history[0]


def test_every_epoch_leaves_a_row_of_both_ways(alike: CycleGAN) -> None:
    alike.fit(2, **FIT)
    columns = {"g_gan", "g_cycle", "g_identity", "d_real", "d_fake", "valid_cycle", "valid_l1"}
    for row in alike.history:
        assert {*row} >= columns
        assert np.isfinite(list(row.values())).all()
    assert alike.fit_defaults.monitor == "valid_l1"
    assert {"valid_cycle", "valid_l1"} <= {*alike.available_metrics}


def test_both_ways_and_both_judges_learn_and_the_weights_follow_from_the_seed(
    alike: CycleGAN,
) -> None:
    drawn = CycleGAN(alike.data, **SMALL)
    alike.fit(1, **FIT)
    for name, value in drawn.pair.named_parameters():
        trained = dict(alike.pair.named_parameters())[name]
        # What an instance normalisation takes out again learns nothing.
        assert not torch.equal(trained, value) or name.endswith("bias"), name
    ways = drawn.pair.generator
    assert not torch.equal(ways.forth.layers[0].weight, ways.back.layers[0].weight)
    again = CycleGAN(drawn.card, **SMALL).pair.state_dict()
    assert all(torch.equal(value, again[n]) for n, value in drawn.pair.state_dict().items())


@pytest.mark.slow
def test_fit_takes_all_that_other_models_take(alike: CycleGAN, tmp_path: Path) -> None:
    rates: list[float] = []

    class Rates(geotranslate.training.fitting.Callback):
        def after_step(self) -> None:
            rates.append(self.opt.hypers[-1]["lr"])

    alike.fit(
        3,
        lr=(1e-3, 5e-4),
        ema=0.9,
        clip=0.5,
        accumulate=2,
        precision="bfloat16",
        early_stopping=5,
        checkpoint=1,
        monitor="valid_cycle",
        sample_every=2,
        callbacks=[Rates()],
        folder=tmp_path / "run",
        progress=False,
    )
    assert len(alike.history) == 3
    assert np.isfinite([row["valid_cycle"] for row in alike.history]).all()
    # By default the rates fall to nothing in the second half.
    assert rates[0] == 5e-4
    assert rates[-1] < rates[0]
    files = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*.*")}
    assert {"last.safetensors", "history.csv", "samples/epoch_0002.png"} <= files
    assert {"best/card.json", "epoch_0003/model.safetensors"} <= files
    assert alike.predictor.inference.generator is alike.pair.average.module.forth
    assert alike.towards("BtoA").inference.generator is alike.pair.average.module.back
    best = load_model(tmp_path / "run" / "best")
    assert type(best) is CycleGAN
    image = values((2, 64, 64), "uint8")
    last = load_model(tmp_path / "run" / "epoch_0003")
    for direction in ("AtoB", "BtoA"):
        found = [one.predict(image, direction=direction) for one in (last, alike)]
        np.testing.assert_array_equal(*found)
    # The average translates, and it is not the network that is trained.
    with torch.inference_mode():
        side = alike.card.source.scaling.scale(image[None].astype(np.float32))
        network = alike.pair.generator.forth.eval()(torch.from_numpy(side))
        average = alike.predictor.inference.scaled(torch.from_numpy(side))
    assert not torch.equal(network, average)


def test_losses_are_logged_for_tensorboard(alike: CycleGAN, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    alike.fit(1, **FIT, tensorboard=True, folder=tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_saved_model_translates_both_ways_as_before(alike: CycleGAN, tmp_path: Path) -> None:
    alike.fit(1, ema=0.5, **FIT)
    folder = alike.save(tmp_path / "model")
    image = values((2, 40, 50), "uint8")
    for again in (load_model(folder), CycleGAN.from_model(folder / "card.json")):
        assert type(again) is CycleGAN
        assert (again.config, again.history) == (alike.config, alike.history)
        assert again.card == alike.card
        assert again.digest() == alike.digest() == again.towards("BtoA").digest()
        found = {}
        for direction in ("AtoB", "BtoA"):
            found[direction] = again.predict(image, direction=direction)
            np.testing.assert_array_equal(
                found[direction], alike.predict(image, direction=direction)
            )
        assert not np.array_equal(found["AtoB"], found["BtoA"])
    with pytest.raises(ModelFileError, match=r"is a CycleGAN model; load it with CycleGAN\.from_m"):
        Pix2Pix.from_model(folder)


def test_checkpoint_of_another_class_is_refused(alike: CycleGAN, tmp_path: Path) -> None:
    alike.fit(1, **{**FIT, "checkpoint": True}, folder=tmp_path / "run")
    with pytest.raises(ModelFileError, match=r"that of a CycleGAN; load it with CycleGAN\.from_ch"):
        Pix2Pix.from_checkpoint(tmp_path / "run", alike.data)
    with pytest.raises(ModelFileError, match="of another training: another translator"):
        Pix2Pix(alike.data, ngf=2, ndf=2).fit(1, **FIT, resume=True, folder=tmp_path / "run")


@pytest.mark.parametrize("ema", [0, 0.5])
def test_training_starts_from_what_a_saved_model_translates_with(
    alike: CycleGAN, tmp_path: Path, ema: float
) -> None:
    alike.fit(1, ema=ema, **FIT)
    folder = alike.save(tmp_path / "model")
    begun = CycleGAN(alike.data, pretrained_path=folder, **SMALL, lambda_cycle=5, pool_size=0)
    for name, value in alike.pair.translating.state_dict().items():
        assert torch.equal(begun.pair.generator.state_dict()[name], value)
    for name, value in alike.pair.discriminator.state_dict().items():
        assert torch.equal(begun.pair.discriminator.state_dict()[name], value)
    assert not hasattr(begun.config, "pretrained_path")
    with pytest.raises(
        ModelFileError, match="other weights than this model's: gen_blocks is 1 there and 2 here"
    ):
        CycleGAN(alike.data, pretrained_path=folder, **{**SMALL, "gen_blocks": 2})
    resnet = Pix2Pix(alike.data, generator="resnet6", ngf=2, ndf=2, n_layers=2, norm="instance")
    with pytest.raises(ModelFileError, match="it is a Pix2Pix, or of another version"):
        CycleGAN(alike.data, pretrained_path=resnet.save(tmp_path / "p"), **SMALL)
    with pytest.raises(InvalidInputError, match="is no folder of a saved model"):
        CycleGAN(alike.data, pretrained_path=tmp_path / "encoder.pth", **SMALL)


@pytest.mark.slow_after(2)
@pytest.mark.filterwarnings("ignore:.*is enlarged 1.5 times")
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_scenes_are_translated_into_what_the_right_side_holds(
    unlike: CycleGAN, write_raster: WriteRaster, tmp_path: Path, grid: str, direction: Any
) -> None:
    sides = (unlike.card.source, unlike.card.target)
    given, other = sides if direction == "AtoB" else sides[::-1]
    valid = values((70, 80), "uint8", seed=1) > 60
    data = values((given.bands, 70, 80), "uint8").astype(given.dtype)
    data[:, ~valid] = -7
    path = write_raster("scene.tif", data, nodata=-7, transform=GRIDS[grid])
    out = tmp_path / "out.tif"
    result = unlike.predict_raster(path, out, direction=direction, progress=False)
    with rasterio.open(path) as before, rasterio.open(result) as after:
        assert (after.transform, after.crs) == (before.transform, before.crs)
        assert after.shape == before.shape
        assert after.dtypes == (other.dtype,) * other.bands
        assert after.nodata == -7
        assert '"norm_stats": "scene"' in after.tags()["GEOTRANSLATE_PARAMETERS"]
        assert f'"direction": "{direction}"' in after.tags()["GEOTRANSLATE_PARAMETERS"]
        assert after.tags()["GEOTRANSLATE_MODEL"] == "CycleGAN"
    with RasterReader(result) as source:
        np.testing.assert_array_equal(source.read()[1], valid)
    image = unlike.predict(path, direction=direction)
    assert (image.dtype, image.shape) == (other.dtype, (other.bands, 70, 80))
    wrong = "BtoA" if direction == "AtoB" else "AtoB"
    with pytest.raises(InvalidInputError, match=f"but the model translates {other.bands}"):
        unlike.predict_raster(path, tmp_path / "no.tif", direction=wrong, progress=False)


@pytest.mark.parametrize("tta", [False, "std"])
def test_a_scene_by_the_statistics_of_tiles_is_that_of_predict(
    alike: CycleGAN, write_raster: WriteRaster, tmp_path: Path, tta: Any
) -> None:
    path = write_raster("scene.tif", values((2, 64, 64), "uint8"))
    for direction in ("AtoB", "BtoA"):
        result = alike.predict_raster(
            path,
            tmp_path / f"{direction}.tif",
            direction=direction,
            precision="float32",
            norm_stats="tile",
            tile_size=64,
            tta=tta,
            progress=False,
        )
        with rasterio.open(result) as dataset:
            found = dataset.read()
        assert len(found) == (3 if tta else 2)
        plain = alike.predict(path, direction=direction).astype(int)
        # A mean of eight is near the first; the other direction is far.
        assert np.abs(found[:2] - plain).mean() < (20 if tta else 0.01)


@pytest.mark.slow
def test_directions_are_told_apart_by_tags_parts_and_resumed_runs(
    alike: CycleGAN,
    write_raster: WriteRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geotranslate.raster.tiling.tile_plan.PART_PIXELS", 1)
    # Also where both sides have the same statistics.
    same = CycleGAN(replace(alike.card, target=alike.card.source), **SMALL)
    path = write_raster("scene.tif", values((2, 1050, 70), "uint8"))
    how: dict[str, Any] = {"tile_size": 64, "overlap": 16, "progress": False}
    for one in (alike, same):
        out = tmp_path / f"{id(one)}.tif"
        one.predict_raster(path, out, part="1/2", **how)
        for asked in ({"part": "2/2"}, {"resume": True}):
            with pytest.raises(InvalidInputError, match=r"were made with .*another direction"):
                one.predict_raster(path, out, direction="BtoA", **asked, **how)
        tags = []
        for direction in ("AtoB", "BtoA"):
            result = one.predict_raster(
                path, tmp_path / f"{id(one)}{direction}.tif", direction=direction, **how
            )
            with rasterio.open(result) as dataset:
                tags.append(dataset.tags())
        for name in ("IDENTITY", "PARAMETERS", "RECIPE"):
            assert tags[0][f"GEOTRANSLATE_{name}"] != tags[1][f"GEOTRANSLATE_{name}"]
        for name in ("MODEL", "WEIGHTS_SHA256", "SOURCE"):
            assert tags[0][f"GEOTRANSLATE_{name}"] == tags[1][f"GEOTRANSLATE_{name}"]


@pytest.mark.slow
def test_other_processes_translate_in_the_direction_that_is_asked_for(
    alike: CycleGAN, write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("scene.tif", values((2, 200, 150), "uint8"))
    how: dict[str, Any] = {"tile_size": 64, "precision": "float32", "progress": False}
    with ProcessPoolExecutor(1, CONTEXT) as pool:
        for direction in ("AtoB", "BtoA"):
            files = []
            for executor in (None, pool):
                name = tmp_path / f"{direction}{executor is None}.tif"
                alike.predict_raster(path, name, direction=direction, executor=executor, **how)
                with rasterio.open(name) as dataset:
                    files.append(dataset.read())
            np.testing.assert_array_equal(*files)


def test_a_model_of_one_direction_refuses_the_other(
    fresh_model: Pix2Pix, write_raster: WriteRaster
) -> None:
    path = write_raster("scene.tif", values((3, 70, 70), "uint8"))
    calls: list[Callable[..., Any]] = [
        lambda **asked: fresh_model.predict(path, **asked),
        lambda **asked: fresh_model.predict_raster(path, progress=False, **asked),
        fresh_model.compute_metrics,
    ]
    for call in calls:
        with pytest.raises(
            InvalidInputError, match=r"direction is 'BtoA', but a Pix2Pix .*or a CycleGAN, which"
        ):
            call(direction="BtoA")
        with pytest.raises(InvalidInputError, match="direction is 'back'; give one of AtoB, BtoA"):
            call(direction="back")


def test_results_are_drawn_both_ways(alike: CycleGAN) -> None:
    figure = alike.show_results(rows=len(alike.data.valid_ds))
    titles = [axis.get_title() for axis in figure.axes[:6]]
    assert titles == ["source", "translation", "and back", "target", "translation", "and back"]
    assert len(figure.axes) == 6 * len(alike.data.valid_ds)
    with pytest.warns(GeotranslateWarning, match="rows is 9, but this part of the data has"):
        alike.show_results(rows=9)
    with pytest.raises(InvalidInputError, match="rows is 0"):
        alike.show_results(rows=0)


def test_what_trains_names_no_kind_of_translator() -> None:
    """What differs between translators is theirs: their objective, networks and names."""
    kinds = [name for name in geotranslate.__all__ if name in ("CycleGAN", "Pix2Pix")]
    assert len(kinds) == 2
    for module in (base, adversary, objectives):
        code = Path(module.__file__).read_text(encoding="utf-8")
        words = (*kinds, "cyclegan", "pix2pix", "TwoWay", "CycleGame", "PairedGame")
        assert not [word for word in words if word in code], module.__name__
    assert pix2pix.Pix2Pix.__mro__[1] is CycleGAN.__mro__[1] is base.Translator


@pytest.mark.parametrize(
    ("options", "loss"),
    [({}, "lsgan"), ({"lsgan": False}, "vanilla"), ({"gan_mode": "hinge"}, "hinge")],
)
def test_gan_mode_stands_in_place_of_lsgan(
    unlike: CycleGAN, options: dict[str, Any], loss: str
) -> None:
    assert unlike.data is not None
    model = CycleGAN(unlike.data, **SMALL, **options)
    assert model.config.loss == objectives_of(model.learn)[0].gan_mode == loss
    former = {name: value for name, value in asdict(model.config).items() if name != "gan_mode"}
    assert type(model.config).from_card(former).gan_mode is None
