"""Pix2PixHD from chips to translated scenes, its losses by hand and its two stages."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate import Pix2Pix, Pix2PixHD, load_model, prepare_data
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.networks.onehot import unwrapped
from geotranslate.networks.resnet import LocalEnhancer
from geotranslate.prediction.inference import Inference
from geotranslate.raster.reader import RasterReader
from tests.conftest import GRIDS, WriteRaster, values
from tests.training.callbacks.test_gan import Watch
from tests.translators.conftest import WriteMaps, patches

# So few steps leave a network that gives one colour.
pytestmark = pytest.mark.filterwarnings("ignore:Epoch .* has collapsed")

WriteChips = Callable[..., Path]
SMALL: dict[str, Any] = {
    "ngf": 4,
    "ndf": 4,
    "n_downsample_global": 2,
    "n_blocks_global": 1,
    "n_blocks_local": 1,
    "n_layers": 2,
}
FIT: dict[str, Any] = {"precision": "float32", "checkpoint": False, "progress": False}
NETWORKS = ("global", "local")


@pytest.fixture
def chips(write_chips: WriteChips) -> Path:
    return write_chips(count=5)


@pytest.fixture
def stage(chips: Path, tmp_path: Path) -> Path:
    """Return the folder of a global model that was trained on chips of half the size."""
    data = prepare_data(chips, batch_size=2, resize_to=32)
    return Pix2PixHD(data, **SMALL).fit(1, ema=0, **FIT).save(tmp_path / "stage")


def make(chips: Path, network: Any = "global", **options: Any) -> Pix2PixHD:
    data = prepare_data(chips, batch_size=2)
    return Pix2PixHD(data, gen_network=network, **SMALL | options)


def second(chips: Path, stage: Path, **options: Any) -> Pix2PixHD:
    """Return a local model around a global one, which is frozen."""
    return make(chips, "local", pretrained_path=stage, **options)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# Its training, by hand


def scales_of(
    source: Tensor, target: Tensor, discriminators: nn.ModuleList
) -> Iterator[list[Tensor]]:
    """Return for each scale what the layers of its discriminator make of a pair."""
    for discriminator in discriminators:
        hidden, found = torch.cat([source, target], 1), []
        for layer in discriminator.layers:
            hidden = layer(hidden)
            if isinstance(layer, nn.LeakyReLU):
                found.append(hidden)
        yield [*found, hidden]
        source, target = (
            F.avg_pool2d(side, 3, 2, 1, count_include_pad=False) for side in (source, target)
        )


def adversarial(logits: Tensor, label: float, lsgan: bool) -> Tensor:
    labels = torch.full_like(logits, label)
    if lsgan:
        return (logits - labels).square().mean()
    return F.binary_cross_entropy_with_logits(logits, labels)


def train_by_hand(
    generator: nn.Module,
    discriminators: nn.ModuleList,
    batches: list[tuple[Tensor, Tensor]],
    options: dict[str, Any],
) -> None:
    """Train with two networks, two optimizers and no fastai."""
    lsgan, smoothing = options.get("lsgan", True), options.get("label_smoothing", 0.0)
    of_generator, of_discriminators = (
        torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
        for network in (generator, discriminators)
    )
    for source, target in batches:
        fake = generator(source)
        loss = torch.zeros(())
        for image, label in ((target, 1 - smoothing), (fake.detach(), 0.0)):
            for features in scales_of(source, image, discriminators):
                loss = loss + adversarial(features[-1], label, lsgan) / 2
        of_discriminators.zero_grad()
        loss.backward()
        of_discriminators.step()
        loss = options.get("lambda_l1", 100) * (fake - target).abs().mean()
        with torch.no_grad():
            real = list(scales_of(source, target, discriminators))
        for features, wanted in zip(scales_of(source, fake, discriminators), real, strict=True):
            loss = loss + adversarial(features[-1], 1.0, lsgan)
            if options.get("feat_loss", True):
                for one, other in zip(features[:-1], wanted[:-1], strict=True):
                    weight = options.get("lambda_feat", 10) / len(discriminators)
                    loss = loss + weight * (one - other).abs().mean()
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("network", "options"),
    [
        pytest.param("global", {}, marks=pytest.mark.slow),
        ("local", {}),
        ("global", {"feat_loss": False, "lsgan": False, "label_smoothing": 0.1}),
        ("local", {"n_dscr": 3, "n_layers": 1, "lambda_feat": 2.5, "lambda_l1": 3.0}),
        ("local", {"n_dscr": 1, "norm": "group", "n_local_enhancers": 2, "feat_loss": False}),
    ],
    ids=str,
)
def test_training_equals_a_hand_written_loop_with_two_optimizers(
    write_chips: WriteChips, network: str, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    model = make(write_chips(count=7), network, **options)
    model.pair.double()
    generator = copy.deepcopy(model.pair.generator).train()
    discriminator = copy.deepcopy(model.pair.discriminator).train()
    watch = Watch()
    model.learn.add_cb(watch)
    model.fit(2, schedule="constant", **FIT)
    assert len(watch.batches) == 6
    train_by_hand(generator, discriminator.discriminators, watch.batches, options)
    for name, ours in (("generator", generator), ("discriminator", discriminator)):
        theirs = dict(getattr(model.pair, name).named_parameters())
        for key, value in ours.named_parameters():
            torch.testing.assert_close(theirs[key], value, atol=1e-9, rtol=0, msg=f"{name} {key}")


def test_its_rate_falls_by_default(chips: Path) -> None:
    model = make(chips).fit(2, **FIT)
    assert {group["lr"] for group in model.learn.opt.opt.param_groups} != {2e-4}
    assert {group["betas"] for group in model.learn.opt.opt.param_groups} == {(0.5, 0.999)}


@pytest.mark.parametrize("feat_loss", [True, False])
def test_every_epoch_leaves_a_row_of_losses(chips: Path, feat_loss: bool) -> None:
    model = make(chips, feat_loss=feat_loss).fit(2, **FIT)
    assert len(model.history) == 2
    terms = {"g_gan", "g_l1", "d_real", "d_fake", "valid_l1", "mae"}
    assert terms <= set(model.history[0])
    assert ("g_features" in model.history[0]) == feat_loss
    assert np.isfinite(list(model.history[0].values())).all()


@pytest.mark.slow
def test_training_lowers_the_error(write_chips: WriteChips) -> None:
    model = make(write_chips(), "local", feat_loss=False, n_dscr=1)
    before = model.compute_metrics()["mae"]
    model.fit(16, lr=2e-3, schedule="constant", ema=0, **FIT)
    assert model.compute_metrics()["mae"] < 0.6 * before


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("global", {"ema": 0.9, "schedule": "one_cycle"}),
        ("local", {"ema": 0}),
        ("local", {"accumulate": 2, "clip": 0.5, "sample_every": 1, "checkpoint": "all"}),
        ("local", {"precision": "bfloat16", "early_stopping": True}),
        ("global", {"precision": "float16", "monitor": "mae"}),
    ],
    ids=str,
)
def test_options_of_fit_serve_it(
    chips: Path, tmp_path: Path, network: str, options: dict[str, Any]
) -> None:
    folder = tmp_path / "training"
    model = make(chips, network)
    before = state(model.pair)
    model.fit(2, **{**FIT, **options}, folder=folder)
    assert len(model.history) == 2
    assert np.isfinite([row["valid_l1"] for row in model.history]).all()
    after = model.pair.state_dict()
    for part in ("generator", "discriminator"):
        names = [name for name in before if name.startswith(part)]
        assert not all(torch.equal(before[name], after[name]) for name in names)
    assert (model.pair.average is None) == (options.get("ema") == 0)
    if "checkpoint" in options:
        found = load_model(folder / "best")
        assert isinstance(found, Pix2PixHD)
        assert list((folder / "samples").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "way"),
    [
        pytest.param("global", "fit", marks=pytest.mark.slow),
        ("local", "from_checkpoint"),
        pytest.param("frozen", "fit", marks=pytest.mark.slow),
        ("frozen", "from_checkpoint"),
    ],
)
def test_interrupted_training_ends_with_the_same_weights(
    chips: Path, stage: Path, tmp_path: Path, kind: str, way: str
) -> None:
    def begun() -> Pix2PixHD:
        torch.manual_seed(0)
        return second(chips, stage) if kind == "frozen" else make(chips, kind)

    # Half of the schedule is the whole of another.
    fit: dict[str, Any] = {**FIT, "checkpoint": True, "schedule": "constant", "ema": 0.9}
    whole = begun().fit(4, folder=tmp_path / "whole", **fit)
    begun().fit(2, folder=tmp_path / "half", **fit)
    if way == "fit":
        resumed = begun()
    else:
        resumed = Pix2PixHD.from_checkpoint(tmp_path / "half", prepare_data(chips, batch_size=2))
    resumed.fit(4, resume=True, folder=tmp_path / "half", **fit)
    assert same(state(resumed.pair), state(whole.pair))
    assert resumed.history == whole.history
    if kind == "frozen":
        assert resumed.pair.generator.frozen


# From the global network to the local one


@pytest.mark.slow
@pytest.mark.usefixtures("short_lr_find")
def test_the_global_network_is_kept_inside_the_local_one_until_unfreeze(
    chips: Path, stage: Path, tmp_path: Path
) -> None:
    coarse = {
        name: value
        for name, value in load_model(stage).pair.generator.state_dict().items()
        if not name.startswith("head.")
    }
    model = second(chips, stage)
    assert not hasattr(model.config, "pretrained_path")

    def kept(network: nn.Module) -> bool:
        found = {f"layers.{name}": value for name, value in network.coarse.state_dict().items()}
        return same(found, coarse)

    assert any("running_var" in name for name in coarse)
    assert kept(model.pair.generator) and model.pair.generator.frozen
    before = state(model.pair.generator)
    model.lr_find()
    assert same(state(model.pair.generator), before)
    assert model.pair.generator.frozen
    model.fit(2, ema=0.9, folder=tmp_path / "training", **{**FIT, "checkpoint": True})
    model.compute_metrics()
    assert kept(model.pair.generator) and kept(model.pair.average.module)
    after = model.pair.generator.state_dict()
    assert not any(
        torch.equal(value, after[name])
        for name, value in before.items()
        if not name.startswith("coarse.")
    )
    again = Pix2PixHD.from_checkpoint(tmp_path / "training", prepare_data(chips, batch_size=2))
    for one in (model, again):
        assert kept(one.pair.generator) and one.pair.generator.frozen
        one.unfreeze()
        assert not one.pair.generator.frozen
        one.fit(1, **FIT)
        thawed = one.pair.generator.coarse.state_dict()
        assert not any(torch.equal(v, coarse[f"layers.{name}"]) for name, v in thawed.items())


@pytest.mark.slow
def test_what_was_thawed_stays_so_when_it_is_resumed(
    chips: Path, stage: Path, tmp_path: Path
) -> None:
    fit = {**FIT, "checkpoint": True, "schedule": "constant"}

    def thawed() -> Pix2PixHD:
        model = second(chips, stage)
        model.unfreeze()
        return model

    whole = thawed().fit(2, folder=tmp_path / "whole", **fit)
    thawed().fit(1, folder=tmp_path / "half", **fit)
    resumed = second(chips, stage).fit(2, resume=True, folder=tmp_path / "half", **fit)
    assert not resumed.pair.generator.frozen
    assert same(state(resumed.pair), state(whole.pair))


def test_a_saved_local_model_is_no_longer_frozen(chips: Path, stage: Path, tmp_path: Path) -> None:
    former = second(chips, stage)
    folder = former.save(tmp_path / "model")
    for path in (folder, folder / "card.json"):
        model = second(chips, path)
        assert same(state(model.pair), state(former.pair))
        assert not model.pair.generator.frozen


@pytest.mark.parametrize("network", NETWORKS)
def test_unfreeze_leaves_what_was_not_frozen_as_it_is(chips: Path, network: str) -> None:
    model = make(chips, network)
    model.unfreeze()
    assert all(parameter.requires_grad for parameter in model.pair.parameters())
    assert all(module.training for module in model.pair.modules())


# Translating


@pytest.mark.parametrize("network", NETWORKS)
def test_a_saved_model_comes_back_by_its_card(
    chips: Path, tmp_path: Path, write_raster: WriteRaster, network: str
) -> None:
    model = make(chips, network).fit(1, **FIT)
    model.compute_metrics()
    folder = model.save(tmp_path / "model")
    scene = write_raster("scene.tif", values((3, 150, 110), "uint8"))
    options: dict[str, Any] = {"progress": False, "tile_size": 64, "precision": "float32"}
    first = model.predict_raster(scene, "first.tif", **options)
    for number, again in enumerate((load_model(folder), Pix2PixHD.from_model(folder))):
        assert type(again) is Pix2PixHD
        assert (again.config, again.history, again.metrics, repr(again)) == (
            model.config,
            model.history,
            model.metrics,
            repr(model),
        )
        with ThreadPoolExecutor(2) as threads:
            found = again.predict_raster(scene, f"{number}.tif", executor=threads, **options)
        assert found.path.read_bytes() == first.path.read_bytes()
        with pytest.raises(InvalidInputError, match="loaded without data, to translate only"):
            again.fit()
    with pytest.raises(ModelFileError, match=r"is a Pix2PixHD model; load it with Pix2PixHD\.f"):
        Pix2Pix.from_model(folder)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 1), (5, 90), (64, 64), (100, 131)])
def test_predict_takes_any_size(chips: Path, network: str, shape: tuple[int, int]) -> None:
    for norm in ("batch", "instance"):
        found = make(chips, network, norm=norm).predict(values((3, *shape), "uint8"))
        assert (found.shape, found.dtype) == ((1, *shape), np.uint8)


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("size", "source", "target"),
    [
        (72, (1, "int16"), (12, "uint16")),
        (100, (12, "float32"), (1, "float32")),
        (81, (3, "uint8"), (3, "uint8")),
    ],
)
def test_any_bands_dtypes_and_chip_sizes_train_and_predict(
    write_chips: WriteChips, network: str, size: int, source: Any, target: Any
) -> None:
    folder = write_chips(count=3, size=size, source=source, target=target)
    for norm in ("batch", "instance", "group", "channel"):
        model = make(folder, network, norm=norm).fit(1, **FIT)
        found = model.predict(folder / "images" / "000.tif")
        assert (found.shape, found.dtype) == ((target[0], size, size), target[1])
        assert np.isfinite(list(model.history[0].values())).all()


@pytest.mark.slow_after(4)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("shape", [(3, 90), (8, 8), (120, 5)])
def test_narrow_scenes_are_translated(
    chips: Path, write_raster: WriteRaster, network: str, norm: str, shape: tuple[int, int]
) -> None:
    path = write_raster("scene.tif", values((3, *shape), "uint8"))
    model = make(chips, network, norm=norm)
    with rasterio.open(model.predict_raster(path, progress=False)) as dataset:
        assert dataset.shape == shape
        assert dataset.dataset_mask().all()


@pytest.mark.slow_after(2)
@pytest.mark.filterwarnings("ignore:scene.tif is enlarged 1.5 times")
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_scene_is_translated_on_its_own_grid(
    chips: Path, write_raster: WriteRaster, grid: str, network: str
) -> None:
    valid = values((200, 150), "uint8", seed=1) > 80
    data = values((3, 200, 150), "uint8")
    path = write_raster("scene.tif", data, transform=GRIDS[grid], valid=valid)
    model = make(chips, network)
    files = set()
    for batch_size in (1, 3):
        result = model.predict_raster(
            path, batch_size=batch_size, precision="float32", overwrite=True, progress=False
        )
        files.add(result.path.read_bytes())
    assert len(files) == 1
    with rasterio.open(path) as before, rasterio.open(result) as after:
        assert (after.transform, after.crs) == (before.transform, before.crs)
        assert (after.shape, after.dtypes) == (before.shape, ("uint8",))
    with RasterReader(result) as source:
        np.testing.assert_array_equal(source.read()[1], valid)


def with_large_weights(model: Pix2PixHD) -> Pix2PixHD:
    """Return a model every weight of which matters."""
    torch.manual_seed(1)
    for name, value in model.pair.generator.state_dict().items():
        if value.ndim == 4:
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
        if "running_mean" in name:
            value.normal_(0, 0.1)
    return model


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("norm", ["batch", "renorm"])
@pytest.mark.parametrize("network", NETWORKS)
def test_tiles_cropped_are_the_whole_scene(
    chips: Path,
    write_raster: WriteRaster,
    monkeypatch: pytest.MonkeyPatch,
    network: str,
    norm: str,
) -> None:
    model = with_large_weights(make(chips, network, norm=norm))
    inference = model.predictor.inference
    stride, radius = inference.stride, inference.radius
    assert stride == {"global": 4, "local": 8}[network]
    halo = -(-radius // stride) * stride
    size = 5 * halo + 60
    path = write_raster("scene.tif", values((3, size, size + 7), "uint8"))
    options: dict[str, Any] = {"dtype": "float32", "precision": "float32", "progress": False}
    written = []
    # As much as memory allows.
    for most in (5 * halo, 10 * size):
        monkeypatch.setattr(Inference, "largest_tile", lambda *_, most=most: most)
        result = model.predict_raster(path, f"{most}.tif", tile_size="auto", **options)
        with rasterio.open(result) as dataset:
            written.append(dataset.read())
        assert (result.tiles == 1) == (most > size)
    tiled, whole = written
    assert np.ptp(whole) > 20
    assert np.abs(tiled - whole).max() < 1e-4 * np.ptp(whole)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("network", "norm"), [("global", "instance"), ("local", "batch")])
def test_classes_are_translated(
    write_maps: WriteMaps, write_raster: WriteRaster, tmp_path: Path, network: str, norm: str
) -> None:
    model = make(write_maps(), network, norm=norm)
    data = model.data
    assert unwrapped(model.pair.generator) is model.pair.generator.network
    first = next(m for m in model.pair.generator.modules() if isinstance(m, nn.Conv2d))
    discriminator = next(m for m in model.pair.discriminator.modules() if isinstance(m, nn.Conv2d))
    assert (first.in_channels, discriminator.in_channels) == (4, 4 + 3)
    # Gaps are of no class.
    source, target = (side.as_subclass(torch.Tensor) for side in data.one_batch())
    shown = model.pair.generator.bands(source, torch.float32).sum(dim=1)
    assert torch.equal(shown, (~torch.isnan(target).all(dim=1)).float())
    model.fit(1, **{**FIT, "precision": "bfloat16"})
    assert np.isfinite(list(model.history[0].values())).all()
    again = load_model(model.save(tmp_path / "model"))
    scene = write_raster("scene.tif", patches(150, 5), nodata=0)
    for precision in ("bfloat16", "float32"):
        options: dict[str, Any] = {"precision": precision, "overwrite": True, "progress": False}
        files = [one.predict_raster(scene, **options).path.read_bytes() for one in (model, again)]
        assert files[0] == files[1]


def test_results_are_drawn(chips: Path) -> None:
    model = make(chips, "local").fit(1, **FIT)
    assert len(model.show_results(rows=1).axes) == 3
    assert len(model.plot_losses().axes) == len(model.history[0])
    assert "LocalEnhancer of" in repr(model) and "MultiscaleDiscriminator of" in repr(model)


def test_defaults_are_what_the_guide_says(chips: Path) -> None:
    config = Pix2PixHD(prepare_data(chips), ngf=1, ndf=1, n_layers=2).config
    for name, value in {
        "gen_network": "global",
        "norm": "batch",
        "upsample": "resize",
        "padding": "reflect",
        "n_dscr": 2,
        "lsgan": True,
        "lambda_feat": 10.0,
    }.items():
        assert getattr(config, name) == value


# What is refused


def test_the_way_back_and_unpaired_chips_are_refused(
    chips: Path, write_sides: WriteChips, write_raster: WriteRaster
) -> None:
    model = make(chips)
    path = write_raster("scene.tif", values((3, 70, 70), "uint8"))
    for translate in (model.predict, model.predict_raster):
        with pytest.raises(
            InvalidInputError, match="'BtoA', but a Pix2PixHD translates from source to target al"
        ):
            translate(path, direction="BtoA")
    data = prepare_data(write_sides())
    with pytest.raises(InvalidInputError, match="Pix2PixHD learns from pairs, but the data is unp"):
        Pix2PixHD(data)


@pytest.mark.parametrize(
    ("size", "options", "sentence"),
    [
        (16, {"gen_network": "local"}, "a generator that halves them 5 times; use chips of 64 px"),
        (
            24,
            {},
            "Chips of 24 px are too small for a generator that halves them 4 times; use .* 32",
        ),
        (
            40,
            {"n_downsample_global": 2},
            "leave no logit at the coarsest of 2 scales .*chips of 47",
        ),
        (40, {"n_downsample_global": 2, "n_layers": 2, "n_dscr": 4}, "the coarsest of 4 scales"),
    ],
)
def test_too_small_chips_are_refused(
    chips: Path, size: int, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        Pix2PixHD(prepare_data(chips, chip_size=size), **options)


@pytest.mark.parametrize(
    ("network", "size"), [("global", 8), ("local", 16), ("global", 9), ("local", 17)]
)
def test_the_smallest_chips_train(chips: Path, network: str, size: int) -> None:
    data = prepare_data(chips, chip_size=size, batch_size=1)
    for norm in ("batch", "instance"):
        model = Pix2PixHD(data, gen_network=network, **SMALL | {"n_layers": 0, "norm": norm})
        assert np.isfinite(model.fit(1, **FIT).history[0]["valid_l1"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"gen_network": "unet"}, "gen_network is 'unet'; give one of global, local"),
        ({"n_downsample_global": 0}, "n_downsample_global is 0; give a whole number of at least 1"),
        ({"n_blocks_global": 1.5}, "n_blocks_global is 1.5; give a whole number of at least 1"),
        ({"n_local_enhancers": 0}, "n_local_enhancers is 0; give a whole number of at least 1"),
        ({"n_blocks_local": -1}, "n_blocks_local is -1; give a whole number of at least 0"),
        ({"n_dscr": 0}, "n_dscr is 0; give a whole number of at least 1"),
        ({"n_layers": 6}, "n_layers is 6; give a whole number of at least 0 and at most 5"),
        ({"ngf": 0}, "ngf is 0; give a whole number of at least 1"),
        ({"ndf": "x"}, "ndf is 'x'; give a whole number of at least 1"),
        ({"lambda_feat": -1}, "lambda_feat is -1; give a number of at least 0"),
        ({"lambda_l1": float("nan")}, "lambda_l1 is nan; give a number of at least 0"),
        ({"dropout": 1}, "dropout is 1; give a number of at least 0 and below 1"),
        ({"label_smoothing": 1}, "label_smoothing is 1; give a number of at least 0 and below 1"),
        ({"norm": "layer"}, "norm is 'layer'; give one of batch, renorm, instance"),
        ({"upsample": "nearest"}, "upsample is 'nearest'; give one of transposed, resize"),
        ({"padding": "wrap"}, "padding is 'wrap'; give one of"),
        ({"lsgan": "yes"}, "lsgan is 'yes'; give True or False"),
        ({"feat_loss": 1}, "feat_loss is 1; give True or False"),
    ],
)
def test_impossible_arguments_are_said(chips: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        Pix2PixHD(prepare_data(chips), **SMALL | options)


def test_the_local_network_is_a_local_one(chips: Path) -> None:
    model = make(chips, "local", n_local_enhancers=2)
    assert isinstance(model.pair.generator, LocalEnhancer)
    assert len(model.pair.generator.downs) == 2
