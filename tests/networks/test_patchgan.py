from __future__ import annotations

import pytest
import torch

from geotranslate.networks.patchgan import PatchGAN


def test_parameters_are_those_of_the_reference() -> None:
    count = sum(parameter.numel() for parameter in PatchGAN(6).parameters())
    assert count / 1e6 == pytest.approx(2.769, abs=5e-4)


@pytest.mark.parametrize(("size", "logits"), [(256, 30), (128, 14), (64, 6)])
def test_one_logit_for_every_patch(size: int, logits: int) -> None:
    network = PatchGAN(5, ndf=4)
    found = network(torch.zeros(2, 2, size, size), torch.zeros(2, 3, size, size))
    assert found.shape == (2, 1, logits, logits)


@pytest.mark.parametrize(("n_layers", "field"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_receptive_field_by_perturbation(n_layers: int, field: int) -> None:
    torch.manual_seed(0)
    # Without norm, which spreads every pixel over the image.
    network = PatchGAN(2, ndf=4, n_layers=n_layers, norm="none").double()
    size = 320
    source = torch.rand(1, 1, size, size, dtype=torch.float64)
    target = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    logits = network(source, target)
    middle = logits.shape[-1] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], target)
    touched = gradient[0, 0] != 0
    assert int(touched.any(dim=0).sum()) == int(touched.any(dim=1).sum()) == field
    columns = touched.any(dim=0).nonzero()
    outside, inside = int(columns[0]) - 1, int(columns[0])
    with torch.no_grad():
        for column, changes in ((outside, False), (inside, True)):
            moved = target.clone()
            moved[..., column] += 1
            after = network(source, moved)[0, 0, middle, middle]
            assert bool(after != logits[0, 0, middle, middle]) == changes


def test_source_and_target_are_told_apart() -> None:
    torch.manual_seed(0)
    network = PatchGAN(2, ndf=4).eval()
    one, other = torch.rand(2, 1, 1, 64, 64)
    assert not torch.equal(network(one, other), network(other, one))
