from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from geotranslate.networks.bicubic import Bicubic, OverBicubic
from geotranslate.networks.edsr import EDSR
from geotranslate.networks.rescaling import rescaled


@pytest.mark.parametrize("times", [2, 3, 4, 8])
def test_enlargement_is_that_of_pil(times: int) -> None:
    image = np.random.default_rng(0).normal(size=(11, 13)).astype(np.float32)
    size = (13 * times, 11 * times)
    expected = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    found = Bicubic(times)(torch.from_numpy(image)[None, None])[0, 0].numpy()
    inside = np.s_[2 * times : -2 * times, 2 * times : -2 * times]  # PIL has another edge
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)


@pytest.mark.parametrize("times", [2, 3, 5])
def test_constants_and_slopes_stay(times: int) -> None:
    rows, cols = np.mgrid[:12, :10].astype(np.float32)
    image = torch.from_numpy(np.stack([np.full_like(rows, 0.7), rows, 3 * cols - rows]))[None]
    found = Bicubic(times)(image)[0].numpy()
    down, across = (
        ((np.arange(n * times) + 0.5) / times - 0.5).astype(np.float32) for n in (12, 10)
    )
    np.testing.assert_allclose(found[0], 0.7, rtol=1e-6)
    inside = np.s_[2 * times : -2 * times, 2 * times : -2 * times]
    expected = np.broadcast_to(down[:, None], found[1].shape)
    np.testing.assert_allclose(found[1][inside], expected[inside], atol=1e-5)
    np.testing.assert_allclose(
        found[2][inside], (3 * across[None] - down[:, None])[inside], atol=1e-5
    )


def network_of(times: int) -> Any:
    return OverBicubic(
        rescaled(
            lambda bands, _: EDSR(2, bands, blocks=2, ngf=4, padding="replicate"),
            2,
            Fraction(times),
            width=4,
            padding="replicate",
            bounded=False,
        ),
        times,
    )


@pytest.mark.parametrize("times", [2, 3, 4])
def test_untrained_it_is_the_enlargement_but_can_learn(times: int) -> None:
    network, image = network_of(times), torch.randn(2, 2, 9, 7)
    found = network(image)
    assert torch.equal(found, Bicubic(times)(image))
    found.square().sum().backward()
    assert network.network.head[1].weight.grad.abs().sum() > 0
    for weight in network.parameters():
        torch.nn.init.normal_(weight, 0, 0.3)
    assert not torch.allclose(network(image), Bicubic(times)(image))


@pytest.mark.parametrize("times", [2, 3])
def test_pixels_beyond_the_radius_do_not_matter(times: int) -> None:
    network = network_of(times)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, 0, 0.3)
    assert (network.stride, network.radius) == (1, 7)
    image, other = torch.rand(2, 2, 2, 21, 21)
    near = np.s_[:, :, 3:18, 3:18]
    other[near] = image[near]
    at = np.s_[:, :, 10 * times : 11 * times, 10 * times : 11 * times]
    with torch.inference_mode():
        torch.testing.assert_close(network(image)[at], network(other)[at])
        other[0, 0, 3, 10] += 1
        assert not torch.allclose(network(image)[at], network(other)[at])
