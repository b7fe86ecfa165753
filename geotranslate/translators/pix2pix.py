"""Pix2Pix: a U-Net trained on pairs against a PatchGAN (Isola et al. 2017, arXiv:1611.07004)."""

from __future__ import annotations

import os
from typing import Any, Literal, get_args

from fastai.data.core import DataLoaders

from geotranslate.checks import choice, number, whole_number
from geotranslate.chips.datacard import DataCard
from geotranslate.errors import InvalidInputError
from geotranslate.networks.backbone import BackboneUNet, supported_backbones
from geotranslate.networks.layers import Norm, Padding, Upsample, seeded
from geotranslate.networks.patchgan import PatchGAN, check_chip_size
from geotranslate.networks.resnet import ResNet
from geotranslate.networks.unet import UNet, depth_for
from geotranslate.training.adversary import AdversarialPair, Adversary
from geotranslate.training.loaders import paired_card
from geotranslate.training.losses import GanMode
from geotranslate.translators.base import Translator
from geotranslate.translators.pretrained import start_from

Network = Literal["unet", "resnet9", "resnet6"]
Recipe = Literal["seamless", "paper"]

RECIPES: dict[str, dict[str, Any]] = {
    "seamless": {"norm": "batch", "upsample": "resize", "padding": "reflect"},
    "paper": {"norm": "batch", "upsample": "transposed", "padding": "zeros"},
}
"""What arguments are that are not given."""

CHOICES = {
    "recipe": Recipe,
    "generator": Network,
    "norm": Norm,
    "upsample": Upsample,
    "padding": Padding,
    "gan_mode": GanMode,
}
MAX_LAYERS = 5
FEATURE_WEIGHT = 10.0
"""That of pix2pixHD."""


class Pix2Pix(Translator):
    """Translate paired rasters with a U-Net, trained by L1 and a PatchGAN.

    Its first weights follow from the `seed` of the data.

    Args:
        data: Loaders from `prepare_data`.
        recipe: What `norm`, `upsample` and `padding` are where they are not given: "seamless"
            shows tiles least; "paper" is that of Isola et al., and translates scenes as they do,
            every tile normalised by itself, unless `norm_stats` says otherwise.
        pretrained_path: Weights to start from: the folder of a saved model with the same networks
            (the discriminator's if both have one), or, with a `backbone`, a local file with the
            state dict of its encoder, by torch or safetensors. Such an encoder starts frozen, see
            `unfreeze`; its first convolution is spread over the bands. Nothing is downloaded.
        backbone: Encoder of the generator, one of `supported_backbones` or, with `tu-` before its
            name, of timm; by default the U-Net's own. It starts with random weights.
        generator: "unet", or "resnet9" or "resnet6" with so many residual blocks, which see less
            far (Johnson et al. 2016) and take longer.
        depth: Levels of the U-Net; by default as many as halve a chip to a pixel, at most 8, or to
            two pixels where single images are normalised (instance, group, batches of one pair)
            and a repeated pixel would be alone. With fewer it sees less far.
        ngf: Filters of the generator's first level.
        ndf: Filters of the discriminator's first layer.
        n_layers: Layers of the discriminator that halve the image, to 5: it judges patches of 16,
            34, 70, 142 or 286 px; 0 judges single pixels.
        norm: Normalisation of both networks: "batch"; "instance", by every image for itself;
            "group" too, over 32 groups of channels (or as many as divide 32 and the channels);
            "renorm", batch normalisation that trains with nearly the statistics that it translates
            with; "channel", every pixel by its own channels (with both the discriminator's is
            "batch"); or "none". For scenes see `norm_stats` of `predict_raster`.
        upsample: How the decoder doubles the sides: "transposed" convolutions as in the paper, or
            "resize", repeated pixels and 3 x 3 convolutions, which draw no checkerboard.
        padding: What the generator's convolutions see beyond the edge of a tile: "zeros",
            "reflect" or "replicate".
        dropout: Probability in the generator's three innermost decoder blocks, or in its residual
            blocks, when training.
        lambda_l1: Weight of the mean absolute difference in -1..1.
        lambda_gan: Weight of the adversarial term; 0 is plain regression without a discriminator,
            often better for targets that are like labels.
        gan_mode: The adversarial loss: "vanilla" (cross-entropy), "lsgan" (squares) or "hinge".
        label_smoothing: What the discriminator's label of real pairs is below 1; not in "hinge".
        perceptual_loss: Weight of the difference between the discriminator's features of
            translation and target (feature matching of pix2pixHD, Wang et al. 2018); True is 10.

    Raises:
        InvalidInputError: The chips are smaller than 64 px or than the discriminator needs, or an
            argument is impossible.
        MissingPackageError: A backbone is asked for without segmentation-models-pytorch.
        ModelFileError: The weights of `pretrained_path` cannot be read or do not fit.
    """

    def __init__(
        self,
        data: DataLoaders | DataCard,
        *,
        recipe: Recipe = "seamless",
        pretrained_path: str | os.PathLike[str] | None = None,
        backbone: str | None = None,
        generator: Network = "unet",
        depth: int | None = None,
        ngf: int = 64,
        ndf: int = 64,
        n_layers: int = 3,
        norm: Norm | None = None,
        upsample: Upsample | None = None,
        padding: Padding | None = None,
        dropout: float = 0.5,
        lambda_l1: float = 100.0,
        lambda_gan: float = 1.0,
        gan_mode: GanMode = "vanilla",
        label_smoothing: float = 0.0,
        perceptual_loss: bool | float = False,
    ) -> None:
        options: dict[str, Any] = {
            "recipe": recipe,
            "backbone": backbone,
            "generator": generator,
            "depth": depth,
            "ngf": ngf,
            "ndf": ndf,
            "n_layers": n_layers,
            "norm": norm,
            "upsample": upsample,
            "padding": padding,
            "dropout": dropout,
            "lambda_l1": lambda_l1,
            "lambda_gan": lambda_gan,
            "gan_mode": gan_mode,
            "label_smoothing": label_smoothing,
            "perceptual_loss": _feature_weight(perceptual_loss),
        }
        options |= {
            name: value for name, value in RECIPES.get(recipe, {}).items() if options[name] is None
        }
        _check(options)
        card = paired_card(data, "Pix2Pix")
        alone = isinstance(data, DataLoaders) and data.train.bs == 1
        options["depth"] = _depth(card, options, alone=alone)
        with seeded(card.seed):
            network = _generator(card, options)
            discriminator = _discriminator(card, options) if lambda_gan else None
        adversary = None if discriminator is None else _adversary(discriminator, options)
        super().__init__(
            data,
            AdversarialPair(network, discriminator),
            stride=network.stride,
            radius=network.radius,
            options=options,
            callbacks=[] if adversary is None else [adversary],
            metrics=[] if adversary is None else adversary.columns,
        )
        if recipe == "paper":
            self.own_norm_stats = "tile"
        if pretrained_path is not None:
            start_from(pretrained_path, self.pair, card, options)

    @staticmethod
    def supported_backbones() -> list[str]:
        """Return what `backbone` takes, beside the encoders of timm (`tu-` and their names).

        Raises:
            MissingPackageError: segmentation-models-pytorch is not installed.
        """
        return supported_backbones()

    def unfreeze(self) -> None:
        """Make the encoder trainable that started frozen, with weights of `pretrained_path`."""
        if isinstance(self.pair.generator, BackboneUNet):
            self.pair.generator.unfreeze()


def _feature_weight(perceptual_loss: bool | float) -> float:
    if isinstance(perceptual_loss, bool):
        return FEATURE_WEIGHT if perceptual_loss else 0.0
    return number("perceptual_loss", perceptual_loss, least=0)


def _check(options: dict[str, Any]) -> None:
    whole_number("ngf", options["ngf"], 1)
    whole_number("ndf", options["ndf"], 1)
    whole_number("n_layers", options["n_layers"], 0, MAX_LAYERS)
    number("dropout", options["dropout"], least=0, below=1)
    number("lambda_l1", options["lambda_l1"], least=0)
    number("lambda_gan", options["lambda_gan"], least=0)
    number("label_smoothing", options["label_smoothing"], least=0, below=1)
    for name, choices in CHOICES.items():
        choice(name, options[name], get_args(choices))
    if not (options["lambda_l1"] or options["lambda_gan"]):
        raise InvalidInputError("lambda_l1 and lambda_gan are 0; give one of them above 0.")
    if options["perceptual_loss"] and not options["lambda_gan"]:
        raise InvalidInputError(
            "perceptual_loss compares features of the discriminator, which lambda_gan=0 leaves "
            "out; give lambda_gan above 0, or no perceptual_loss."
        )
    if options["label_smoothing"] and options["gan_mode"] == "hinge":
        raise InvalidInputError(
            f"label_smoothing is {options['label_smoothing']} but gan_mode='hinge' has a margin "
            "and no labels; give label_smoothing=0 or another gan_mode."
        )


def _depth(card: DataCard, options: dict[str, Any], *, alone: bool) -> int | None:
    """Return the levels of the U-Net; None for generators that have no levels to choose.

    Args:
        card: What it is trained on.
        options: What it is made of.
        alone: Whether batches are of one pair.
    """
    given, most = options["depth"], depth_for(card.chip_size)
    if options["backbone"] is not None and options["generator"] != "unet":
        raise InvalidInputError(
            f"backbone is {options['backbone']!r}, which is the encoder of a U-Net, but generator "
            f"is {options['generator']!r}; give one of the two."
        )
    if options["backbone"] is None and options["generator"] == "unet":
        if given is not None:
            return whole_number("depth", given, 2, most)
        return most - (card.chip_size == 2**most and _leaves_nothing_of_a_pixel(options, alone))
    if given is not None:
        raise InvalidInputError(
            f"depth is {given!r}, but only a U-Net without backbone has levels to choose; leave "
            "it out."
        )
    return None


def _leaves_nothing_of_a_pixel(options: dict[str, Any], alone: bool) -> bool:
    """Tell whether a decoder that begins with a single pixel normalises it away.

    Repeated, and extended by itself, it is one colour: as far as an image's mean is subtracted, the
    innermost level has no say and no gradient, and running deviations become 0.
    """
    repeats = options["upsample"] == "resize" and options["padding"] != "zeros"
    norms = ("instance", "group", *(("batch", "renorm") if alone else ()))
    return repeats and options["norm"] in norms


def _generator(card: DataCard, options: dict[str, Any]) -> UNet | BackboneUNet | ResNet:
    bands = card.source.bands, card.target.bands
    shape = {name: options[name] for name in ("ngf", "norm", "upsample", "padding", "dropout")}
    if options["generator"] != "unet":
        return ResNet(*bands, blocks=int(options["generator"].removeprefix("resnet")), **shape)
    if options["backbone"] is not None:
        return BackboneUNet(options["backbone"], *bands, **shape)
    return UNet(*bands, depth=options["depth"], **shape)


def _discriminator(card: DataCard, options: dict[str, Any]) -> PatchGAN:
    check_chip_size(options["n_layers"], card.chip_size)
    # It never sees a tile: what cures generators of seams is no matter here.
    norm: Norm = "batch" if options["norm"] in ("renorm", "channel") else options["norm"]
    shape = {name: options[name] for name in ("ndf", "n_layers")}
    return PatchGAN(card.source.bands + card.target.bands, norm=norm, **shape)


def _adversary(discriminator: PatchGAN, options: dict[str, Any]) -> Adversary:
    names = ("lambda_l1", "lambda_gan", "gan_mode", "label_smoothing")
    game = {name: options[name] for name in names}
    return Adversary(discriminator, **game, lambda_features=options["perceptual_loss"])
