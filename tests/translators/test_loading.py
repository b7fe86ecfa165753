"""Models loaded with data, which are shown, measured and trained; frozen encoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from affine import Affine

from geotranslate import CycleGAN, Pix2Pix, Pix2PixHD, load_model, prepare_data
from geotranslate.errors import InvalidInputError
from tests.conftest import NORTH_UP, WriteRaster

WriteChips = Callable[..., Path]
SMALL: dict[str, Any] = {"recipe": "seamless", "ngf": 4, "ndf": 4}
FIT: dict[str, Any] = {"checkpoint": False, "progress": False}


@pytest.fixture
def saved(write_chips: WriteChips, tmp_path: Path) -> Path:
    """Return the folder of a model that was trained for an epoch."""
    data = prepare_data(write_chips(count=6), batch_size=2)
    model = Pix2Pix(data, norm="instance", lambda_l1=50, **SMALL).fit(1, **FIT)
    model.compute_metrics()
    return model.save(tmp_path / "model")


@pytest.fixture
def brighter(write_raster: WriteRaster, tmp_path: Path) -> Path:
    """Return a folder of pairs with other values than those of `write_chips`."""
    for number in range(6):
        for side, bands in (("images", 3), ("images2", 1)):
            data = np.full((bands, 64, 64), 200 + 8 * number, "uint8")
            data[:, ::3] -= 5
            place = NORTH_UP @ Affine.translation(64 * number, 0)
            write_raster(f"brighter/{side}/{number}.tif", data, transform=place)
    return tmp_path / "brighter"


def test_a_model_loaded_with_its_data_goes_on(saved: Path, tmp_path: Path) -> None:
    data = prepare_data(tmp_path / "chips", batch_size=2)
    former, model = load_model(saved), load_model(saved, data)
    assert (model.history, model.metrics) == (former.history, former.metrics)
    assert model.config == former.config
    assert model.compute_metrics() == pytest.approx(dict(former.metrics), nan_ok=True)
    assert model.show_results() is not None
    model.fit(2, **FIT)
    assert len(model.history) == 3
    assert not torch.equal(*(_first(one) for one in (former, model)))


def test_fine_tuning_keeps_options_and_scalings(saved: Path, brighter: Path) -> None:
    former = load_model(saved)
    model = Pix2Pix.from_model(saved, prepare_data(brighter, batch_size=2))
    # Until it is trained on them, the model is described by what it has learned from.
    assert model.card.to_json() == former.card.to_json()
    assert model.history == former.history
    assert model.compute_metrics()["mae"] > 0
    assert model.metrics == former.metrics
    model.fit(2, **FIT)
    assert len(model.history) == 2
    assert model.config == former.config
    assert model.card.train_pairs != former.card.train_pairs
    for side in ("source", "target"):
        mine, theirs = getattr(model.card, side), getattr(former.card, side)
        assert (mine.scaling, mine.mean) == (theirs.scaling, theirs.mean)
        low, high = theirs.extent[0]
        assert mine.extent[0] == (low, max(high, 232.0))
    assert model.predictor.card is model.card


def test_fine_tuning_can_be_repeated(saved: Path, tmp_path: Path) -> None:
    data = prepare_data(tmp_path / "chips", batch_size=2)
    tuned = []
    for _ in range(2):
        tuned.append(Pix2Pix.from_model(saved, data).fit(1, **FIT))
        torch.rand(3)
    assert tuned[0].digest() == tuned[1].digest()


def test_data_of_other_bands_is_refused(
    saved: Path, write_raster: WriteRaster, tmp_path: Path
) -> None:
    for number in range(4):
        for side in ("images", "images2"):
            noise = np.random.default_rng(number).integers(0, 255, (1, 64, 64)).astype("uint8")
            place = NORTH_UP @ Affine.translation(64 * number, 0)
            write_raster(f"gray/{side}/{number}.tif", noise, transform=place)
    with pytest.raises(InvalidInputError, match="has 1 x uint8 but the model was trained on 3 x"):
        load_model(saved, prepare_data(tmp_path / "gray"))
    with pytest.raises(InvalidInputError, match="give what prepare_data returns"):
        load_model(saved, "chips")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Pix2Pix, SMALL),
        (Pix2Pix, {**SMALL, "generator": "resunet"}),
        (Pix2Pix, {**SMALL, "generator": "resnet6"}),
        (CycleGAN, {"ngf": 2, "ndf": 2, "gen_blocks": 1}),
        (Pix2PixHD, {"ngf": 2, "ndf": 2, "n_downsample_global": 2, "n_blocks_global": 1}),
    ],
)
def test_frozen_encoders_keep_their_weights(
    kind: Any, options: dict[str, Any], write_chips: WriteChips
) -> None:
    model = kind(prepare_data(write_chips(count=4), batch_size=2), **options)
    trainable = _trainable(model)
    model.freeze()
    frozen = trainable - _trainable(model)
    assert frozen and _trainable(model)
    before = {name: weight.clone() for name, weight in model.pair.named_parameters()}
    model.fit(1, **FIT)
    after = dict(model.pair.named_parameters())
    changed = {name for name in trainable if not torch.equal(before[name], after[name])}
    assert changed and not changed & frozen
    model.unfreeze()
    assert _trainable(model) == trainable


def _trainable(model: Any) -> set[str]:
    named = model.pair.named_parameters()
    return {name for name, weight in named if weight.requires_grad and name[:7] != "average"}


def _first(model: Any) -> torch.Tensor:
    return next(model.pair.generator.parameters())
