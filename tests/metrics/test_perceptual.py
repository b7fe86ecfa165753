from __future__ import annotations

import math
import socket
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from geotranslate.errors import InvalidInputError
from geotranslate.metrics import perceptual
from geotranslate.metrics.measures import Measures
from tests.metrics.cases import in_units, pair, side


@pytest.fixture(autouse=True)
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of weights, on a machine without a network."""

    def refuse(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights of AlexNet as they are drawn."""
    torch.manual_seed(0)
    file = torchvision.models.AlexNet_Weights.DEFAULT.url.rsplit("/", 1)[1]
    path = tmp_path_factory.mktemp("weights") / file
    network = torchvision.models.alexnet(weights=None)
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def alexnet(checkpoints: Path, weights: Path) -> None:
    """Put the weights where those of torchvision should be."""
    (checkpoints / weights.name).symlink_to(weights)


@pytest.fixture
def small_fid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a small network of the FID's, whose weights take a tenth of a gigabyte."""

    class Features(nn.Module):
        num_features = 12

        def forward(self, images: Tensor) -> Tensor:
            assert images.dtype == torch.uint8
            return nn.functional.adaptive_avg_pool2d(images.double(), 2).flatten(1)

    monkeypatch.setattr(perceptual, "_fid", lambda: FrechetInceptionDistance(feature=Features()))


@pytest.mark.parametrize("name", ["lpips", "fid"])
def test_missing_weights_are_said_and_never_fetched(name: str) -> None:
    if name == "fid":
        pytest.importorskip("torch_fidelity")
    with pytest.raises(
        InvalidInputError, match=rf"{name} needs the weights .*\.pth, which are not"
    ):
        Measures(side(3), [name])


@pytest.mark.parametrize("name", ["lpips", "fid"])
def test_missing_packages_are_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "find_spec", lambda _: None)
    with pytest.raises(InvalidInputError, match=rf"{name} needs torchmetrics and .*; run pip inst"):
        Measures(side(3), [name])


def test_neither_is_measured_unless_it_is_asked_for() -> None:
    assert not {"lpips", "fid"} & {*Measures(side(3)).names}


@pytest.mark.usefixtures("alexnet")
@pytest.mark.parametrize("dtype", ["uint8", pytest.param("float32", marks=pytest.mark.slow)])
def test_lpips_is_that_of_torchmetrics(dtype: str) -> None:
    known = side(3, dtype)
    prediction, target = pair((3, 3, 64, 64))
    measures = Measures(known, ["lpips"])
    measures.add(prediction[:2], target[:2])
    measures.add(prediction[2:], target[2:])
    expected = LearnedPerceptualImagePatchSimilarity("alex", normalize=True)
    span = known.scaling.high[0]
    expected.update(*(each.float() / span for each in in_units(known, prediction, target)))
    assert measures.results()["lpips"] == pytest.approx(float(expected.compute()), abs=1e-6)


@pytest.mark.usefixtures("small_fid")
def test_fid_is_that_of_torchmetrics() -> None:
    prediction, target = pair((30, 3, 16, 16))
    measures = Measures(side(3), ["fid"])
    for start in range(0, 30, 10):
        measures.add(prediction[start : start + 10], target[start : start + 10])
    expected = perceptual._fid()
    for images, real in ((target, True), (prediction, False)):
        expected.update(((images + 1) * 127.5).round().byte(), real=real)
    assert measures.results()["fid"] == pytest.approx(float(expected.compute()), rel=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("alexnet", "small_fid")
def test_invalid_pixels_are_the_same_in_both() -> None:
    prediction, target = pair((20, 3, 40, 40), gaps=0.2)
    found = []
    for fill in (-1.0, 1.0, math.nan):
        measures = Measures(side(3), ["lpips", "fid"])
        measures.add(torch.where(target.isnan(), fill, prediction), target)
        found.append(measures.results())
    assert found[0] == found[1] == found[2]


@pytest.mark.usefixtures("alexnet", "small_fid")
def test_equal_images_look_alike() -> None:
    _, target = pair((20, 3, 40, 40), gaps=0.2)
    target = ((target + 1) * 127.5).round() / 127.5 - 1
    measures = Measures(side(3), ["lpips", "fid"])
    measures.add(target, target)
    found = measures.results()
    assert found["lpips"] == 0
    assert found["fid"] == pytest.approx(0, abs=1e-3)


@pytest.mark.usefixtures("alexnet", "small_fid")
def test_what_cannot_be_seen_is_not_a_number() -> None:
    measures = Measures(side(3), ["lpips", "fid"])
    prediction, target = pair((1, 3, 20, 20))
    measures.add(prediction, target)
    measures.add(prediction, torch.full_like(target, math.nan))
    found = measures.results()
    assert math.isnan(found["lpips"])
    assert math.isnan(found["fid"])
