from __future__ import annotations

import pytest
import torch

from geotranslate.errors import InvalidInputError
from geotranslate.networks.patchgan import PatchGAN, check_chip_size


def test_parameters_are_those_of_the_reference() -> None:
    count = sum(parameter.numel() for parameter in PatchGAN(6).parameters())
    assert count / 1e6 == pytest.approx(2.769, abs=5e-4)


@pytest.mark.parametrize(
    ("size", "n_layers", "logits"),
    [
        *((256, 0, 256), (256, 1, 126), (256, 2, 62), (256, 3, 30), (256, 4, 14), (256, 5, 6)),
        *((128, 3, 14), (64, 3, 6), (90, 2, 20), (65, 0, 65), (96, 5, 1)),
    ],
)
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
def test_one_logit_for_every_patch(size: int, n_layers: int, logits: int, norm: str) -> None:
    network = PatchGAN(5, ndf=4, n_layers=n_layers, norm=norm)
    found = network(torch.zeros(2, 2, size, size), torch.zeros(2, 3, size, size))
    assert found.shape == (2, 1, logits, logits)


@pytest.mark.parametrize(
    ("n_layers", "field"), [(0, 1), (1, 16), (2, 34), (3, 70), (4, 142), (5, 286)]
)
def test_receptive_field_by_perturbation(n_layers: int, field: int) -> None:
    torch.manual_seed(0)
    # Without norm, which spreads every pixel over the image.
    network = PatchGAN(2, ndf=4, n_layers=n_layers, norm="none").double()
    size = 512
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


@pytest.mark.parametrize("n_layers", [1, 2, 3, 4, 5])
def test_chips_that_leave_no_logit_are_refused_and_one_pixel_more_is_judged(n_layers: int) -> None:
    least = 3 * 2**n_layers
    with pytest.raises(
        InvalidInputError, match=rf"Chips of {least - 1} px leave no logit .* of {least} px or more"
    ):
        check_chip_size(n_layers, least - 1)
    check_chip_size(n_layers, least)
    pair = torch.rand(2, 2, 1, least, least)
    assert PatchGAN(2, ndf=2, n_layers=n_layers)(*pair).shape == (2, 1, 1, 1)


@pytest.mark.parametrize("n_layers", [0, 1, 3, 5])
def test_features_are_those_of_every_activation_and_end_in_the_logits(n_layers: int) -> None:
    torch.manual_seed(0)
    network = PatchGAN(3, ndf=4, n_layers=n_layers).eval()
    source, target = torch.rand(1, 1, 128, 128), torch.rand(1, 2, 128, 128)
    [[*features, logits]] = network.features(source, target)
    assert torch.equal(logits, network(source, target))
    widths = [4, 8, 16, 32, 32, 32][: n_layers + 1] if n_layers else [4, 8]
    assert [feature.shape[1] for feature in features] == widths


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_single_images_are_judged_as_pairs_are_whose_bands_lie_together(norm: str) -> None:
    torch.manual_seed(0)
    network = PatchGAN(3, ndf=4, norm=norm).eval()
    image = torch.rand(2, 3, 64, 80)
    assert network(image).shape == (2, 1, 6, 8)
    assert torch.equal(network(image), network(image[:, :1], image[:, 1:]))
    [[*_, logits]] = network.features(image)
    assert torch.equal(logits, network(image))


def test_parameters_of_a_judge_of_single_images_are_those_of_the_reference() -> None:
    network = PatchGAN(3, norm="instance")
    norms = [module for module in network.modules() if isinstance(module, torch.nn.InstanceNorm2d)]
    # Those of the reference have no scale and shift.
    scales = sum(parameter.numel() for norm in norms for parameter in norm.parameters())
    count = sum(parameter.numel() for parameter in network.parameters()) - scales
    assert count / 1e6 == pytest.approx(2.765, abs=5e-4)
