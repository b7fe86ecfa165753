from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError, MissingPackageError, ModelFileError
from geotranslate.networks.backbone import supported_backbones

WriteChips = Callable[..., Path]
SMALL = {"ngf": 4, "ndf": 4}


@pytest.fixture
def chips(write_chips: WriteChips) -> Path:
    return write_chips(count=5)


def weights(network: torch.nn.Module) -> dict[str, Tensor]:
    return {
        name: value.clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("ema", [0, None])
def test_training_starts_from_what_a_saved_model_translates_with(
    chips: Path, tmp_path: Path, ema: float | None
) -> None:
    data = prepare_data(chips)
    former = Pix2Pix(data, **SMALL).fit(1, ema=ema, checkpoint=False, progress=False)
    folder = former.save(tmp_path / "model")
    for path in (folder, folder / "card.json"):
        model = Pix2Pix(data, pretrained_path=path, gan_mode="hinge", dropout=0, **SMALL)
        assert model.pair.average is None
        assert equal(weights(model.pair.generator), weights(former.pair.translating))
        assert equal(weights(model.pair.discriminator), weights(former.pair.discriminator))
        assert all(parameter.requires_grad for parameter in model.pair.parameters())
        assert "pretrained_path" not in model.options
    model.fit(1, checkpoint=False, progress=False)
    assert not equal(weights(model.pair.generator), weights(former.pair.translating))


def test_models_with_and_without_discriminator_start_from_each_other(
    chips: Path, tmp_path: Path
) -> None:
    data = prepare_data(chips)
    game, plain = (Pix2Pix(data, lambda_gan=weight, **SMALL) for weight in (1, 0))
    for former, options in ((game, {"lambda_gan": 0}), (plain, {})):
        folder = former.save(tmp_path / f"model{len(options)}")
        model = Pix2Pix(data, pretrained_path=folder, **options, **SMALL).fit(
            1, checkpoint=False, progress=False
        )
        assert (model.pair.discriminator is None) == bool(options)
        again = Pix2Pix(data, pretrained_path=folder, **options, **SMALL)
        assert equal(weights(again.pair.generator), weights(former.pair.generator))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ngf": 8}, "The generator of .* has other weights .*: ngf is 4 there and 8 here"),
        ({"norm": "group"}, "norm is batch there and group here"),
        (
            {"norm": "none", "upsample": "transposed"},
            "norm is batch .*, upsample is resize there and transposed here",
        ),
        ({"n_layers": 2}, "The discriminator of .*: n_layers is 3 there and 2 here"),
        ({"ndf": 5}, "The discriminator of .*: ndf is 4 there and 5 here"),
    ],
)
def test_what_does_not_fit_is_named(
    chips: Path, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    data = prepare_data(chips)
    folder = Pix2Pix(data, **SMALL).save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=sentence):
        Pix2Pix(data, pretrained_path=folder, **{**SMALL, **options})


def test_other_bands_and_chip_sizes_are_named(write_chips: WriteChips, tmp_path: Path) -> None:
    folder = Pix2Pix(prepare_data(write_chips(count=3)), **SMALL).save(tmp_path / "model")
    data = prepare_data(write_chips(count=3, size=128, source=(5, "uint8")))
    sentence = r"depth is 6 there and 7 here, source bands is 3 there and 5 here\. Give"
    with pytest.raises(ModelFileError, match=sentence):
        Pix2Pix(data, pretrained_path=folder, **SMALL)


def test_files_that_are_no_weights_are_said(chips: Path, tmp_path: Path) -> None:
    data = prepare_data(chips)
    path = tmp_path / "encoder.pth"
    path.write_bytes(b"nothing")
    with pytest.raises(InvalidInputError, match="is no folder of a saved model; give one, or say"):
        Pix2Pix(data, pretrained_path=path, **SMALL)
    with pytest.raises(ModelFileError, match=r"is not a model of geotranslate: card\.json is"):
        Pix2Pix(data, pretrained_path=tmp_path, **SMALL)
    pytest.importorskip("segmentation_models_pytorch")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"model": print}, tmp_path / "code.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x00")
    for name in ("encoder.pth", "list.pth", "code.pth", "cut.safetensors", "missing.pth"):
        with pytest.raises(
            ModelFileError, match=rf"No weights can be read from .*{name} \(.+\); g"
        ):
            Pix2Pix(data, backbone="resnet18", pretrained_path=tmp_path / name, **SMALL)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_encoder_from_a_file_starts_frozen_until_unfreeze(
    chips: Path, tmp_path: Path, suffix: str
) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    data = prepare_data(chips)
    former = Pix2Pix(data, backbone="resnet18", **SMALL).pair.generator.encoder
    path = tmp_path / f"encoder.{suffix}"
    (torch.save if suffix == "pth" else save_file)(weights(former), path)
    model = Pix2Pix(data, backbone="resnet18", pretrained_path=path, **SMALL)
    encoder = model.pair.generator.encoder
    assert equal(weights(encoder), weights(former))
    for trained in (False, True):
        if trained:
            model.unfreeze()
        before = weights(encoder)
        decoder = weights(model.pair.generator.decoder)
        model.fit(1, checkpoint=False, progress=False)
        changed = {
            name for name, value in weights(encoder).items() if (value != before[name]).any()
        }
        assert ("conv1.weight" in changed) == ("layer4.1.conv2.weight" in changed) == trained
        assert {"bn1.weight", "layer4.1.bn2.bias"} <= changed
        assert not equal(weights(model.pair.generator.decoder), decoder)
    with pytest.raises(
        ModelFileError, match=r"not those of the backbone resnet50: layer1\.0\.conv"
    ):
        Pix2Pix(data, backbone="resnet50", pretrained_path=path, **SMALL)


def test_former_model_with_a_backbone_is_not_frozen(chips: Path, tmp_path: Path) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    data = prepare_data(chips)
    former = Pix2Pix(data, backbone="resnet18", **SMALL)
    folder = former.save(tmp_path / "model")
    model = Pix2Pix(data, backbone="resnet18", pretrained_path=folder, **SMALL)
    assert equal(weights(model.pair), weights(former.pair))
    assert all(parameter.requires_grad for parameter in model.pair.parameters())
    with pytest.raises(ModelFileError, match="backbone is resnet18 there and None here"):
        Pix2Pix(data, pretrained_path=folder, **SMALL)


def test_model_whose_encoder_is_not_installed_is_not_called_damaged(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    model = Pix2Pix(prepare_data(chips), backbone="resnet18", **SMALL)
    folder = model.save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(MissingPackageError, match="A backbone needs segmentation-models-pytorch"):
        Pix2Pix.from_model(folder)


def test_unfreeze_leaves_a_unet_as_it_is(chips: Path) -> None:
    model = Pix2Pix(prepare_data(chips), **SMALL)
    model.unfreeze()
    assert all(parameter.requires_grad for parameter in model.pair.parameters())


def test_supported_backbones_are_those_of_the_library() -> None:
    pytest.importorskip("segmentation_models_pytorch")
    assert Pix2Pix.supported_backbones() == supported_backbones()
