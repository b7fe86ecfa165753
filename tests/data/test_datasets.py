from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from geotranslate import prepare_data
from geotranslate.data.dataoptions import Augmentation, PairTransform, turn
from geotranslate.data.datasets import ChipCache, decoded_bytes, resize
from geotranslate.errors import InvalidInputError
from tests.conftest import read_pairs

WriteChips = Callable[..., Path]


def test_the_eight_symmetries_differ_and_the_first_is_the_identity() -> None:
    image = torch.rand(2, 5, 5)
    turned = [turn(image, symmetry) for symmetry in range(8)]
    assert torch.equal(turned[0], image)
    assert len({tuple(part.flatten().tolist()) for part in turned}) == 8
    for part in turned:
        assert torch.equal(part.flatten(1).sort().values, image.flatten(1).sort().values)


def test_turns_change_both_sides_alike() -> None:
    image = torch.rand(2, 6, 6)
    seen = set()
    for _ in range(200):
        source, target = Augmentation()(image, image * 2)
        assert torch.equal(source * 2, target)
        seen.add(tuple(source.flatten().tolist()))
    assert len(seen) == 8


def test_jitter_changes_the_source_within_its_bounds_and_never_the_target() -> None:
    image = torch.linspace(-1, 1, 50).reshape(2, 5, 5)
    changes = []
    for _ in range(50):
        source, target = Augmentation(turns=False, jitter=0.1)(image, image)
        assert torch.equal(target, image)
        changes.append((source - image).abs().max().item())
    assert 0.05 < max(changes) <= 0.2


def test_transform_of_the_user_comes_last() -> None:
    def swap(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return target, source

    one, other = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    assert Augmentation(turns=False, transform=swap)(one, other) == (other, one)


@pytest.mark.parametrize(
    ("transform", "shown"),
    [
        (lambda a, b: None, "NoneType"),
        (lambda a, b: a, r"float32 \(1, 4, 4\)"),
        (lambda a, b: (a, b, b), "float32 .* and float32 .* and float32 .*"),
        (lambda a, b: (a.numpy(), b), r"ndarray and float32 \(2, 4, 4\)"),
        (lambda a, b: (b, a), r"float32 \(2, 4, 4\) and float32 \(1, 4, 4\)"),
        (lambda a, b: (a[:, 1:], b[:, 1:]), r"float32 \(1, 3, 4\) and float32 \(2, 3, 4\)"),
        (lambda a, b: (a.int(), b), r"int32 \(1, 4, 4\) and .*"),
    ],
)
def test_what_a_transform_must_not_return_is_said(transform: PairTransform, shown: str) -> None:
    sentence = (
        rf"^The function transforms returned {shown}; it has to return a source and a target of "
        r"the shapes that it was given, float32 \(1, 4, 4\) and float32 \(2, 4, 4\)\.$"
    )
    with pytest.raises(InvalidInputError, match=sentence):
        Augmentation(transform=transform)(torch.zeros(1, 4, 4), torch.zeros(2, 4, 4))


def test_transforms_may_return_other_precisions() -> None:
    augmentation = Augmentation(transform=lambda a, b: [a.double() + 1, b])
    source, target = augmentation(torch.zeros(1, 4, 4), torch.zeros(2, 4, 4))
    assert source.dtype == target.dtype == torch.float32
    assert (source == 1).all()


@pytest.mark.parametrize("side", [16, 50, 100])
def test_resized_image_keeps_its_values_and_classes(side: int) -> None:
    constant = torch.full((1, 64, 64), 0.25)
    torch.testing.assert_close(
        resize(constant, side, classes=False), torch.full((1, side, side), 0.25)
    )
    classes = torch.randint(0, 3, (1, 64, 64)).float()
    assert set(resize(classes, side, classes=True).unique().tolist()) <= {0, 1, 2}


def test_resized_image_is_nan_where_nan_went_in() -> None:
    image = torch.zeros(1, 64, 64)
    image[:, :32] = torch.nan
    half = resize(image, 32, classes=False)
    assert torch.isnan(half[:, :16]).all()
    assert not torch.isnan(half[:, 18:]).any()


def test_chips_are_decoded_once_while_there_is_room(
    write_chips: WriteChips, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = read_pairs(write_chips(count=4)).pairs
    chips = [chip for pair in pairs for chip in (pair.source, pair.target)]
    decoded = []
    original = type(chips[0]).read
    monkeypatch.setattr(type(chips[0]), "read", lambda chip: decoded.append(chip) or original(chip))
    half = ChipCache(decoded_bytes(chips) // 2)
    for _ in range(3):
        for number, pair in enumerate(pairs):
            for side, chip in (("source", pair.source), ("target", pair.target)):
                data, valid = half.read(side, number, chip)
                np.testing.assert_array_equal(data, original(chip)[0])
                assert valid.all()
    # Two pairs once, two pairs three times, two chips each.
    assert len(decoded) == 2 * (2 + 2 * 3)


def test_memory_changes_no_tensor(write_chips: WriteChips) -> None:
    folder = write_chips()
    kept, read = (prepare_data(folder, memory_mb=mb, num_workers=0) for mb in (100, 0))
    for _ in range(2):
        for one, other in zip(kept.valid, read.valid, strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
