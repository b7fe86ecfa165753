"""Pix2Pix: a U-Net trained on pairs against a PatchGAN (Isola et al. 2017, arXiv:1611.07004)."""

from __future__ import annotations

import os
from typing import Any, get_args

from fastai.data.core import DataLoaders

from geotranslate.checks import choice, number, whole_number
from geotranslate.chips.datacard import DataCard
from geotranslate.errors import InvalidInputError
from geotranslate.networks.backbone import BackboneUNet, supported_backbones
from geotranslate.networks.layers import Norm, Upsample, seeded
from geotranslate.networks.patchgan import PatchGAN, check_chip_size
from geotranslate.networks.unet import UNet, depth_for
from geotranslate.training.adversary import AdversarialPair, Adversary
from geotranslate.training.loaders import data_card
from geotranslate.training.losses import GanMode
from geotranslate.translators.base import Translator
from geotranslate.translators.pretrained import start_from

MAX_LAYERS = 5
FEATURE_WEIGHT = 10.0
"""That of pix2pixHD."""


class Pix2Pix(Translator):
    """Translate paired rasters with a U-Net, trained by L1 and a PatchGAN.

    Its first weights follow from the `seed` of the data.

    Args:
        data: Loaders from `prepare_data`.
        pretrained_path: Weights to start from: the folder of a saved model with the same networks
            (the discriminator's if both have one), or, with a `backbone`, a local file with the
            state dict of its encoder, by torch or safetensors. Such an encoder starts frozen, see
            `unfreeze`; its first convolution is spread over the bands. Nothing is downloaded.
        backbone: Encoder of the generator, one of `supported_backbones` or, with `tu-` before its
            name, of timm; by default the U-Net's own. It starts with random weights.
        ngf: Filters of the generator's first level.
        ndf: Filters of the discriminator's first layer.
        n_layers: Layers of the discriminator that halve the image, to 5: it judges patches of 16,
            34, 70, 142 or 286 px; 0 judges single pixels.
        norm: Normalisation of both networks: "batch"; "instance", by every image for itself;
            "group" too, over 32 groups of channels (or as many as divide 32 and the channels). For
            scenes see `norm_stats` of `predict_raster`.
        upsample: How the decoder doubles the sides: "transposed" convolutions as in the paper, or
            "resize", repeated pixels and 3 x 3 convolutions, which draw no checkerboard.
        dropout: Probability in the generator's three innermost decoder blocks, when training.
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
        pretrained_path: str | os.PathLike[str] | None = None,
        backbone: str | None = None,
        ngf: int = 64,
        ndf: int = 64,
        n_layers: int = 3,
        norm: Norm = "batch",
        upsample: Upsample = "transposed",
        dropout: float = 0.5,
        lambda_l1: float = 100.0,
        lambda_gan: float = 1.0,
        gan_mode: GanMode = "vanilla",
        label_smoothing: float = 0.0,
        perceptual_loss: bool | float = False,
    ) -> None:
        options = {
            "backbone": backbone,
            "ngf": ngf,
            "ndf": ndf,
            "n_layers": n_layers,
            "norm": norm,
            "upsample": upsample,
            "dropout": dropout,
            "lambda_l1": lambda_l1,
            "lambda_gan": lambda_gan,
            "gan_mode": gan_mode,
            "label_smoothing": label_smoothing,
            "perceptual_loss": _feature_weight(perceptual_loss),
        }
        _check(options)
        card = data_card(data)
        with seeded(card.seed):
            generator = _generator(card, options)
            discriminator = _discriminator(card, options) if lambda_gan else None
        adversary = None if discriminator is None else _adversary(discriminator, options)
        super().__init__(
            data,
            AdversarialPair(generator, discriminator),
            stride=generator.stride,
            radius=generator.radius,
            options=options,
            callbacks=[] if adversary is None else [adversary],
            metrics=[] if adversary is None else adversary.columns,
        )
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
    for name, choices in (("norm", Norm), ("upsample", Upsample), ("gan_mode", GanMode)):
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


def _generator(card: DataCard, options: dict[str, Any]) -> UNet | BackboneUNet:
    bands = card.source.bands, card.target.bands
    shape = {name: options[name] for name in ("ngf", "norm", "upsample", "dropout")}
    depth = depth_for(card.chip_size)
    if options["backbone"] is None:
        return UNet(*bands, depth=depth, **shape)
    return BackboneUNet(options["backbone"], *bands, **shape)


def _discriminator(card: DataCard, options: dict[str, Any]) -> PatchGAN:
    check_chip_size(options["n_layers"], card.chip_size)
    shape = {name: options[name] for name in ("ndf", "n_layers", "norm")}
    return PatchGAN(card.source.bands + card.target.bands, **shape)


def _adversary(discriminator: PatchGAN, options: dict[str, Any]) -> Adversary:
    names = ("lambda_l1", "lambda_gan", "gan_mode", "label_smoothing")
    game = {name: options[name] for name in names}
    return Adversary(discriminator, **game, lambda_features=options["perceptual_loss"])
