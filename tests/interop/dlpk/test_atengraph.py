"""Graphs of torch's operators compute the same as the networks that they were traced from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from geotranslate.chips.bands import Scaling
from geotranslate.errors import GeotranslateError
from geotranslate.interop.dlpk.atengraph import aten_graph
from geotranslate.interop.dlpk.GeotranslateTranslation import CPU, TorchNetwork
from geotranslate.interop.onnx.graph import Graph
from geotranslate.interop.onnx.scalinglayers import scaling_layer, unscaling_layer
from geotranslate.networks.backbone import BackboneUNet
from geotranslate.networks.onehot import OneHot, OneHotLayers
from geotranslate.networks.pixel import PixelNetwork, Started
from geotranslate.networks.resnet import LocalEnhancer
from geotranslate.networks.tracing import traceable
from geotranslate.networks.unet import ResUNet, UNet

KNOTS = (0.0, 10.0, 200.0, 255.0)
LEVELS = (-1.0, -0.9, 0.9, 1.0)
FEW = {"ngf": 4}
ENHANCER = {"n_blocks_global": 1, "n_blocks_local": 1, "n_downsample_global": 2, **FEW}
RANGES = [(-1.0, -0.8), (-0.1, 0.1), (0.2, 0.3), (0.8, 1.0)]
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "channel norm, resize": lambda: UNet(
        3, 2, depth=4, norm="channel", upsample="resize", padding="reflect", **FEW
    ),
    "start": lambda: Started(PixelNetwork(3, 2), ResUNet(5, 2, depth=3, bounded=False, **FEW)),
    "coarse to fine": lambda: LocalEnhancer(3, 2, norm="batch", upsample="resize", **ENHANCER),
    "classes": lambda: OneHot(UNet(4, 2, depth=4, **FEW), RANGES),
    "class layers": lambda: OneHotLayers(UNet(5, 2, depth=4, **FEW), ((), RANGES)),
    "backbone": lambda: BackboneUNet("resnet18", 3, 2, **FEW),
}


def translated(folder: Path, graph: Any, weights: dict[str, Any], image: Any) -> Any:
    """Translate by files of a graph and its weights."""
    paths = folder / "graph.json", folder / "weights.npz"
    paths[0].write_text(json.dumps(graph))
    np.savez(paths[1], **weights)
    return TorchNetwork(torch, str(paths[0]), str(paths[1]), CPU)(image)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow(minutes=0.1)) for name in NETWORKS]
)
def test_graph_is_the_network(name: str, tmp_path: Path) -> None:
    network: Any = NETWORKS[name]()
    for weight in network.parameters():
        nn.init.normal_(weight, 0, 0.1)
    bands = {"classes": 1, "class layers": 2}.get(name, 3)
    scaling = scaling_layer(Scaling((KNOTS,) * bands, LEVELS))
    decibels = unscaling_layer(Scaling(((-30.0, -20.0, 3.0, 9.0),) * 2, LEVELS, (1e-3,) * 2))
    module = Graph(scaling, traceable(network), decibels).eval()
    graph, weights = aten_graph(module, bands, network.stride)
    for rows, cols in ((2, 2), (7, 3)):
        shape = (1, bands, rows * network.stride, cols * network.stride)
        image = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
        with torch.inference_mode():
            expected = module(torch.from_numpy(image)).numpy()
        found = translated(tmp_path, graph, weights, image)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_graph_forgets_what_is_done() -> None:
    class Sums(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            first = image * 2
            second = first + image
            return second - 1

    graph, weights = aten_graph(Sums(), 2, 8)
    (product, *_, given), (total, *_, factors), (_, *_, summed) = graph["steps"]
    assert (given, sorted(factors), summed) == ([], sorted([product, graph["input"]]), [total])
    assert not weights


def test_other_operators_are_refused() -> None:
    with pytest.raises(GeotranslateError, match=r"uses fft_fft2\.default.*export the model as"):
        aten_graph(Fourier(), 2, 8)


class Fourier(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft2(image)
