"""The optimizer steps as torch's own Adam does, wherever the weights lie in memory."""

from __future__ import annotations

import copy
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from geotranslate.training.learner import BETAS, make_optimizer

LAST = torch.channels_last


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    one = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.Tanh(), nn.ConvTranspose2d(8, 2, 4, 2, 1))
    return one, copy.deepcopy(one)


@pytest.mark.parametrize("memory", [LAST, torch.contiguous_format], ids=str)
def test_it_steps_as_the_plain_adam(memory: torch.memory_format) -> None:
    ours, theirs = networks()
    ours.to(memory_format=memory)
    optimizer = make_optimizer([list(ours.parameters())], lr=1e-3)
    plain = torch.optim.Adam(theirs.parameters(), 1e-3, BETAS, fused=False, foreach=False)
    for _ in range(5):
        image = torch.randn(2, 3, 16, 16)
        for network in (ours, theirs):
            network(image).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        plain.step()
        plain.zero_grad()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
        if one.dim() == 4:
            assert one.is_contiguous(memory_format=memory)


@pytest.mark.parametrize("moved", ["state", "gradients"])
def test_state_and_gradients_that_lie_otherwise_change_nothing(moved: str) -> None:
    ours, theirs = (network.to(memory_format=LAST) for network in networks())
    one, other = (make_optimizer([list(net.parameters())], lr=1e-3) for net in (ours, theirs))
    for _ in range(3):
        image = torch.randn(2, 3, 16, 16)
        for network, optimizer in ((ours, one), (theirs, other)):
            network(image).square().sum().backward()
            if optimizer is other and moved == "gradients":
                for weight in theirs.parameters():
                    weight.grad = weight.grad.contiguous()
            optimizer.step()
            optimizer.zero_grad()
        if moved == "state":
            state = other.opt.state_dict()
            for values in state["state"].values():
                values.update({name: value.contiguous() for name, value in values.items()})
            other.opt.load_state_dict(state)
    for weight, same in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(weight, same, atol=0, rtol=0)


def test_torch_gets_views_of_the_weights_that_it_need_not_copy() -> None:
    network = networks()[0].to(memory_format=LAST)
    optimizer = make_optimizer([list(network.parameters())], lr=1e-3)
    network(torch.randn(2, 3, 16, 16)).sum().backward()
    seen: list[list[Tensor]] = []

    def look(*lists: list[Tensor], **_: object) -> None:
        seen.extend(lists[:4])

    with mock.patch("torch._fused_adam_", look):
        optimizer.step()
    assert all(tensor.is_contiguous() for tensors in seen for tensor in tensors)
    addresses = {weight.data_ptr() for weight in network.parameters()}
    assert {weight.data_ptr() for weight in seen[0]} == addresses


def test_memory_that_ends_between_two_moments_can_be_followed_by_a_step() -> None:
    network = networks()[0]
    optimizer = make_optimizer([list(network.parameters())], lr=1e-3)
    network(torch.randn(2, 3, 16, 16)).sum().backward()
    zeros, room = torch.zeros_like, iter(range(3))

    def full(tensor: Tensor, **options: Any) -> Tensor:
        if next(room, None) is None:
            raise MemoryError
        return zeros(tensor, **options)

    with mock.patch("torch.zeros_like", full), pytest.raises(MemoryError):
        optimizer.step()
    optimizer.step()
    assert all("exp_avg_sq" in optimizer.opt.state[weight] for weight in network.parameters())
