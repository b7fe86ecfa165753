from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from geotranslate.chips.bands.datacard import DataCard, Side
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.errors import GeotranslateError, InvalidInputError
from geotranslate.networks.unet import UNet
from geotranslate.prediction import inference as inference_module
from geotranslate.prediction.inference import Inference
from tests.conftest import values


def make_card() -> DataCard:
    side = Side(
        bands=1,
        dtype="uint8",
        nodata=None,
        band_names=("",),
        indexes=(1,),
        file_bands=1,
        classes=None,
        mean=(3.0,),
        scaling=Scaling.linear((0.0,), (255.0,)),
    )
    return DataCard(side, side, 64, None, None, None, ("a",), ("b",), 1)


class Small(nn.Module):
    """A network on a machine whose memory holds so many tiles."""

    def __init__(self, holds: int) -> None:
        super().__init__()
        self.holds, self.seen = holds, []
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, tiles: Tensor) -> Tensor:
        self.seen.append(len(tiles))
        if len(tiles) > self.holds:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return tiles * self.weight


def unet(norm: str = "batch") -> Inference:
    torch.manual_seed(0)
    network = UNet(1, 1, depth=6, ngf=8, norm=norm)
    return Inference(network, make_card(), network.stride, network.radius)


def on_gpu(network: nn.Module) -> Inference:
    """Return an inference that gives the network whole batches, as on a GPU."""
    inference = Inference(network, make_card(), 8, 4)
    inference.precision = "bfloat16"
    return inference


TILES = values((7, 1, 64, 64), "uint8").astype(np.float32)


@pytest.mark.parametrize("holds", [1, 2, 3, 4, 6, 7, 8])
def test_batches_are_halved_until_they_fit_and_the_size_is_kept(holds: int) -> None:
    network = Small(holds)
    inference = on_gpu(network)
    np.testing.assert_allclose(inference(TILES), TILES, atol=1e-4)
    network.seen.clear()
    inference(TILES)
    assert max(network.seen) <= holds
    assert sum(network.seen) == 7


def test_no_memory_for_a_single_tile_is_one_sentence() -> None:
    with pytest.raises(GeotranslateError, match="does not hold one tile of 64 px; give a smaller"):
        on_gpu(Small(0))(TILES)


@pytest.mark.parametrize(("holds", "expected"), [(1, 1), (5, 4), (31, 16), (32, 32), (200, 64)])
def test_batch_size_is_the_largest_power_of_two_that_a_gpu_holds(
    monkeypatch: pytest.MonkeyPatch, holds: int, expected: int
) -> None:
    inference = on_gpu(Small(holds))
    # No GPU is needed: only where tiles go is different.
    monkeypatch.setattr(inference, "_forward", inference.generator)
    monkeypatch.setattr(Inference, "device", torch.device("meta"))
    assert inference.batch_size(None, 8) == expected


def test_batch_size_is_what_is_wanted_or_8_on_a_cpu() -> None:
    assert unet().batch_size(None, 64) == 8
    assert unet().batch_size(3, 64) == 3
    with pytest.raises(InvalidInputError, match="batch_size is 0; give a whole number of at least"):
        unet().batch_size(0, 64)


def test_in_float32_tiles_pass_the_network_one_by_one_on_the_cpu() -> None:
    network = Small(99)
    Inference(network, make_card(), 8, 4)(TILES)
    assert network.seen == [1] * 7
    network.seen.clear()
    on_gpu(network)(TILES)
    assert network.seen == [7]


def test_bfloat16_differs_little_and_not_at_all_from_itself() -> None:
    inference = unet()
    reduced = inference.at("bfloat16")
    np.testing.assert_allclose(reduced(TILES), inference(TILES), atol=255 / 100)
    np.testing.assert_array_equal(reduced(TILES), reduced(TILES))
    assert inference.precision == "float32"


@pytest.mark.parametrize(("capable", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_where_the_machine_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capable: bool, expected: str
) -> None:
    monkeypatch.setattr(inference_module, "multiplies_bfloat16", lambda device: capable)
    assert unet().at("auto").precision == expected


def test_unknown_precision_is_said() -> None:
    with pytest.raises(InvalidInputError, match="precision is 'half'; give one of float32, bfloat"):
        unet().at("half")


@pytest.mark.parametrize("training", [True, False])
def test_network_is_in_eval_mode_for_every_thread_and_put_back(training: bool) -> None:
    inference = unet()
    network = inference.generator.train(training)
    expected = inference(TILES)
    modes: list[bool] = []
    network.register_forward_hook(lambda module, *_: modes.append(module.training))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: inference(TILES), range(12)):
            np.testing.assert_array_equal(found, expected)
    assert modes and not any(modes)
    assert network.training is training


def test_it_is_sent_to_other_processes() -> None:
    inference = unet()
    again = pickle.loads(pickle.dumps(inference))
    np.testing.assert_array_equal(again(TILES), inference(TILES))
    assert (again.stride, again.radius) == (64, 127)


def test_it_says_how_far_it_sees() -> None:
    assert (unet().stride, unet().radius) == (64, 127)
    assert unet("instance").radius is None
