from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from geotranslate import Pix2Pix, load_model
from geotranslate.errors import ModelFileError
from tests.conftest import values


def test_model_is_loaded_as_what_it_was_saved(fresh_model: Pix2Pix, tmp_path: Path) -> None:
    folder = fresh_model.save(tmp_path / "model")
    for path in (folder, str(folder), folder / "card.json"):
        again = load_model(path)
        assert type(again) is Pix2Pix
    image = values((3, 64, 64), "uint8")
    np.testing.assert_array_equal(again.predict(image), fresh_model.predict(image))


def test_unknown_classes_and_missing_models_are_said(fresh_model: Pix2Pix, tmp_path: Path) -> None:
    folder = fresh_model.save(tmp_path / "model")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"translator": "os.system"}))
    with pytest.raises(
        ModelFileError, match=r"is a os\.system model, which this version .*Pix2Pix"
    ):
        load_model(folder)
    with pytest.raises(ModelFileError, match=r"nowhere is not a model of geotranslate: card\.json"):
        load_model(tmp_path / "nowhere")


def test_digest_of_a_model_is_that_on_its_card(fresh_model: Pix2Pix, tmp_path: Path) -> None:
    folder = fresh_model.save(tmp_path / "model")
    written = json.loads((folder / "card.json").read_text())["weights_sha256"]
    assert fresh_model.digest() == written == load_model(folder).digest()
