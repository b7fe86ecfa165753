from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotranslate import Pix2Pix, cross_validate, load_model
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.metrics import Metrics
from geotranslate.translators.crossvalidation import CrossValidation

WriteChips = Callable[..., Path]


def test_every_fold_has_a_model_and_numbers(write_chips: WriteChips, tmp_path: Path) -> None:
    found = cross_validate(
        write_chips(count=4),
        folds=2,
        data={"batch_size": 2},
        model={"recipe": "seamless", "ngf": 4, "lambda_gan": 0},
        fit={"epochs": 1, "progress": False, "precision": "float32"},
        metrics=["mae"],
        folder=tmp_path / "folds",
    )
    models = [load_model(tmp_path / "folds" / f"fold_{fold}") for fold in range(2)]
    assert [model.metrics for model in models] == list(found.folds)
    pairs = [model.card.validation_pairs for model in models]
    assert not {*pairs[0]} & {*pairs[1]}
    errors = [metrics["mae"] for metrics in found.folds]
    assert found.means["mae"] == pytest.approx(sum(errors) / 2)
    assert found.deviations["mae"] == pytest.approx(abs(errors[0] - errors[1]) / 2**0.5)


def test_measures_that_a_fold_lacks_are_left_out_of_the_mean() -> None:
    found = CrossValidation((Metrics({"a": 1.0, "b": math.nan}), Metrics({"a": 3.0, "c": 2.0})))
    assert found.means["a"] == 2
    assert found.deviations["a"] == pytest.approx(2**0.5)
    assert math.isnan(found.means["b"])
    assert (found.means["c"], math.isnan(found.deviations["c"])) == (2, True)
    assert str(found).splitlines()[0].split() == ["mean", "deviation", "fold", "0", "fold", "1"]
    assert json.loads(json.dumps(found.to_json()))["means"]["a"] == 2
    assert "<table>" in found._repr_html_()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 1}, "folds is 1; give a whole number of at least 2"),
        ({"translator": "Pix2Pix"}, "translator is 'Pix2Pix'; give a class such as Pix2Pix"),
        ({"data": {"fold": 1}}, "data has fold, which cross_validate sets itself"),
        ({"fit": 3}, "fit is 3; give arguments by name, as a dict"),
        ({"model": {1: 2}}, "model is {1: 2}; give arguments by name"),
    ],
)
def test_impossible_cross_validations_are_said(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        cross_validate("chips", **{"translator": Pix2Pix, **options})


def test_folder_that_cannot_be_made_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / ("ä" * 300)):
        with pytest.raises(RasterFileError, match=r"cannot be created: .*; give another folder\."):
            cross_validate(tmp_path, folder=folder)
