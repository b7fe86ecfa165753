"""What a Pix2Pix can be made of: each kind trains, is saved and translates scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from torch import nn

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError
from geotranslate.translators.saved_models.modelfolder import read_card
from tests.conftest import WriteRaster, values

WriteChips = Callable[..., Path]
SLOW_BACKBONES = [
    pytest.param(kind, marks=pytest.mark.slow)
    for kind in (
        {"backbone": "resnet18", "gan_mode": "hinge"},
        {"backbone": "mit_b0", "upsample": "resize", "norm": "instance", "padding": "reflect"},
    )
]
KINDS = [
    {"gan_mode": "lsgan", "label_smoothing": 0.1, "upsample": "resize", "n_layers": 4},
    {"gan_mode": "hinge", "norm": "group", "n_layers": 0, "perceptual_loss": True},
    {"gan_mode": "wgangp", "init_gain": 0.05, "n_layers": 2},
    {"norm": "group", "upsample": "resize", "n_layers": 1, "perceptual_loss": 0.5},
    {"norm": "none", "upsample": "resize", "n_layers": 2, "label_smoothing": 0.2},
    {"lambda_gan": 0, "n_layers": 5, "upsample": "resize"},
    *SLOW_BACKBONES,
    {"norm": "renorm", "padding": "reflect", "depth": 3},
    {"norm": "channel", "padding": "replicate", "upsample": "resize"},
    {"generator": "resnet6", "padding": "reflect", "norm": "renorm"},
    {"generator": "resnet9", "padding": "zeros", "upsample": "resize", "norm": "instance"},
]


@pytest.mark.slow_after(2)
@pytest.mark.filterwarnings("ignore:scene.tif has")
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_trains_and_comes_back_from_its_folder(
    write_chips: WriteChips, write_raster: WriteRaster, tmp_path: Path, kind: dict[str, Any]
) -> None:
    if "backbone" in kind:
        pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    folder = write_chips(count=5, source=(5, "uint8"), target=(2, "float32"))
    model = Pix2Pix(prepare_data(folder), recipe="seamless", ngf=4, ndf=4, **kind).fit(
        1, checkpoint=False, progress=False
    )
    assert np.isfinite(list(model.history[0].values())).all()
    assert ("g_features" in model.history[0]) == ("perceptual_loss" in kind)
    scene = write_raster("scene.tif", values((5, 90, 130), "uint8"))
    again = Pix2Pix.from_model(model.save(tmp_path / "model"))
    assert again.config == model.config
    assert (
        kind.items() - {("perceptual_loss", True)} <= read_card(tmp_path / "model").options.items()
    )
    for precision in ("float32", "bfloat16"):
        written = []
        for one in (model, again):
            path = tmp_path / "out.tif"
            one.predict_raster(scene, path, precision=precision, overwrite=True, progress=False)
            with rasterio.open(path) as dataset:
                written.append(dataset.read())
        np.testing.assert_array_equal(*written)
        assert written[0].shape == (2, 90, 130)


def test_true_is_the_weight_of_pix2pixhd(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(count=3))
    for given, weight in ((True, 10.0), (False, 0.0), (2, 2.0)):
        model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, perceptual_loss=given)
        assert model.config.perceptual_loss == weight


def test_networks_that_see_the_tile_have_no_radius_and_others_have(
    write_chips: WriteChips,
) -> None:
    data = prepare_data(write_chips(count=3))
    for norm, upsample, radius, stride in (
        ("batch", "transposed", 127, 64),
        ("none", "transposed", 127, 64),
        ("instance", "transposed", None, 64),
        ("group", "resize", None, 64),
    ):
        inference = Pix2Pix(
            data, recipe="seamless", ngf=4, ndf=4, norm=norm, upsample=upsample
        ).predictor.inference
        assert (inference.radius, inference.stride) == (radius, stride)


@pytest.mark.parametrize(
    ("norm", "batch_size", "options", "depth"),
    [
        ("batch", 4, {}, 6),
        ("batch", 1, {}, 6),
        ("batch", 1, {"padding": "reflect"}, 5),
        ("renorm", 1, {"padding": "reflect"}, 5),
        ("instance", 4, {}, 6),
        ("instance", 4, {"padding": "reflect"}, 5),
        ("group", 4, {"padding": "replicate"}, 5),
        ("group", 4, {}, 6),
        ("instance", 4, {"upsample": "transposed"}, 6),
        ("channel", 1, {}, 6),
    ],
)
def test_every_level_learns(
    write_chips: WriteChips, norm: Any, batch_size: int, options: dict[str, Any], depth: int
) -> None:
    data = prepare_data(write_chips(count=6), batch_size=batch_size)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, dropout=0, norm=norm, **options)
    assert model.config.depth == depth
    source, target = (side.as_subclass(torch.Tensor) for side in data.one_batch())
    (model.pair.generator.train()(source) - target).abs().mean().backward()
    levels = [level[1].weight.grad.abs().mean() for level in model.pair.generator.encoder]
    assert min(levels) > 1e-4 * max(levels)


def test_a_chip_that_leaves_two_pixels_loses_no_level(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(count=3, size=100))
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, norm="instance", padding="reflect")
    assert model.config.depth == 6


def test_the_discriminator_keeps_batch_norm_where_the_generator_has_its_cure(
    write_chips: WriteChips,
) -> None:
    data = prepare_data(write_chips(count=3))
    for norm in ("renorm", "channel"):
        norms = [
            type(module)
            for module in Pix2Pix(
                data, recipe="seamless", ngf=4, ndf=4, norm=norm
            ).pair.discriminator.modules()
            if "Norm" in type(module).__name__
        ]
        assert norms == [nn.BatchNorm2d] * 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"depth": 7}, r"depth is 7; give a whole number of at least 2 and at most 6\."),
        ({"depth": 1}, r"depth is 1; give a whole number of at least 2 and at most 6\."),
        (
            {"depth": 5, "generator": "resnet9"},
            r"depth is 5, but only a U-Net without backbone has levels to choose; leave it out\.",
        ),
        (
            {"backbone": "resnet18", "generator": "resnet9"},
            r"backbone is 'resnet18', .* generator is 'resnet9'; give one of the two\.",
        ),
        ({"generator": "vit"}, r"generator is 'vit'; give .*unet"),
        ({"padding": "circular"}, r"padding is 'circular'; give .*zeros"),
        ({"norm": "layer"}, r"norm is 'layer'; give .*channel"),
    ],
)
def test_impossible_networks_are_refused(
    write_chips: WriteChips, options: dict[str, Any], sentence: str
) -> None:
    data = prepare_data(write_chips(count=3))
    with pytest.raises(InvalidInputError, match=sentence):
        Pix2Pix(data, **{"recipe": "seamless"} | options)


def test_the_papers_recipe_translates_scenes_as_the_paper_does(
    write_chips: WriteChips, write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = prepare_data(write_chips(count=3))
    scene = write_raster("scene.tif", values((3, 90, 130), "uint8"))
    for recipe, own, layers in (
        ("paper", "tile", ("transposed", "zeros")),
        ("seamless", "running", ("resize", "zeros")),
    ):
        model = Pix2Pix(data, recipe=recipe, ngf=4, ndf=4)
        assert (model.config.upsample, model.config.padding) == layers
        again = Pix2Pix.from_model(model.save(tmp_path / recipe))
        files = []
        for one, options in ((model, {"norm_stats": own}), (model, {}), (again, {})):
            path = tmp_path / "out.tif"
            done = one.predict_raster(scene, path, overwrite=True, progress=False, **options)
            with rasterio.open(done) as written:
                files.append(written.read())
        np.testing.assert_array_equal(files[0], files[1])
        np.testing.assert_array_equal(files[0], files[2])


def test_what_a_recipe_says_can_be_said_otherwise(write_chips: WriteChips) -> None:
    model = Pix2Pix(prepare_data(write_chips(count=3)), recipe="paper", norm="group", ngf=4, ndf=4)
    assert (model.config.norm, model.config.upsample) == ("group", "transposed")
