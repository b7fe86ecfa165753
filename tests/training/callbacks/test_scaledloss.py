from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.training.objectives import masked_l1, scaled_l1


@given(st.integers(0, 2**31), st.sampled_from([1, 2, 4]), st.integers(4, 11))
def test_loss_is_that_of_sums_of_blocks(seed: int, scale: int, side: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    one, other = (torch.rand(2, 3, side, side, generator=chance) for _ in range(2))
    hidden = torch.rand(2, 1, side, side, generator=chance) < 0.3
    target = other.masked_fill(hidden, torch.nan)
    apart = (one - other).masked_fill(hidden, 0)
    total = sum(
        float(apart[..., row : row + scale, col : col + scale].sum((2, 3)).abs().sum())
        for row in range(0, side, scale)
        for col in range(0, side, scale)
    )
    expected = torch.tensor(total / (3 * int((~hidden).sum()) or 1))
    torch.testing.assert_close(scaled_l1(one, target, scale), expected, rtol=1e-4, atol=1e-6)
    if scale == 1:
        torch.testing.assert_close(scaled_l1(one, target, 1), masked_l1(one, target))
