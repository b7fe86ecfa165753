from __future__ import annotations

import json
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geotranslate.chips.bands.datacard import DataCard, Side
from geotranslate.chips.bands.quantiles import Quantiles
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.errors import ModelFileError, RasterFileError
from geotranslate.metrics.scores import Metrics
from geotranslate.raster.writing.destination import sole_holder
from geotranslate.translators.saved_models.card import Card
from geotranslate.translators.saved_models.modelfolder import (
    LOCK_FILE,
    load_weights,
    read_model,
    save_model,
)

SIDE = Side(
    bands=1,
    dtype="uint8",
    nodata=None,
    band_names=("",),
    indexes=(1,),
    file_bands=1,
    classes=None,
    mean=(3.0,),
    scaling=Scaling.linear((0.0,), (255.0,)),
)
CARD = Card(
    "Pix2Pix",
    {"ngf": 4},
    DataCard(SIDE, SIDE, 64, None, None, None, ("a",), ("b",), 1),
    [{"l1": 0.5}],
    Metrics({"mae": 7.5}),
)
WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7)}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_model(tmp_path / "model", CARD, WEIGHTS)
    card, weights = read_model(tmp_path / "model")
    assert card == CARD
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)
    assert read_model(tmp_path / "model" / "card.json")[0] == CARD
    assert sorted(item.name for item in (tmp_path / "model").iterdir()) == [
        "card.json",
        "model.safetensors",
    ]


def test_card_says_who_wrote_it(tmp_path: Path) -> None:
    save_model(tmp_path / "model", CARD, WEIGHTS)
    values = json.loads((tmp_path / "model" / "card.json").read_text())
    assert values["format"] == "geotranslate model"
    assert set(values["versions"]) == {"python", "geotranslate", "torch", "fastai", "rasterio"}


def test_saving_again_replaces_the_model(tmp_path: Path) -> None:
    save_model(tmp_path / "model", CARD, WEIGHTS)
    save_model(tmp_path / "model", CARD, {"c": torch.zeros(1)})
    assert read_model(tmp_path / "model")[1].keys() == {"c"}


def test_saves_at_the_same_time_leave_one_whole_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halfway, second_is_done = threading.Event(), threading.Event()

    def replace_slowly(old: Path, new: Path) -> None:
        os.rename(old, new)
        if not halfway.is_set():
            halfway.set()
            second_is_done.wait(0.5)

    monkeypatch.setattr(
        "geotranslate.translators.saved_models.modelfolder.os",
        SimpleNamespace(**{**vars(os), "replace": replace_slowly}),
    )
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(save_model, tmp_path / "model", CARD, WEIGHTS)
        assert halfway.wait(60)
        save_model(tmp_path / "model", CARD, {"c": torch.zeros(1)})
        second_is_done.set()
        first.result()
    assert read_model(tmp_path / "model")[1].keys() == {"c"}
    assert len(list((tmp_path / "model").iterdir())) == 2


def test_save_that_never_ends_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setattr("geotranslate.translators.saved_models.modelfolder.PATIENCE", 0.1)
    with (
        sole_holder(tmp_path / "model" / LOCK_FILE, busy="", unwritable=str),
        pytest.raises(RasterFileError, match=r"^Another process is saving a model in \S*model and"),
    ):
        save_model(tmp_path / "model", CARD, WEIGHTS)
    assert not list((tmp_path / "model").iterdir())


def test_missing_folder_above_is_named(tmp_path: Path) -> None:
    with pytest.raises(RasterFileError, match="no, in which the model m shall be saved, does not"):
        save_model(tmp_path / "no" / "m", CARD, WEIGHTS)


@pytest.mark.parametrize("name", ["card.json", "model.safetensors"])
def test_folder_that_is_no_model_says_what_is_missing(tmp_path: Path, name: str) -> None:
    save_model(tmp_path / "model", CARD, WEIGHTS)
    (tmp_path / "model" / name).unlink()
    with pytest.raises(ModelFileError, match=rf"is not a model of geotranslate: {name} is missing"):
        read_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{}", "was not written by geotranslate"),
        ("[1]", "was not written by geotranslate"),
        ('{"format": "Pix2Pix"}', "was not written by geotranslate"),
        ("not json", "is damaged .* Save or fetch it again"),
        ('{"format": "geotranslate model", "format_version": 1}', "is damaged"),
        (
            '{"format": "geotranslate model", "format_version": 99,'
            ' "versions": {"geotranslate": "9.0"}}',
            r"saved by a newer geotranslate \(9\.0\); update",
        ),
    ],
)
def test_card_that_is_not_ours_is_refused(tmp_path: Path, content: str, sentence: str) -> None:
    save_model(tmp_path / "model", CARD, WEIGHTS)
    (tmp_path / "model" / "card.json").write_text(content)
    with pytest.raises(ModelFileError, match=sentence):
        read_model(tmp_path / "model")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "model", CARD, WEIGHTS)
    save_file({"a": torch.ones(2, 3)}, tmp_path / "model" / "model.safetensors")
    with pytest.raises(ModelFileError, match="does not belong to its card"):
        read_model(tmp_path / "model")


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    save_model(tmp_path / "model", CARD, WEIGHTS)

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "boom",))

    torch.save({"a": Bomb()}, tmp_path / "model" / "model.safetensors")
    with pytest.raises(ModelFileError):
        read_model(tmp_path / "model")
    assert not (tmp_path / "boom").exists()


def test_weights_that_do_not_fit_the_networks_are_refused() -> None:
    with pytest.raises(ModelFileError, match="The weights of m are not those of the networks"):
        load_weights(torch.nn.Linear(2, 2), {"weight": torch.zeros(3, 3)}, "m")


def test_infinite_numbers_survive_strict_json(tmp_path: Path) -> None:
    card = replace(
        CARD, metrics=Metrics({"psnr": math.inf}), history=[{"l1": 0.5}, {"l1": math.inf}]
    )
    save_model(tmp_path / "model", card, WEIGHTS)
    assert read_model(tmp_path / "model")[0] == card
    text = (tmp_path / "model" / "card.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [1.0, 2.0]},
        {"indexes": []},
        {"dtype": "bogus"},
        {"bands": 2},
        {"classes": True},
        {"classes": {"values": [1], "colours": [[1, 0, 0, 300, 255]]}},
        {"classes": {"values": [1], "colours": [[1, 0, 0, 0]]}},
    ],
)
def test_card_whose_numbers_do_not_fit_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    save_model(tmp_path / "model", CARD, WEIGHTS)
    path = tmp_path / "model" / "card.json"
    values = json.loads(path.read_text())
    values["data"]["source"] |= change
    path.write_text(json.dumps(values))
    with pytest.raises(ModelFileError, match="is damaged"):
        read_model(tmp_path / "model")


def test_file_where_the_model_shall_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    with pytest.raises(RasterFileError, match=r"model .*model cannot be saved"):
        save_model(tmp_path / "model", CARD, WEIGHTS)
    assert (tmp_path / "model").read_text() == "mine"


def test_data_without_a_number_for_nodata_is_the_same_data(tmp_path: Path) -> None:
    side = replace(SIDE, dtype="float32", nodata=float("nan"))
    card = replace(CARD, data=replace(CARD.data, source=side))
    save_model(tmp_path / "model", card, WEIGHTS)
    assert not read_model(tmp_path / "model")[0].differences(card)


def test_quantiles_are_kept_and_make_no_other_training(tmp_path: Path) -> None:
    quantiles = Quantiles.of(np.random.default_rng(0).normal(size=(SIDE.bands, 99)))
    card = replace(CARD, data=replace(CARD.data, source=replace(SIDE, quantiles=quantiles)))
    save_model(tmp_path / "model", card, WEIGHTS)
    again = read_model(tmp_path / "model")[0]
    assert again.data.source.quantiles == quantiles
    assert again.data.target.quantiles is None
    # Checkpoints of earlier versions have none, and can be resumed.
    assert not again.differences(CARD)
    assert not CARD.differences(again)
