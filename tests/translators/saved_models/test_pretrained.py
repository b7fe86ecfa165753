from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from geotranslate import Pix2Pix, Pix2PixHD, prepare_data
from geotranslate.errors import (
    GeotranslateWarning,
    InvalidInputError,
    MissingPackageError,
    ModelFileError,
)
from geotranslate.networks import backbone
from geotranslate.networks.backbone import supported_backbones
from geotranslate.networks.onehot import unwrapped
from tests.translators.conftest import WriteMaps

WriteChips = Callable[..., Path]
WIDTHS = {"ngf": 4, "ndf": 4}
SMALL: dict[str, Any] = {"recipe": "seamless", **WIDTHS}
HD: dict[str, Any] = {
    **WIDTHS,
    "n_downsample_global": 2,
    "n_blocks_global": 1,
    "n_blocks_local": 1,
    "n_layers": 2,
}


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
        assert not hasattr(model.config, "pretrained_path")
    model.fit(1, checkpoint=False, progress=False)
    assert not equal(weights(model.pair.generator), weights(former.pair.translating))


def test_models_with_and_without_discriminator_start_from_each_other(
    chips: Path, tmp_path: Path
) -> None:
    data = prepare_data(chips)
    adversarial, plain = (Pix2Pix(data, lambda_gan=weight, **SMALL) for weight in (1, 0))
    for former, options in ((adversarial, {"lambda_gan": 0}), (plain, {})):
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


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [pytest.param("pth", marks=pytest.mark.slow), "safetensors"])
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


def coarse(model: Pix2PixHD) -> dict[str, Tensor]:
    """Return the part of a global generator that a local one takes, or took."""
    generator = unwrapped(model.pair.generator)
    return weights(generator.layers if model.config.gen_network == "global" else generator.coarse)


def test_a_global_network_goes_into_a_local_one(chips: Path, tmp_path: Path) -> None:
    former = Pix2PixHD(prepare_data(chips, resize_to=32), **HD)
    former.fit(3, ema=0.5, checkpoint=False, progress=False)
    folder = former.save(tmp_path / "model")
    data = prepare_data(chips)
    for options in ({}, {"n_local_enhancers": 2, "n_blocks_local": 0}, {"ndf": 5, "n_dscr": 1}):
        made = {**HD, "gen_network": "local", **options}
        model, fresh = Pix2PixHD(data, pretrained_path=folder, **made), Pix2PixHD(data, **made)
        inside = unwrapped(former.pair.translating).layers
        assert equal(coarse(model), weights(inside))
        assert not equal(coarse(model), weights(former.pair.generator.layers))
        # All else is as it was drawn.
        assert equal(weights(model.pair.discriminator), weights(fresh.pair.discriminator))
        for part in ("downs", "ups", "head"):
            own, drawn = (getattr(one.pair.generator, part) for one in (model, fresh))
            assert equal(weights(own), weights(drawn))
        frozen = {n for n, p in model.pair.generator.named_parameters() if not p.requires_grad}
        assert frozen == {
            n for n, _ in model.pair.generator.named_parameters() if n[:6] == "coarse"
        }


def test_a_global_network_of_other_target_bands_goes_into_a_local_one(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    former = Pix2PixHD(prepare_data(write_chips(count=3, target=(4, "uint8"))), **HD)
    folder = former.save(tmp_path / "model")
    data = prepare_data(write_chips(count=3))
    model = Pix2PixHD(data, gen_network="local", pretrained_path=folder, **HD)
    assert equal(coarse(model), coarse(former))
    with pytest.raises(ModelFileError, match="target bands is 4 there and 1 here"):
        Pix2PixHD(data, pretrained_path=folder, **HD)


@pytest.mark.parametrize("network", ["global", "local"])
def test_networks_of_one_kind_start_from_each_other(
    chips: Path, tmp_path: Path, network: Any
) -> None:
    data = prepare_data(chips)
    former = Pix2PixHD(data, gen_network=network, **HD).fit(1, checkpoint=False, progress=False)
    folder = former.save(tmp_path / "model")
    for path in (folder, folder / "card.json"):
        options = {**HD, "lsgan": False, "lambda_l1": 3.0}
        model = Pix2PixHD(data, gen_network=network, pretrained_path=path, **options)
        assert equal(weights(model.pair.generator), weights(former.pair.translating))
        assert equal(weights(model.pair.discriminator), weights(former.pair.discriminator))
        assert all(parameter.requires_grad for parameter in model.pair.parameters())


@pytest.mark.parametrize(
    ("there", "here", "sentence"),
    [
        (
            {"ngf": 8},
            {},
            r"does not fit into this model's: ngf is 8 there and 4 here\. Give the same",
        ),
        ({"n_blocks_global": 2}, {}, r"model's: n_blocks_global is 2 there and 1 here\. Give"),
        ({"n_downsample_global": 1}, {}, "n_downsample_global is 1 there and 2 here"),
        # What the coarse part has nothing to do with is not named.
        (
            {"norm": "none", "ndf": 5, "n_layers": 1},
            {"n_local_enhancers": 2},
            r"model's: norm is none there and batch here\. Give",
        ),
        (
            {"upsample": "transposed"},
            {},
            r"model's: upsample is transposed there and resize here\.",
        ),
        (
            {"gen_network": "local", "n_local_enhancers": 2},
            {},
            "n_local_enhancers is 2 there and 1",
        ),
        ({"gen_network": "local"}, {"gen_network": "global"}, "gen_network is local there and glo"),
        (
            {},
            {"gen_network": "global", "n_dscr": 1},
            "The discriminator of .* n_dscr is 2 there and",
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_into_a_pix2pixhd_is_named(
    chips: Path, tmp_path: Path, there: dict[str, Any], here: dict[str, Any], sentence: str
) -> None:
    data = prepare_data(chips)
    folder = Pix2PixHD(data, **{**HD, **there}).save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=sentence):
        Pix2PixHD(data, pretrained_path=folder, **{**HD, "gen_network": "local", **here})


def test_other_source_bands_of_a_global_network_are_named(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    former = Pix2PixHD(prepare_data(write_chips(count=3, source=(5, "uint8"))), **HD)
    folder = former.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=r"this model's: source bands is 5 there and 3 here\."):
        Pix2PixHD(
            prepare_data(write_chips(count=3)), gen_network="local", pretrained_path=folder, **HD
        )


def test_a_model_of_another_class_is_named(chips: Path, tmp_path: Path) -> None:
    data = prepare_data(chips)
    hd, pix2pix = Pix2PixHD(data, **HD), Pix2Pix(data, generator="resnet6", **SMALL)
    folder = pix2pix.save(tmp_path / "pix2pix")
    for network in ("global", "local"):
        with pytest.raises(
            ModelFileError, match="this model's: it is a Pix2Pix, or of another ver"
        ):
            Pix2PixHD(data, gen_network=network, pretrained_path=folder, **HD)
    with pytest.raises(ModelFileError, match="this model's: it is a Pix2PixHD, or of another ver"):
        Pix2Pix(data, pretrained_path=hd.save(tmp_path / "hd"), **SMALL)


@pytest.mark.parametrize("network", ["global", "local"])
def test_classes_of_a_global_network_are_those_of_the_model(
    write_maps: WriteMaps, tmp_path: Path, network: Any
) -> None:
    numbers = (10, 20, 30)
    data = prepare_data(write_maps("maps", numbers))
    former = Pix2PixHD(data, **HD)
    folder = former.save(tmp_path / "model")
    options = {**HD, "gen_network": network, "pretrained_path": folder}
    assert equal(coarse(Pix2PixHD(data, **options)), coarse(former))
    renamed = prepare_data(write_maps("renamed", (1, 2, 3)))
    with pytest.warns(
        GeotranslateWarning, match="on the classes 10, 20, 30 and .* on 1, 2, 3: eac"
    ):
        Pix2PixHD(renamed, **options)
    more = prepare_data(write_maps("more"))
    with pytest.raises(
        ModelFileError, match=r"the source is 3 classes .* there and 4 classes .* he"
    ):
        Pix2PixHD(more, **options)


def test_three_bands_are_no_three_classes(
    chips: Path, write_maps: WriteMaps, tmp_path: Path
) -> None:
    bands, classes = prepare_data(chips), prepare_data(write_maps("maps", (10, 20, 30)))
    for number, (there, here) in enumerate([(bands, classes), (classes, bands)]):
        folder = Pix2PixHD(there, **HD).save(tmp_path / f"{number}")
        for network in ("global", "local"):
            with pytest.raises(ModelFileError, match=r"the source is .* there and .* here"):
                Pix2PixHD(here, gen_network=network, pretrained_path=folder, **HD)


class ImageNet:
    """The library of encoders, with a cache that holds one encoder, or none."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        self.asked: list[dict[str, Any]] = []

    def get_encoder(self, name: str, **options: Any) -> Any:
        self.asked.append({"name": name, **options})
        if self.encoder is None:
            raise OSError("We couldn't connect to 'https://huggingface.co'.\nMore lines")
        return self.encoder


def test_weights_of_imagenet_are_loaded_and_frozen(
    write_chips: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    data = prepare_data(write_chips(source=(5, "uint8")), batch_size=2)
    options: dict[str, Any] = {"backbone": "resnet18", "recipe": "seamless", "ngf": 4, "ndf": 4}
    network: Any = backbone.BackboneUNet("resnet18", 3, 1)
    three = network.encoder
    library = ImageNet(three)
    made = backbone.BackboneUNet.__init__

    def build(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        monkeypatch.setattr(backbone, "_library", lambda: library)

    monkeypatch.setattr(backbone.BackboneUNet, "__init__", build)
    encoder = Pix2Pix(data, weights="imagenet", **options).pair.generator.encoder
    (asked,) = library.asked
    assert asked == {"name": "resnet18", "in_channels": 3, "depth": 5, "weights": "imagenet"}
    assert torch.equal(encoder.layer1[0].conv1.weight, three.layer1[0].conv1.weight)
    assert not encoder.layer1[0].conv1.weight.requires_grad
    assert encoder.conv1.weight.shape[1] == 5


def test_weights_of_imagenet_that_cannot_be_had_are_said(
    write_chips: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone, "_library", lambda: ImageNet(None))
    with pytest.raises(ModelFileError, match=r"'resnet18' cannot be had \(OSError: We couldn't"):
        backbone.imagenet_weights("resnet18")
    data = prepare_data(write_chips())
    with pytest.raises(InvalidInputError, match="is for the encoder that backbone names; give"):
        Pix2Pix(data, weights="imagenet", recipe="seamless", ngf=4, ndf=4)
    with pytest.raises(InvalidInputError, match="weights is 'coco'; give one of imagenet"):
        Pix2Pix(data, weights="coco", recipe="seamless", ngf=4, ndf=4)
