from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geotranslate.errors import TrainingError
from geotranslate.networks.onehot import TwoWay
from geotranslate.networks.resnet import ResNet
from geotranslate.training.reproducibility import compiled


@pytest.fixture
def ways() -> TwoWay:
    torch.manual_seed(0)
    return TwoWay(*(ResNet(a, b, blocks=0, ngf=2) for a, b in ((3, 1), (1, 3)))).eval()


def test_called_it_is_the_way_forth_and_both_ways_are_its_weights(ways: TwoWay) -> None:
    image = torch.rand(2, 3, 20, 24)
    assert torch.equal(ways(image), ways.forth(image))
    assert ways.back(ways(image)).shape == image.shape
    names = {name.split(".")[0] for name, _ in ways.named_parameters()}
    assert names == {"forth", "back"}
    of_both = [*ways.forth.parameters(), *ways.back.parameters()]
    assert [id(one) for one in ways.parameters()] == [id(one) for one in of_both]


def test_both_are_compiled_and_neither_is_when_the_training_is_over(
    ways: TwoWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[nn.Module] = []

    def compiler(call: Any, *args: Any, **options: Any) -> Any:
        def faster(*images: Tensor) -> Tensor:
            called.append(call.__self__)
            return call(*images)

        return faster

    monkeypatch.setattr(torch, "compile", compiler)
    image = torch.rand(1, 3, 16, 16)
    plain = ways.back(ways(image))
    with compiled(ways):
        assert torch.equal(ways.back(ways(image)), plain)
    assert called == [ways.forth, ways.back]
    ways.back(ways(image))
    assert len(called) == 2
    error = torch._dynamo.exc.TorchDynamoException("none")
    with pytest.raises(TrainingError, match="cannot compile the generator"), compiled(ways):
        raise error
    ways.back(ways(image))
    assert len(called) == 2
