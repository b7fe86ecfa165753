"""Law: no checkpoint does anything but go on right or end in one sentence."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastai.data.core import DataLoaders
from safetensors.torch import load, save

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import ModelFileError, TrainingError
from geotranslate.training.checkpoints import BEFORE, LAST
from tests.conftest import chip_writer
from tests.translators.hostile import CARDS, WEIGHTS
from tests.wrong_values import assert_one_sentence, only_our_errors

SMALL = {"ngf": 4, "ndf": 4, "depth": 4}


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DataLoaders]:
    """Return the folder of a training and its data."""
    folder = tmp_path_factory.mktemp("checkpoints")
    data = prepare_data(chip_writer(folder)(count=5), batch_size=2)
    Pix2Pix(data, **SMALL).fit(1, folder=folder / "run", progress=False, precision="float32")
    return folder / "run", data


@pytest.fixture
def trained(training: tuple[Path, DataLoaders], tmp_path: Path) -> tuple[Path, DataLoaders]:
    """Return a copy of the folder, which a test may change, and the data."""
    folder, data = training
    return shutil.copytree(folder, tmp_path / "training"), data


def facts_of(content: bytes) -> Any:
    """Return the facts of a checkpoint."""
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["facts"])


def as_everywhere(content: bytes) -> bytes:
    """Return a checkpoint whose bytes are the same whatever the machine and the versions.

    Weights and measured values differ in their last digits from machine to machine.
    """
    known = facts_of(content)
    facts = json.loads(json.dumps(known), parse_float=lambda digits: float(f"{float(digits):.2g}"))
    facts["card"] |= {
        "data": known["card"]["data"],
        "versions": dict.fromkeys(known["card"]["versions"], "1.0"),
    }
    chance = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.rand(value.shape, generator=chance) if value.is_floating_point() else value
        for name, value in sorted(load(content).items())
    }
    return save(tensors, metadata={"facts": json.dumps(facts)})


def with_facts(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return a checkpoint whose facts, which are JSON, are changed."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    facts = change(header["__metadata__"]["facts"].encode())
    header["__metadata__"]["facts"] = facts.decode("utf-8", "replace")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def mutated(content: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return rng.choice(WEIGHTS)(content, rng)
    return with_facts(content, lambda facts: rng.choice(CARDS)(facts, rng))


def outcome(folder: Path, data: DataLoaders, content: bytes) -> bool:
    """Return whether a training goes on from a checkpoint."""
    (folder / LAST).write_bytes(content)
    (folder / BEFORE).unlink(missing_ok=True)
    try:
        Pix2Pix.from_checkpoint(folder, data)
        again = Pix2Pix(data, **SMALL)
        again.fit(2, folder=folder, progress=False, precision="float32", resume=True)
    except (ModelFileError, TrainingError) as error:
        assert_one_sentence(str(error))
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "count"), [(0, 12), pytest.param(1000, 200, marks=pytest.mark.slow(minutes=1))]
)
def test_mutations_go_on_or_are_refused(
    trained: tuple[Path, DataLoaders], first: int, count: int
) -> None:
    folder, data = trained
    content = as_everywhere((folder / LAST).read_bytes())
    assert outcome(folder, data, content)
    numbers = range(first, first + count)
    went_on = [outcome(folder, data, mutated(content, random.Random(n))) for n in numbers]
    assert not all(went_on)


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"epochs": -1}, r"checkpoint\.epochs is -1"),
        ({"epochs": True}, r"checkpoint\.epochs is True"),
        ({"best": []}, r"checkpoint\.best has 0 values"),
        ({"frozen": 5}, r"checkpoint\.frozen is 5"),
        ({"ema": "x"}, r"checkpoint\.ema is 'x'"),
        ({"groups": [5]}, r"checkpoint\.groups\[0\] is 5"),
        ({"groups": []}, "other networks"),
        ({"groups": [{"betas": 0}]}, r"checkpoint\.groups\[0\]\.betas is 0; give a list"),
        ({"groups": [{"betas": [0.5, 1]}]}, r"checkpoint\.groups\[0\]\.betas\[1\] is 1"),
        ({"groups": [{"betas": [0.5]}]}, r"checkpoint\.groups\[0\]\.betas has 1 values; give 2"),
        ({"groups": [{"lr": [1]}]}, r"checkpoint\.groups\[0\]\.lr is \[1\]"),
        ({"groups": [{"params": 3}]}, r"checkpoint\.groups\[0\]\.params is 3"),
        ({"groups": [{"lambd": {}}]}, r"checkpoint\.groups\[0\]\.lambd is \{\}"),
        ({"random": {}}, r"checkpoint\.random\.\w+ is missing"),
        ({"random": {"numpy": [], "python": [], "order": []}}, "damaged in its random numbers"),
        ({"card": 5}, r"checkpoint\.card is 5"),
        ({"card": {}}, r"card\.\w+ is missing"),
        ({"x": 5}, "has an entry 'x'"),
    ],
)
def test_wrong_facts_are_named(
    trained: tuple[Path, DataLoaders], entries: dict[str, Any], sentence: str
) -> None:
    folder, data = trained
    content = (folder / LAST).read_bytes()
    changed = with_facts(content, lambda facts: json.dumps(json.loads(facts) | entries).encode())
    (folder / LAST).write_bytes(changed)
    with pytest.raises(ModelFileError, match=sentence):
        Pix2Pix.from_checkpoint(folder, data)


@pytest.mark.parametrize(
    "options", [{"pretrained_path": "/etc"}, {"backbone": "tu-hf-hub:x/y"}, {"ngf": 1000}]
)
def test_card_of_a_checkpoint_leads_nowhere(
    trained: tuple[Path, DataLoaders], options: dict[str, Any]
) -> None:
    folder, data = trained

    def change(text: bytes) -> bytes:
        facts = json.loads(text)
        facts["card"]["options"] |= options
        return json.dumps(facts).encode()

    (folder / LAST).write_bytes(with_facts((folder / LAST).read_bytes(), change))
    with only_our_errors(), pytest.raises(ModelFileError):
        Pix2Pix.from_checkpoint(folder, data)
