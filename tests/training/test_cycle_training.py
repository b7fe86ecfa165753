"""A CycleGAN trains as a hand-written loop does, and goes on where it was interrupted."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from geotranslate import CycleGAN, prepare_data
from geotranslate.errors import ModelFileError
from geotranslate.training.checkpoints import LAST, OBJECTIVE
from geotranslate.training.objectives import objectives_of
from geotranslate.translators.runs.measuring import fill_of
from tests.children import Child
from tests.conftest import chip_writer
from tests.training.callbacks.test_gan import LSGAN, VANILLA, WGAN, penalty
from tests.training.test_resume import FIT, Interrupt, assert_same, kill_after_an_epoch

# So few steps leave a network that gives one color.
pytestmark = pytest.mark.filterwarnings("ignore:Epoch .* has collapsed")
WriteChips = Callable[..., Path]
SMALL: dict[str, Any] = {"gen_blocks": 1, "ngf": 2, "ndf": 2, "n_layers": 2, "pool_size": 3}


class Batches(Callback):
    """Keeps the batches that are trained on, in double precision, and the random numbers then."""

    # After fastai has made plain tensors of them.
    order = 10

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def before_batch(self) -> None:
        source, target = (side[0].double() for side in (self.xb, self.yb))
        # Another place is invalid in every batch.
        target[0, :, len(self.seen) :][:, :9, 5:11] = torch.nan
        self.learn.xb, self.learn.yb = (source,), (target,)
        if self.training:
            self.seen.append((source, target, torch.get_rng_state()))

    def after_batch(self) -> None:
        # As fastai's table wants it.
        self.learn.loss = self.learn.loss.float()


class Pool:
    """Former translations, as Zhu et al. describe them."""

    def __init__(self, size: int) -> None:
        self.size, self.images = size, []

    def query(self, images: Tensor) -> Tensor:
        out = []
        for one in images:
            if len(self.images) < self.size:
                self.images.append(one)
            elif self.size and torch.rand(()) >= 0.5:
                place = torch.randint(self.size, ())
                one, self.images[place] = self.images[place], one
            out.append(one)
        return torch.stack(out)


@dataclass
class Loop:
    """The same training by hand: four networks, two optimizers, no fastai."""

    forth: nn.Module
    back: nn.Module
    of_source: nn.Module
    of_target: nn.Module
    losses: dict[str, Callable[..., Tensor]]
    fill: Tensor
    pool_size: int
    identity: float
    smoothing: float
    max_norm: float | None
    penalty: bool = False

    def train(self, batches: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        generators = [*self.forth.parameters(), *self.back.parameters()]
        discriminators = [*self.of_source.parameters(), *self.of_target.parameters()]
        of_generators, of_discriminators = (
            torch.optim.Adam(parameters, 2e-4, (0.5, 0.999))
            for parameters in (generators, discriminators)
        )
        pool_a, pool_b = Pool(self.pool_size), Pool(self.pool_size)
        for a, target, numbers in batches:
            torch.set_rng_state(numbers)
            valid = target.isfinite()
            b = torch.where(valid, target, self.fill)
            fake_b, fake_a = self.forth(a), self.back(b)
            of_discriminators.zero_grad()
            old_a, old_b = pool_a.query(fake_a.detach()), pool_b.query(fake_b.detach())
            for discriminator, real, fake in (
                (self.of_source, a, old_a),
                (self.of_target, b, old_b),
            ):
                loss = self.losses["real"](discriminator(real), self.smoothing)
                loss = loss + self.losses["fake"](discriminator(fake))
                if self.penalty:
                    loss = loss + penalty(discriminator, real, fake)
                (0.5 * loss).backward()
            of_discriminators.step()
            loss = self.losses["generator"](self.of_target(fake_b))
            loss = loss + self.losses["generator"](self.of_source(fake_a))
            loss = loss + 10 * F.l1_loss(self.back(fake_b), a)
            loss = loss + 10 * F.l1_loss(self.forth(fake_a)[valid], target[valid])
            if self.identity:
                loss = loss + 10 * self.identity * F.l1_loss(self.back(a), a)
                same = F.l1_loss(self.forth(b)[valid], target[valid])
                loss = loss + 10 * self.identity * same
            for parameter, gradient in zip(
                generators, torch.autograd.grad(loss, generators), strict=True
            ):
                parameter.grad = gradient
            if self.max_norm:
                nn.utils.clip_grad_norm_(generators, self.max_norm)
            of_generators.step()


def _losses(options: dict[str, Any]) -> dict[str, Callable[..., Tensor]]:
    if options.get("gan_mode") == "wgangp":
        return WGAN
    return LSGAN if options.get("lsgan", True) else VANILLA


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("options", "max_norm", "steps"),
    [
        ({"pool_size": 3}, None, 1),
        ({"pool_size": 3}, None, 12),
        ({"lsgan": False, "pool_size": 1, "lambda_identity": 0.3}, 0.5, 12),
        ({"norm": "batch", "pool_size": 0, "label_smoothing": 0.1, "lambda_identity": 0}, None, 12),
        ({"gan_mode": "wgangp", "norm": "batch", "pool_size": 2}, None, 12),
        pytest.param({"pool_size": 50, "upsample": "transposed"}, None, 12, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_training_equals_a_hand_written_loop_with_two_optimizers(
    write_chips: WriteChips, options: dict[str, Any], max_norm: float | None, steps: int
) -> None:
    # Nine chips, of which eight train.
    folder = write_chips(count=9, size=32, source=(2, "uint8"), target=(2, "uint8"))
    data = prepare_data(folder, batch_size=2 if steps > 1 else 8)
    model = CycleGAN(data, **{**SMALL, **options})
    model.pair.double()
    copied = copy.deepcopy(model.pair).train()
    loop = Loop(
        copied.generator.forth,
        copied.generator.back,
        copied.discriminator["of_source"],
        copied.discriminator["of_target"],
        losses=_losses(options),
        fill=fill_of(data.card.target),
        pool_size=options["pool_size"],
        identity=options.get("lambda_identity", 0.5),
        smoothing=options.get("label_smoothing", 0.0),
        max_norm=max_norm,
        penalty=options.get("gan_mode") == "wgangp",
    )
    batches = Batches()
    model.fit(
        3 if steps > 1 else 1,
        schedule="constant",
        clip=max_norm,
        ema=0,
        precision="float32",
        checkpoint=False,
        progress=False,
        callbacks=[batches],
    )
    assert len(batches.seen) == steps
    loop.train(batches.seen)
    theirs = dict(model.pair.named_parameters())
    for name, value in copied.named_parameters():
        layer, kind = copied.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
        # What an instance normalization takes out again has gradients of rounding alone.
        alone = isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and kind == "bias"
        # Second derivatives have more of it, which Adam brings to the size of a step.
        near = (3e-3 if loop.penalty else 1e-7) if alone else 1e-9
        torch.testing.assert_close(theirs[name], value, atol=near, rtol=0, msg=name)
    for name, value in copied.named_buffers():
        torch.testing.assert_close(dict(model.pair.named_buffers())[name], value, msg=name)


def train(chips: Path, folder: Path, epochs: int = 3, **options: Any) -> CycleGAN:
    """Train a small model, always from the same start."""
    torch.manual_seed(0)
    model = CycleGAN(prepare_data(chips, batch_size=2), **SMALL)
    return model.fit(epochs, **{**FIT, "folder": folder, **options})


def assert_alike(one: CycleGAN, other: CycleGAN) -> None:
    """Compare all weights, rows and pools, to the last bit."""
    assert_same(one, other)  # type: ignore[arg-type]
    (mine,), (theirs,) = objectives_of(one.learn), objectives_of(other.learn)
    assert mine.state().keys() == theirs.state().keys() == {"source", "target"}
    for side, images in mine.state().items():
        assert torch.equal(images, theirs.state()[side])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training, beside the folder of its chips."""
    folder = tmp_path_factory.mktemp("begun")
    train(chip_writer(folder)(count=9, size=32), folder / "run", 1)
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("paired", [pytest.param(True, marks=pytest.mark.slow), False])
def test_interrupted_training_ends_with_the_same_weights_and_pools(
    write_chips: WriteChips, tmp_path: Path, paired: bool
) -> None:
    chips = write_chips(count=9, size=32)
    if not paired:
        (chips / "images").rename(chips / "A")
        (chips / "images2").rename(chips / "B")
    whole = train(chips, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(chips, tmp_path / "broken", callbacks=[Interrupt(1)])
    assert_alike(train(chips, tmp_path / "broken", resume=True), whole)
    # A model of the checkpoint goes on as well.
    with pytest.raises(KeyboardInterrupt):
        train(chips, tmp_path / "other", callbacks=[Interrupt(2)])
    data = prepare_data(chips, batch_size=2)
    again = CycleGAN.from_checkpoint(tmp_path / "other", data)
    assert len(again.history) == 2
    assert_alike(again.fit(3, **FIT, folder=tmp_path / "other", resume=True), whole)


def test_pools_are_full_and_have_been_exchanged_when_a_training_is_resumed(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    chips = write_chips(count=9, size=32)
    states = []
    for epochs in (1, 2):
        model = train(chips, tmp_path / "run", epochs, schedule="constant", resume=epochs > 1)
        (losses,) = objectives_of(model.learn)
        states.append(losses.state())
    for side in ("source", "target"):
        assert states[0][side].shape[0] == states[1][side].shape[0] == 3
        alike = [torch.equal(*pair) for pair in zip(*(s[side] for s in states), strict=True)]
        assert not all(alike)


def go_on(chips: Path, folder: Path, epochs: int) -> None:
    train(chips, folder, epochs, resume=True)


@pytest.mark.slow(minutes=0.5)
def test_killed_twice_it_ends_with_the_same_weights_and_pools(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    chips = write_chips(count=9, size=32)
    whole = train(chips, tmp_path / "whole", 10)
    run = tmp_path / "killed"
    chance = np.random.default_rng(0)
    for number in range(2):
        child = Child(tmp_path / f"{number}.txt", go_on, chips, run, 10)
        kill_after_an_epoch(child, run, chance.uniform(0, 0.5))
    assert_alike(train(chips, run, 10, resume=True), whole)


@pytest.mark.parametrize(
    ("side", "spoil", "sentence"),
    [
        ("source", lambda pool: pool[0], "damaged in the state of its objective .*are no images"),
        ("target", lambda pool: pool.int(), "damaged in the state of its objective .*no images"),
        ("target", lambda pool: pool.repeat(2, 1, 1, 1), "state of its objective .*or too many"),
        ("source", lambda pool: pool[:, :, 1:], r"of 3 x 31 x 32 where .* of 3 x 32 x 32\. Remove"),
    ],
)
def test_damaged_pools_are_said(
    begun: Path, tmp_path: Path, side: str, spoil: Any, sentence: str
) -> None:
    run = shutil.copytree(begun, tmp_path / "run")
    with safe_open(run / LAST, "pt") as file:
        tensors, facts = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    name = f"{OBJECTIVE}{side}"
    save_file(tensors | {name: spoil(tensors[name]).contiguous()}, run / LAST, facts)
    with pytest.raises(ModelFileError, match=sentence):
        train(begun.parent / "chips", run, 2, resume=True)


def test_checkpoint_of_another_game_is_refused(write_chips: WriteChips, tmp_path: Path) -> None:
    chips = write_chips(count=5, size=32)
    train(chips, tmp_path / "run", 1)
    for changed in ({"pool_size": 4}, {"lsgan": False}, {"gen_blocks": 2}):
        model = CycleGAN(prepare_data(chips, batch_size=2), **{**SMALL, **changed})
        with pytest.raises(ModelFileError, match="another arguments of the model"):
            model.fit(2, **FIT, folder=tmp_path / "run", resume=True)


@pytest.mark.slow
@pytest.mark.usefixtures("short_lr_find")
def test_search_for_a_rate_leaves_no_image_in_the_pools(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(count=9, size=32), batch_size=2)
    model = CycleGAN(data, **SMALL).fit(1, **FIT, checkpoint=False)
    (losses,) = objectives_of(model.learn)
    weights = copy.deepcopy(model.pair.state_dict())
    pools = {side: images.clone() for side, images in losses.state().items()}
    with model.learn.no_bar():
        assert 1e-8 < model.lr_find() < 10
    assert all(torch.equal(value, weights[n]) for n, value in model.pair.state_dict().items())
    assert losses.state().keys() == pools.keys() == {"source", "target"}
    assert all(torch.equal(value, pools[n]) for n, value in losses.state().items())
    assert len(model.history) == 1


def test_model_can_be_copied_after_a_training(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips(count=5, size=32), batch_size=2)
    model = CycleGAN(data, **SMALL).fit(1, **FIT, checkpoint=False)
    (losses,) = objectives_of(model.learn)
    other = copy.deepcopy(losses)
    assert other.state().keys() == losses.state().keys()


@pytest.mark.slow
def test_targets_of_one_color_are_trained_on(write_chips: WriteChips, write_raster: Any) -> None:
    folder = write_chips(count=5)
    import rasterio

    for path in sorted((folder / "images2").iterdir()):
        with rasterio.open(path) as chip:
            place = chip.transform
        flat = np.full((1, 64, 64), 7, np.float32)
        write_raster(f"chips/images2/{path.name}", flat, transform=place)
    model = CycleGAN(prepare_data(folder, batch_size=2), ngf=4, ndf=4)
    model.fit(2, **FIT, checkpoint=False)
    assert all(parameter.isfinite().all() for parameter in model.pair.parameters())
    assert all(np.isfinite(row["valid_cycle"]) for row in model.history)
