"""What a Pix2Pix can be made of: each kind trains, is saved and translates scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from geotranslate import Pix2Pix, prepare_data
from geotranslate.translators.card import read_card
from tests.conftest import WriteRaster, values

WriteChips = Callable[..., Path]
KINDS: list[dict[str, Any]] = [
    {"gan_mode": "lsgan", "label_smoothing": 0.1, "upsample": "resize", "n_layers": 4},
    {"gan_mode": "hinge", "norm": "group", "n_layers": 0, "perceptual_loss": True},
    {"norm": "group", "upsample": "resize", "n_layers": 1, "perceptual_loss": 0.5},
    {"norm": "none", "upsample": "resize", "n_layers": 2, "label_smoothing": 0.2},
    {"lambda_gan": 0, "n_layers": 5, "upsample": "resize"},
    {"backbone": "resnet18", "gan_mode": "hinge"},
    {"backbone": "mit_b0", "upsample": "resize", "norm": "instance"},
]


@pytest.mark.filterwarnings("ignore:scene.tif has")
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_trains_and_comes_back_from_its_folder(
    write_chips: WriteChips, write_raster: WriteRaster, tmp_path: Path, kind: dict[str, Any]
) -> None:
    if "backbone" in kind:
        pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    folder = write_chips(count=5, source=(5, "uint8"), target=(2, "float32"))
    model = Pix2Pix(prepare_data(folder), ngf=4, ndf=4, **kind).fit(1, progress=False)
    assert np.isfinite(list(model.history[0].values())).all()
    assert ("perceptual" in model.history[0]) == ("perceptual_loss" in kind)
    scene = write_raster("scene.tif", values((5, 90, 130), "uint8"))
    again = Pix2Pix.from_model(model.save(tmp_path / "model"))
    assert again.options == model.options
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
        model = Pix2Pix(data, ngf=4, ndf=4, perceptual_loss=given)
        assert model.options["perceptual_loss"] == weight


def test_networks_that_see_the_tile_have_no_radius_and_others_have(
    write_chips: WriteChips,
) -> None:
    data = prepare_data(write_chips(count=3))
    for norm, upsample, radius in (
        ("batch", "transposed", 189),
        ("none", "transposed", 189),
        ("instance", "transposed", None),
        ("group", "resize", None),
    ):
        inference = Pix2Pix(data, ngf=4, ndf=4, norm=norm, upsample=upsample).inference
        assert (inference.radius, inference.stride) == (radius, 64)
