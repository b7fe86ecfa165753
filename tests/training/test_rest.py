"""A discriminator that is idle until a share of the training is done."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from fastai.callback.core import Callback
from torch import Tensor

from geotranslate import Pix2Pix, prepare_data
from geotranslate.training.callbacks.trackers import EarlyStoppingCallback

WriteChips = Callable[..., Path]
FIT: dict[str, Any] = {"precision": "float32", "progress": False}
ADVERSARIAL = ("g_gan", "d_real", "d_fake")


class Seen(Callback):
    """Notes the discriminator's weights before every batch; may interrupt the second epoch."""

    run_valid = False

    def __init__(self, interrupts: bool = False) -> None:
        self.weights: list[Tensor] = []
        self.interrupts = interrupts

    def before_batch(self) -> None:
        if self.interrupts and self.learn.epoch == 1:
            raise KeyboardInterrupt
        network = self.learn.model.discriminator
        self.weights.append(torch.cat([one.detach().flatten() for one in network.parameters()]))

    @property
    def moved(self) -> list[bool]:
        """Whether each batch but the last moved them."""
        pairs = zip(self.weights, self.weights[1:], strict=False)
        return [not torch.equal(one, other) for one, other in pairs]


def small(chips: Path, **options: Any) -> Pix2Pix:
    return Pix2Pix(
        prepare_data(chips, batch_size=2, num_workers=0), recipe="picture", ngf=4, ndf=4, **options
    )


@pytest.mark.parametrize(
    ("options", "resting"),
    [({}, 7), ({"gan_after": 0}, 0), ({"gan_after": 0.5}, 4), ({"gan_after": 0.7}, 6)],
)
def test_a_discriminator_moves_from_its_share_of_the_batches_on(
    write_chips: WriteChips, options: dict[str, Any], resting: int
) -> None:
    seen = Seen()
    model = small(write_chips(count=9), **options)
    model.fit(2, callbacks=[seen], checkpoint=False, **FIT)
    assert seen.moved == [False] * resting + [True] * (7 - resting)


def test_a_training_that_is_resumed_begins_the_game_at_the_same_batch(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    chips, seen = write_chips(count=9), [Seen(), Seen(interrupts=True), Seen()]
    share, folder = 0.6, tmp_path / "parts"
    whole = small(chips, gan_after=share).fit(
        2, callbacks=[seen[0]], folder=tmp_path / "whole", **FIT
    )
    with pytest.raises(KeyboardInterrupt):
        small(chips, gan_after=share).fit(2, callbacks=[seen[1]], folder=folder, **FIT)
    resumed = small(chips, gan_after=share)
    resumed.fit(2, callbacks=[seen[2]], folder=folder, resume=True, **FIT)
    assert seen[0].moved == [False] * 5 + [True] * 2
    assert seen[2].moved == [False] + [True] * 2
    for name, value in whole.pair.state_dict().items():
        assert torch.equal(value, resumed.pair.state_dict()[name]), name
    for row, other in zip(whole.history, resumed.history, strict=True):
        assert row == pytest.approx(other, nan_ok=True, rel=0)


def test_columns_of_a_discriminator_that_rests_are_empty_and_nobody_minds(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    logs = find_spec("tensorboard") is not None
    model = small(write_chips(count=9))
    model.fit(2, folder=tmp_path, tensorboard=logs, monitor="d_real", early_stopping=1, **FIT)
    first, last = model.history
    assert all(math.isnan(first[name]) and math.isfinite(last[name]) for name in ADVERSARIAL)
    assert math.isfinite(first["g_l1"])
    with (tmp_path / "history.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["d_real"] for row in table] == ["nan", str(last["d_real"])]
    model.plot_losses()
    again = Pix2Pix.from_model(tmp_path / "best")
    assert again.history == [pytest.approx(row, nan_ok=True) for row in model.history]


def test_patience_begins_with_the_first_value() -> None:
    rows = [{"d_real": math.nan}] * 8
    patience = EarlyStoppingCallback(rows, 0, "d_real", 2)
    assert not patience.is_over
    rows += [{"d_real": 1.0}, {"d_real": 2.0}]
    assert not patience.is_over
    rows.append({"d_real": 1.5})
    assert patience.is_over
