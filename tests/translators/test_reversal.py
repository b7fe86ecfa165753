from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geotranslate import CycleGAN, load_model, prepare_data
from geotranslate.errors import InvalidInputError
from geotranslate.prediction.workers import SavedModel, augmented
from tests.conftest import values

SMALL: dict[str, Any] = {"gen_blocks": 1, "ngf": 2, "ndf": 2, "n_layers": 2}


@pytest.fixture
def model(write_chips: Callable[..., Path]) -> CycleGAN:
    return CycleGAN(prepare_data(write_chips(count=3)), **SMALL)


def test_the_way_back_is_the_model_turned_round(model: CycleGAN) -> None:
    back = model.towards("BtoA")
    assert back.card == model.card.reversed()
    assert (back.direction, back.name) == ("BtoA", "CycleGAN")
    assert back.towards("BtoA") is back
    assert back.towards("AtoB") is model.towards("AtoB") is model.predictor
    assert back.inference.generator is model.pair.generator.back
    assert model.predictor.inference.generator is model.pair.generator.forth


def test_threads_that_translate_both_ways_leave_each_other_alone(model: CycleGAN) -> None:
    """Or one thread would put the network back into training while another one uses it."""
    model.pair.train()
    images = {"AtoB": values((3, 64, 64), "uint8"), "BtoA": values((1, 64, 64), "uint8")}
    ways: list[Any] = ["AtoB", "BtoA"]
    alone = {way: model.predict(images[way], direction=way) for way in ways}
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda way: (way, model.predict(images[way], direction=way)), ways * 8)
        for way, image in found:
            np.testing.assert_array_equal(image, alone[way])
    assert all(module.training for module in model.pair.modules())


def test_the_way_back_follows_the_average_as_it_comes_and_goes(model: CycleGAN) -> None:
    options: dict[str, Any] = {"progress": False, "checkpoint": False, "precision": "float32"}
    before = model.towards("BtoA").inference
    for ema in (0.9, 0, 0.9):
        model.fit(1, ema=ema, **options)
        found = model.towards("BtoA").inference.generator
        assert found is model.pair.translating.back
        assert (found is model.pair.generator.back) == (ema == 0)
    assert before.generator is model.pair.generator.back


def test_saving_the_way_back_saves_the_model(model: CycleGAN, tmp_path: Path) -> None:
    back = model.towards("BtoA")
    again = load_model(back.save(tmp_path / "model"))
    assert isinstance(again, CycleGAN)
    assert again.card == model.card
    assert again.digest() == back.digest() == model.digest()
    assert again.saved_folder(back.digest()) == tmp_path / "model"
    assert again.saved_folder("another") is None


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("tta", [False, True, "std"])
def test_workers_load_the_direction_that_is_asked_for(
    model: CycleGAN, tmp_path: Path, tta: bool | str
) -> None:
    folder = model.save(tmp_path / "model")
    for direction, bands in (("AtoB", 3), ("BtoA", 1), ("AtoB", 3)):
        inference = model.towards(direction).inference
        saved = SavedModel.of(model.loader, folder, model.digest(), inference, tta, direction)
        tiles = values((2, bands, 64, 64), "uint8").astype(np.float32)
        found = pickle.loads(pickle.dumps(saved))(tiles)
        assert found.shape[1] == 4 - bands + (tta == "std")
        np.testing.assert_array_equal(found, augmented(inference, tta)(tiles))


def test_a_way_translates_its_own_direction(model: CycleGAN) -> None:
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64)).astype(np.float32)
    back = model.towards("BtoA")
    expected = model.predict(image, direction="BtoA")
    np.testing.assert_array_equal(back.predict(image), expected)
    with pytest.raises(InvalidInputError, match="direction is ''"):
        model.predict(image, direction="")  # type: ignore[arg-type]
