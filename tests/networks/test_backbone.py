from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from geotranslate.errors import InvalidInputError, MissingPackageError
from geotranslate.networks.backbone import BackboneUNet, supported_backbones
from geotranslate.networks.normalization import (
    Around,
    around,
    between_tiles,
    fixed,
    measure,
    measuring,
)
from geotranslate.prediction.inference import frozen

# Depthwise with squeeze and excitation, attention, no features at stride 2; convolutions alone,
# which are large.
KINDS = ["resnet18", "efficientnet-b0", "mit_b0", "tu-convnext_atto"]
LARGE = "vgg11"


def test_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    sentence = r"needs segmentation-models-pytorch.*pip install 'geotranslate\[backbones\]'"
    with pytest.raises(MissingPackageError, match=sentence):
        supported_backbones()
    with pytest.raises(MissingPackageError, match=sentence):
        BackboneUNet("resnet18", 3, 1)


@pytest.fixture
def library() -> None:
    """Skip where the extra `backbones` is not installed."""
    pytest.importorskip("segmentation_models_pytorch")


def small(backbone: str = "resnet18", bands_in: int = 3, **options: object) -> BackboneUNet:
    torch.manual_seed(0)
    return BackboneUNet(backbone, bands_in, 2, ngf=4, **options)


@pytest.mark.usefixtures("library")
def test_backbones_are_listed() -> None:
    assert {"resnet18", "resnet152", "efficientnet-b0", "mit_b0"} <= set(supported_backbones())


@pytest.mark.slow_after(2)
@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("backbone", "bands_in", "size"),
    [
        *(("resnet18", 1, (64, 64)), ("mit_b0", 12, (17, 100))),
        *((backbone, 5, (65, 90)) for backbone in KINDS),
        pytest.param(LARGE, 5, (65, 90), marks=pytest.mark.slow),
    ],
)
def test_any_backbone_bands_and_sizes_train_and_predict(
    backbone: str, bands_in: int, size: tuple[int, int]
) -> None:
    network = small(backbone, bands_in)
    image = torch.rand(2, bands_in, *size) * 2 - 1
    translated = network(image)
    assert translated.shape == (2, 2, *size)
    assert translated.abs().max() <= 1
    translated.sum().backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert all(value is not None for name, value in gradients.items() if "decoder" in name)
    first = next(m for m in network.encoder.modules() if isinstance(m, nn.Conv2d))
    assert first.in_channels == bands_in
    assert first.weight.grad.abs().sum() > 0


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_decoder_has_the_norm_and_the_upsampling(norm: str, upsample: str) -> None:
    network = small(norm=norm, upsample=upsample)
    assert network(torch.rand(1, 3, 64, 64)).shape == (1, 2, 64, 64)
    transposed = [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert len(transposed) == (5 if upsample == "transposed" else 0)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("backbone", "bands_in"),
    [
        *(("resnet18", 3), pytest.param(LARGE, 5, marks=pytest.mark.slow)),
        *((backbone, 5) for backbone in KINDS),
    ],
)
def test_bfloat16_is_near_float32_and_ends_in_its_steps(backbone: str, bands_in: int) -> None:
    network = small(backbone, bands_in, norm="group").eval()
    image = torch.rand(2, bands_in, 64, 64)
    with torch.inference_mode():
        exact = network(image)
        fast = frozen(network, "bfloat16")
        found = fast(image.to(next(fast.parameters()).dtype))
    assert found.dtype == torch.float32
    assert (found != found.bfloat16().float()).any()
    assert (found - exact).abs().mean() < 0.05 * exact.std()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("backbone", ["resnet18", "tu-regnetx_002"])
def test_encoders_take_the_statistics_of_a_scene(backbone: str) -> None:
    """Those of timm have layers that normalize and activate."""
    network, images = small(backbone, norm="instance", dropout=0.0), torch.rand(4, 3, 64, 64)
    statistics = measure(measuring(network, together=True), images, torch.ones(4, 1, 64, 64))[0]

    def whole(size: int) -> torch.Tensor:
        return torch.ones(4, size, 1)

    smooth = between_tiles(network)
    with torch.inference_mode(), around(Around(statistics.expand(4, 1, 1, -1), whole, whole)):
        exact = fixed(network, statistics)(images)
        assert (smooth(images) - exact).abs().max() < 1e-5
        for fast in (fixed(network, statistics), smooth):
            found = frozen(fast, "bfloat16")(images)
            assert (found - exact).abs().mean() < 0.05 * exact.std()


@pytest.mark.usefixtures("library")
def test_unknown_backbones_are_said() -> None:
    for name in (
        "resnet19",
        "tu-nothing",
        "tu-hf-hub:x/y",
        "tu-local-dir:/etc",
        "tu-timm/resnet18",
    ):
        with pytest.raises(InvalidInputError, match=f"'{name}'; give one of supported_backbones"):
            small(name)
    for name in ("tu-swin_tiny_patch4_window7_224", "tu-vit_tiny_patch16_224"):
        with pytest.raises(InvalidInputError, match=f"'{name}', which does not encode images of"):
            small(name)


@pytest.mark.slow_after(2)
@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("backbone", "bands"),
    [*(("resnet18", bands) for bands in (1, 2, 3, 5, 12)), ("tu-resnet18", 5)],
)
def test_encoder_weights_are_spread_over_the_bands(backbone: str, bands: int) -> None:
    former = small("resnet18").encoder
    weights = former.state_dict() | {"fc.weight": torch.rand(9, 512)}
    network = small(backbone, bands)
    network.load_encoder(weights)
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        expected = former.eval()(image.expand(1, 3, 64, 64))
        found = network.encoder.eval()(image.expand(1, bands, 64, 64))
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("library")
def test_encoder_weights_that_do_not_fit_are_named() -> None:
    weights = small().encoder.state_dict()
    with pytest.raises(InvalidInputError, match=r"layer1\.0\.conv1\.weight is missing where"):
        small().load_encoder({k: v for k, v in weights.items() if k != "layer1.0.conv1.weight"})
    with pytest.raises(InvalidInputError, match=r"is 64 x 64 x 3 x 3 where .* needs 64 x 64 x 1"):
        small("resnet50").load_encoder(weights)


@pytest.mark.usefixtures("library")
def test_frozen_encoder_keeps_its_weights_but_those_of_batch_norms() -> None:
    network = small()
    network.freeze()
    norms = {
        id(p)
        for m in network.encoder.modules()
        if isinstance(m, nn.BatchNorm2d)
        for p in m.parameters()
    }
    for parameter in network.encoder.parameters():
        assert parameter.requires_grad == (id(parameter) in norms)
    assert all(parameter.requires_grad for parameter in network.decoder.parameters())
    network.unfreeze()
    assert all(parameter.requires_grad for parameter in network.parameters())
