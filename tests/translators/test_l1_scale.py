from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotranslate import Pix2Pix, Pix2PixHD, load_model, prepare_data
from geotranslate.errors import InvalidInputError
from geotranslate.networks.weightless import without_weights
from geotranslate.training.callbacks import ScaledL1
from geotranslate.training.objectives import scaled_l1

SMALL: list[tuple[Any, dict[str, Any]]] = [
    (Pix2Pix, {"ngf": 2, "ndf": 2, "recipe": "picture"}),
    (Pix2Pix, {"ngf": 2, "recipe": "measurement"}),
    (Pix2PixHD, {"ngf": 2, "ndf": 2, "n_downsample_global": 1, "n_blocks_global": 1}),
]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("translator", "options"), SMALL)
def test_training_uses_the_scaled_loss_and_the_card_keeps_it(
    write_chips: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    translator: Any,
    options: dict[str, Any],
) -> None:
    used = []
    original = ScaledL1.after_loss

    def recorded(callback: ScaledL1) -> None:
        original(callback)
        expected = float(scaled_l1(callback.pred, callback.yb[0], 4))
        used.append(float(callback.learn.loss_grad) == float(callback.learn.loss) == expected)

    monkeypatch.setattr(ScaledL1, "after_loss", recorded)
    model = translator(prepare_data(write_chips(count=6)), l1_scale=4, **options)
    model.fit(1, folder=tmp_path / "training", progress=False)
    assert used == [True] * len(model.data.train)
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").config.l1_scale == 4
    # Cards of earlier versions lack the option.
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    del card["options"]["l1_scale"]
    (tmp_path / "model" / "card.json").write_text(json.dumps(card))
    again = load_model(tmp_path / "model")
    assert again.config.l1_scale == 1
    assert not any(isinstance(each, ScaledL1) for each in again.learn.cbs)


@pytest.mark.parametrize("translator", [Pix2Pix, Pix2PixHD])
@pytest.mark.parametrize("scale", [0, 3, 8, "2", None, 2.0, True])
def test_other_scales_are_refused(
    write_chips: Callable[..., Path], translator: Any, scale: Any
) -> None:
    card = prepare_data(write_chips(count=3)).card
    with without_weights(), pytest.raises(InvalidInputError, match=r"^l1_scale is .*; give"):
        translator(card, l1_scale=scale)
