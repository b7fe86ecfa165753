"""Several processes train as one does whose batches are so many times as large."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import geotranslate
from geotranslate import Pix2Pix, is_main_process, prepare_data
from geotranslate.data.loaders import RANKS, SIZES, TrainDL, everywhere, told
from geotranslate.errors import InvalidInputError, MissingPackageError
from geotranslate.training.callbacks import synchronization
from geotranslate.training.distributed import Processes
from geotranslate.training.run_folder import sole_training
from geotranslate.training.start import start_of
from tests.children import HANGS, Child

WriteChips = Callable[..., Path]
# So few steps leave a network that gives one color.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Epoch .* has collapsed"),
    pytest.mark.filterwarnings("ignore:.*model is not better than"),
]
TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
OPEN_MPI = tuple(f"OMPI_COMM_WORLD_{name}" for name in ("SIZE", "RANK", "LOCAL_RANK"))
SMALL: dict[str, Any] = {"recipe": "seamless", "ngf": 4, "ndf": 4, "norm": "group", "dropout": 0}


def train(
    chips: Path,
    out: Path,
    batch_size: int,
    model: dict[str, Any] = SMALL,
    kind: str = "Pix2Pix",
    data: dict[str, Any] | None = None,
    stop: bool = False,
    spoil: bool = False,
    double: bool = False,
    **fit: Any,
) -> Pix2Pix:
    """Train as a user's script does, and save what each process has."""
    rank = str(told(RANKS) or 0)
    torch.manual_seed(int(rank))
    loaders = prepare_data(chips, batch_size=batch_size, **(data or {"transforms": False}))
    seen = Seen(stop, spoil, double)
    options: dict[str, Any] = {"precision": "float32", "folder": out / "run"}
    translator = getattr(geotranslate, kind)(loaders, **model)
    if double:
        translator.pair.double()
        start = start_of(translator.pair.generator)
        if start is not None:
            start.float()  # as it is whatever the networks compute in
    translator.fit(**{"epochs": 5, **options, "callbacks": [seen], **fit})
    translator.save(out / f"model{rank}")
    translator.save(out / "model")
    (out / f"seen{rank}.json").write_text(json.dumps([seen.epochs, translator.history, seen.seeds]))
    return translator


class Seen(Callback):
    """Notes pairs that a process trains on, by a sum of their source, and seeds of its numbers."""

    order = 60

    def __init__(self, stop: bool, spoil: bool, double: bool) -> None:
        self.epochs: list[list[float]] = []
        self.seeds: list[int] = []
        self.stop, self.spoil, self.double = stop, spoil, double

    def before_train(self) -> None:
        self.epochs.append([])
        self.seeds.append(torch.initial_seed())

    def before_batch(self) -> None:
        if self.spoil and self.iter == len(self.dl) - 1:
            self.learn.xb = (self.xb[0] * float("nan"),)
        if self.double:
            self.learn.xb, self.learn.yb = ((side[0].double(),) for side in (self.xb, self.yb))

    def after_batch(self) -> None:
        # As fastai's table wants it.
        self.learn.loss = self.learn.loss.float()
        if self.training:
            self.epochs[-1] += [round(float(one.double().sum()), 2) for one in self.xb[0]]
            if self.stop and self.learn.epoch == 2:
                raise KeyboardInterrupt


SCRIPT = """
import json, sys
from pathlib import Path
from tests.training.test_distributed import train

chips, out, options = sys.argv[1:]
train(Path(chips), Path(out), **json.loads(options))
"""


# Another process may be given a port that the system picks before the training takes it. The system
# picks none of these, and each process that tests has its own.
PORTS = iter(range(15_000 + 500 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), 32_000))


def free_port() -> int:
    for port in PORTS:
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def train_with(chips: Path, out: Path, options: dict[str, Any]) -> None:
    train(chips, out, **options)


def start(
    chips: Path, out: Path, options: list[dict[str, Any]], names: Sequence[str] = TORCHRUN
) -> list[Child]:
    """Start a training for each of the options, as a launcher does."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    running = []
    for rank, own in enumerate(options):
        numbers = dict(zip(names, map(str, (len(options), rank, rank)), strict=True))
        log = out / f"said{rank}.txt"
        running.append(Child(log, train_with, chips, out, own, **common, **numbers))
    return running


def train_together(
    chips: Path,
    out: Path,
    *,
    fails: bool = False,
    own: dict[int, dict[str, Any]] | None = None,
    names: Sequence[str] = TORCHRUN,
    **options: Any,
) -> list[str]:
    """Train in two processes; return what they print."""
    out.mkdir(exist_ok=True)
    running = start(chips, out, [options | (own or {}).get(rank, {}) for rank in range(2)], names)
    try:
        said = [one.output() for one in running]
    finally:
        for one in running:
            one.kill()
    assert all(bool(one.exit_code) == fails for one in running), "\n".join(said)
    return said


def weights(out: Path, rank: int = 0) -> dict[str, torch.Tensor]:
    return load_file(out / f"model{rank}" / "model.safetensors")


def assert_close(one: Path, other: Path, tolerance: float = 1e-9) -> None:
    theirs = weights(other)
    for name, value in weights(one).items():
        torch.testing.assert_close(value, theirs[name], atol=tolerance, rtol=0, msg=name)


@pytest.fixture
def accelerate() -> None:
    pytest.importorskip("accelerate")


@pytest.mark.usefixtures("accelerate")
@pytest.mark.parametrize(
    ("model", "fit"),
    [
        pytest.param({}, {"ema": 0.9, "double": True}, marks=pytest.mark.slow),
        pytest.param(
            {"lambda_gan": 0}, {"schedule": "one_cycle", "double": True}, marks=pytest.mark.slow
        ),
        pytest.param(
            {"perceptual_loss": True, "gan_mode": "lsgan"},
            {"accumulate": 2, "clip": 1.0, "double": True},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"recipe": "measurement"},
            {"schedule": "constant", "double": True},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"recipe": "picture"}, {"schedule": "constant", "double": True}, marks=pytest.mark.slow
        ),
    ],
)
def test_two_processes_equal_one_with_the_doubled_batch(
    write_chips: WriteChips, tmp_path: Path, model: dict[str, Any], fit: dict[str, Any]
) -> None:
    chips = write_chips(count=10)
    options = {"model": SMALL | model, "epochs": 4, **fit}
    (tmp_path / "one").mkdir()
    whole = train(chips, tmp_path / "one", 4, **options, progress=False)
    said = train_together(chips, tmp_path / "two", batch_size=2, **options)
    # In double precision: where a gradient is next to nothing, Adam makes rounding large.
    assert_close(tmp_path / "one", tmp_path / "two")
    first, second = (weights(tmp_path / "two", rank) for rank in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    [(left, rows, _), (right, others, _)] = (
        json.loads((tmp_path / "two" / f"seen{rank}.json").read_text()) for rank in range(2)
    )
    alone = json.loads((tmp_path / "one" / "seen0.json").read_text())[0]
    for mine, others_share, all_pairs in zip(left, right, alone, strict=True):
        assert len(mine) == 4
        assert sorted(mine + others_share) == sorted(all_pairs)
    # As text, in which nan is nan.
    assert json.dumps(rows) == json.dumps(others)
    for row, expected in zip(rows, whole.history, strict=True):
        assert row == pytest.approx(expected, rel=1e-3, nan_ok=True)
    assert "valid_l1" in said[0]
    assert "valid_l1" not in said[1]


@pytest.mark.slow
@pytest.mark.usefixtures("accelerate")
def test_two_processes_with_four_networks_equal_one_with_the_doubled_batch(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    chips = write_chips(count=10)
    model = {"gen_blocks": 1, "ngf": 2, "ndf": 2, "norm": "group", "pool_size": 0}
    options = {"kind": "CycleGAN", "model": model, "double": True}
    (tmp_path / "one").mkdir()
    train(chips, tmp_path / "one", 4, **options, progress=False)
    train_together(chips, tmp_path / "two", batch_size=2, **options)
    assert_close(tmp_path / "one", tmp_path / "two")


@pytest.mark.usefixtures("accelerate")
@pytest.mark.parametrize(
    "launcher", [pytest.param(name, marks=pytest.mark.slow) for name in ("accelerate", "torchrun")]
)
def test_launchers_start_the_same_script(
    write_chips: WriteChips, tmp_path: Path, launcher: str
) -> None:
    chips = write_chips(count=10)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    train(chips, tmp_path / "one", 4, double=True, progress=False)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = {
        "accelerate": (
            "accelerate.commands.launch --multi_gpu --num_machines=1 --num_processes=2 "
            f"--mixed_precision=no --dynamo_backend=no --main_process_port={free_port()}"
        ),
        "torchrun": (
            "torch.distributed.run --nproc-per-node=2 --master-addr=127.0.0.1 "
            f"--master-port={free_port()}"
        ),
    }[launcher].split()
    arguments = [
        str(script),
        str(chips),
        str(tmp_path / "two"),
        json.dumps({"batch_size": 2, "double": True}),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two" / "model1").is_dir()
    assert len(Pix2Pix.from_model(tmp_path / "two" / "model").history) == 5
    assert_close(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.usefixtures("accelerate")
def test_processes_of_mpi_train_together_too(write_chips: WriteChips, tmp_path: Path) -> None:
    chips = write_chips(count=10)
    (tmp_path / "one").mkdir()
    train(chips, tmp_path / "one", 4, double=True, progress=False)
    said = train_together(chips, tmp_path / "two", names=OPEN_MPI, batch_size=2, double=True)
    assert_close(tmp_path / "one", tmp_path / "two")
    assert "valid_l1" not in said[1]


@pytest.mark.slow
@pytest.mark.usefixtures("accelerate")
@pytest.mark.parametrize(
    ("kind", "model"),
    [("Pix2Pix", {}), ("CycleGAN", {"gen_blocks": 1, "norm": "batch", "pool_size": 3})],
)
def test_interrupted_training_ends_with_the_same_weights(
    write_chips: WriteChips, tmp_path: Path, kind: str, model: dict[str, Any]
) -> None:
    """Also with what each process has of its own: batch statistics, random numbers, pools."""
    options: dict[str, Any] = {"batch_size": 2, "kind": kind, "epochs": 3}
    options["model"] = {"ngf": 4, "ndf": 4, **model}
    options["data"] = {"jitter": 0.1}
    chips = write_chips(count=10)
    train_together(chips, tmp_path / "whole", **options)
    train_together(chips, tmp_path / "broken", **options, stop=True, fails=True)
    assert not (tmp_path / "broken" / "model0").exists()
    train_together(chips, tmp_path / "broken", **options, resume=True)
    whole = weights(tmp_path / "whole")
    for rank in range(2):
        for name, value in weights(tmp_path / "broken", rank).items():
            assert torch.equal(value, whole[name]), name
    first, second = (
        json.loads((tmp_path / "whole" / f"seen{rank}.json").read_text())[2] for rank in range(2)
    )
    assert not set(first) & set(second)
    assert len(set(second)) == 3
    rows = (tmp_path / "broken" / "run" / "history.csv").read_text().splitlines()
    assert len(rows) == 4


@pytest.mark.slow
@pytest.mark.usefixtures("accelerate")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_in_half_precision_all_have_the_same_weights(
    write_chips: WriteChips, tmp_path: Path, precision: str
) -> None:
    train_together(write_chips(count=10), tmp_path, batch_size=2, precision=precision, epochs=3)
    first, second = (weights(tmp_path, rank) for rank in range(2))
    for name, value in first.items():
        assert torch.isfinite(value).all()
        assert torch.equal(value, second[name]), name


@pytest.mark.slow
@pytest.mark.usefixtures("accelerate")
def test_checkpoint_that_not_all_see_is_refused(write_chips: WriteChips, tmp_path: Path) -> None:
    chips = write_chips(count=10)
    own = {rank: {"folder": str(tmp_path / f"disk{rank}")} for rank in range(2)}
    (tmp_path / "one").mkdir()
    train(chips, tmp_path / "one", 4, progress=False, **{**own[0], "epochs": 2})
    said = train_together(chips, tmp_path, own=own, fails=True, batch_size=2, resume=True)
    for words in said:
        assert "checkpoints after 2, 0 epochs; give a folder on a disk that all" in words


@pytest.mark.slow
@pytest.mark.usefixtures("accelerate")
def test_folder_of_another_training_is_refused_by_all(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    chips = write_chips(count=10)
    with sole_training(tmp_path / "run"):
        said = train_together(chips, tmp_path, fails=True, batch_size=2, epochs=1)
    for words in said:
        assert "Another training is writing to" in words
    train_together(chips, tmp_path, batch_size=2, epochs=1)


@pytest.mark.slow
@pytest.mark.usefixtures("accelerate")
def test_too_few_pairs_for_all_are_said(write_chips: WriteChips, tmp_path: Path) -> None:
    said = train_together(write_chips(count=10), tmp_path, fails=True, batch_size=5)
    for words in said:
        assert (
            "There are 9 training pairs but 2 processes with batches of 5 take 10 a step" in words
        )


@pytest.mark.slow
@pytest.mark.usefixtures("accelerate")
def test_losses_that_are_not_finite_in_one_process_end_all(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    own = {1: {"spoil": True}}
    said = train_together(write_chips(count=10), tmp_path, own=own, fails=True, batch_size=2)
    for words in said:
        assert "The losses are not finite in epoch 1" in words


def launch(monkeypatch: pytest.MonkeyPatch, rank: int | None, count: int = 2) -> None:
    """Make the environment of a process of a launcher."""
    monkeypatch.setenv("WORLD_SIZE", str(count))
    for name in ("RANK", "LOCAL_RANK"):
        if rank is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, str(rank))


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SIZES, *RANKS):
        monkeypatch.delenv(name, raising=False)
    assert Processes.join(torch.device("cpu")) == Processes(0, 1)
    assert Processes().callbacks([]) == []
    assert Processes().agreed(3) == 3
    assert everywhere(True) and not everywhere(False)
    assert is_main_process()


def test_the_main_process_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in range(3):
        launch(monkeypatch, rank, 3)
        assert is_main_process() == (rank == 0)


def test_missing_accelerate_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, 0)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    sentence = r"2 processes of a launcher needs accelerate.*'geotranslate\[distributed\]'"
    with pytest.raises(MissingPackageError, match=sentence):
        Processes.join(torch.device("cpu"))


@pytest.mark.usefixtures("accelerate")
def test_a_number_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    launch(monkeypatch, None)
    with pytest.raises(InvalidInputError, match=r"this one has no number .*unset WORLD_SIZE"):
        Processes.join(torch.device("cpu"))


def test_rates_are_found_in_one_process(
    write_chips: WriteChips, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Pix2Pix(prepare_data(write_chips(), batch_size=2), **SMALL)
    launch(monkeypatch, 0)
    with pytest.raises(InvalidInputError, match="lr_find runs in one process, not in 2"):
        model.lr_find()


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 40))
def test_shares_are_the_batches_of_one_process(count: int, batch: int, more: int) -> None:
    pairs = count * batch + more
    whole = loader(pairs, batch * count)
    expected = [sorted(values.tolist()) for values in whole]
    shares = []
    for rank in range(count):
        data = DataLoaders(loader(pairs, batch), loader(1, 1))
        with Processes(rank, count).sharing(data):
            assert len(data.train) == len(whole)
            shares.append([values.tolist() for values in data.train])
        assert len(data.train) == pairs // batch
    together = [sorted(chain(*parts)) for parts in zip(*shares, strict=True)]
    assert together == expected


def loader(pairs: int, batch_size: int) -> TrainDL:
    """Return a loader of numbers in the order of a seed."""
    made = TrainDL(list(range(pairs)), bs=batch_size, shuffle=True, drop_last=True, num_workers=0)
    made.rng = random.Random(0)
    return made


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=8), st.integers(1, 40))
def test_buckets_change_every_tensor_alike(sizes: list[tuple[int, bool]], room: int) -> None:
    tensors = [
        torch.arange(size).to(torch.float64 if double else torch.float32) for size, double in sizes
    ]
    expected = [tensor * 2 for tensor in tensors]
    with pytest.MonkeyPatch.context() as small:
        small.setattr(synchronization, "BUCKET", room)
        synchronization._in_buckets(tensors, lambda values: values.mul_(2))
    for tensor, wanted in zip(tensors, expected, strict=True):
        assert torch.equal(tensor, wanted)


def test_buckets_keep_the_layout_of_images() -> None:
    tensor = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    expected = tensor + 1
    synchronization._in_buckets([tensor], lambda values: values.add_(1))
    assert torch.equal(tensor, expected)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
