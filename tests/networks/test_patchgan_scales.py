from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.patchgan import MultiscaleDiscriminator, PatchGAN, check_chip_size

NORMS = ("batch", "renorm", "instance", "group", "channel", "none")


def pairs(rows: int, cols: int, images: int = 2) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.rand(images, 2, rows, cols), torch.rand(images, 1, rows, cols)


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_parameters_are_those_of_so_many_discriminators(scales: int) -> None:
    """A log of SPADE, which took it over, says 5.6 million for 19 classes, 3 bands and 2 scales."""
    with torch.device("meta"):
        network, one = MultiscaleDiscriminator(22, scales=scales), PatchGAN(22, norm="instance")
    norms = [m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)]
    found = sum(p.numel() for p in network.parameters())
    assert found == scales * sum(p.numel() for p in one.parameters())
    found -= sum(p.numel() for m in norms for p in m.parameters())
    assert found / scales / 1e6 == pytest.approx(5.6 / 2, abs=0.025)


@pytest.mark.slow_after(30)
@pytest.mark.parametrize("scales", [1, 2, 3])
@pytest.mark.parametrize("n_layers", [0, 1, 3])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("rows", "cols"), [(96, 96), (99, 130)])
def test_logits_of_every_scale_are_those_of_its_discriminator_alone(
    scales: int, n_layers: int, norm: str, rows: int, cols: int
) -> None:
    torch.manual_seed(0)
    network = MultiscaleDiscriminator(3, scales=scales, ndf=2, n_layers=n_layers, norm=norm).eval()
    source, target = pairs(rows, cols)
    with torch.inference_mode():
        found = network(source, target)
        assert len(found) == scales
        for discriminator, logits in zip(network.discriminators, found, strict=True):
            assert torch.equal(discriminator(source, target), logits)
            sides = tuple(side // 2**n_layers - 2 if n_layers else side for side in (rows, cols))
            assert logits.shape == (2, 1, *sides)
            options = {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}
            source, target = F.avg_pool2d(source, **options), F.avg_pool2d(target, **options)
            rows, cols = -(-rows // 2), -(-cols // 2)


@pytest.mark.parametrize("n_layers", [0, 2, 3])
def test_features_are_those_of_every_layer_and_end_in_the_logits(n_layers: int) -> None:
    network = MultiscaleDiscriminator(3, ndf=4, n_layers=n_layers).eval()
    source, target = pairs(64, 64)
    with torch.inference_mode():
        found, logits = network.features(source, target), network(source, target)
    assert [len(features) for features in found] == [n_layers + 2 if n_layers else 3] * 2
    for features, last in zip(found, logits, strict=True):
        assert torch.equal(features[-1], last)
    for large, small in zip(*(features[:-1] for features in found), strict=True):
        assert large.shape[:2] == small.shape[:2]
        assert abs(large.shape[-1] - 2 * small.shape[-1]) <= 2


def test_every_scale_trains_the_translation_and_its_discriminator() -> None:
    network = MultiscaleDiscriminator(3, scales=3, ndf=2, n_layers=2)
    source, target = pairs(64, 64)
    target.requires_grad_(True)
    for discriminator, logits in zip(network.discriminators, network(source, target), strict=True):
        found = torch.autograd.grad(
            logits.square().mean(), [target, *discriminator.parameters()], retain_graph=True
        )
        assert all(gradient.isfinite().all() for gradient in found)
        assert found[0].any() and found[1].any()


@pytest.mark.parametrize(("scales", "field"), [(1, 34), (2, 69), (3, 139)])
def test_patches_are_about_twice_as_wide_at_every_scale_on(scales: int, field: int) -> None:
    """Of the mean over 3 pixels, each scale sees one more than twice the patch."""
    torch.manual_seed(0)
    network = MultiscaleDiscriminator(2, scales=scales, ndf=2, n_layers=2, norm="none").double()
    source, target = torch.rand(2, 1, 1, 256, 512, dtype=torch.float64)
    target.requires_grad_(True)
    logits = network(source, target)[-1]
    middle = logits[0, 0, logits.shape[-2] // 2, logits.shape[-1] // 2]
    (gradient,) = torch.autograd.grad(middle, target)
    assert int((gradient[0, 0] != 0).any(dim=0).sum()) == field


@pytest.mark.parametrize("scales", [1, 2, 3, 4])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_chips_that_leave_no_logit_are_refused_and_one_pixel_more_is_judged(
    scales: int, n_layers: int
) -> None:
    network = MultiscaleDiscriminator(2, scales=scales, ndf=2, n_layers=n_layers)
    least = next(
        side for side in range(1, 1000) if -(-side // 2 ** (scales - 1)) >= 3 * 2**n_layers
    )
    check_chip_size(n_layers, least, scales)
    assert network(*torch.rand(2, 2, 1, least, least))[-1].shape == (2, 1, 1, 1)
    with pytest.raises(
        InvalidInputError,
        match=rf"Chips of {least - 1} px leave no logit .* with n_layers={n_layers}; use "
        rf"chips of {least} px or more",
    ):
        check_chip_size(n_layers, least - 1, scales)
    # Without logits, or without two pixels to normalize before them.
    with pytest.raises((RuntimeError, ValueError)):
        network(*torch.rand(2, 2, 1, least - 1, least - 1))


def test_single_pixels_can_be_judged_at_any_scale() -> None:
    check_chip_size(0, 1, 4)
    found = MultiscaleDiscriminator(2, scales=4, ndf=2, n_layers=0, norm="none")(
        *torch.rand(2, 1, 1, 1, 1)
    )
    assert [logits.shape for logits in found] == [(1, 1, 1, 1)] * 4
