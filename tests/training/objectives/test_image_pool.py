from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from geotranslate.training.objectives import ImagePool


def numbered(first: int, count: int) -> Tensor:
    """Return images `(count, 1, 2, 2)` that are told apart by their value."""
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    return numbers[:, None, None, None].expand(count, 1, 2, 2).clone()


def names(images: Tensor | list[Tensor]) -> list[int]:
    return [int(image[0, 0, 0]) for image in images]


@given(st.integers(0, 7), st.lists(st.integers(1, 4), max_size=12), st.integers(0, 2**31))
def test_what_goes_in_comes_out_or_is_kept(size: int, batches: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    pool, seen = ImagePool(size), 0
    out: Counter[int] = Counter()
    for count in batches:
        images = numbered(seen, count)
        given_out = pool(images)
        assert given_out.shape == images.shape
        for place, name in enumerate(names(given_out)):
            # While it fills and the image is kept, it is handed out too.
            if seen + place < size:
                assert name == seen + place
            out[name] += 1
        seen += count
        assert len(pool.images) == min(size, seen)
    kept = Counter(names(pool.images))
    assert not kept or max(kept.values()) == 1
    # One of the first images is handed out when it comes, and again when it is exchanged.
    for name in range(seen):
        assert out[name] + kept[name] == (2 if name < size else 1)
    assert {*out, *kept} <= {*range(seen)}


def test_a_full_pool_hands_out_new_ones_half_of_the_time_and_old_ones_evenly() -> None:
    torch.manual_seed(0)
    size, rounds = 10, 5_000
    pool = ImagePool(size)
    pool(numbered(0, size))
    new, places = 0, Counter[int]()
    for name in range(size, size + rounds):
        before = names(pool.images)
        (found,) = names(pool(numbered(name, 1)))
        after = names(pool.images)
        if found == name:
            new += 1
            assert after == before
        else:
            (place,) = (i for i in range(size) if after[i] != before[i])
            assert (before[place], after[place]) == (found, name)
            places[place] += 1
    # Within four deviations of what is expected.
    assert abs(new - rounds / 2) < 4 * (rounds / 4) ** 0.5
    expected = (rounds - new) / size
    assert len(places) == size
    assert all(abs(count - expected) < 4 * expected**0.5 for count in places.values())


def test_a_pool_of_none_hands_out_what_comes_and_draws_nothing() -> None:
    pool, before = ImagePool(0), torch.get_rng_state()
    for first in range(0, 12, 4):
        assert torch.equal(pool(numbered(first, 4)), numbered(first, 4))
    assert not pool.images
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("size", [0, 1, 3])
def test_nothing_has_gradients_and_nothing_changes_with_what_came(size: int) -> None:
    torch.manual_seed(0)
    pool = ImagePool(size)
    for first in range(0, 20, 2):
        images = (numbered(first, 2).requires_grad_(True) * 1).mul(1)
        found = pool(images)
        assert not found.requires_grad
        assert not any(image.requires_grad for image in pool.images)
        kept = names(pool.images)
        images.detach().fill_(-1)
        assert names(pool.images) == kept
        assert -1 not in names(found) or not size
