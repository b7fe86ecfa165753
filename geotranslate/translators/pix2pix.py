"""Pix2Pix: a U-Net trained on pairs against a PatchGAN (Isola et al. 2017, arXiv:1611.07004)."""

from __future__ import annotations

import os
from typing import Any, Literal, TypeVar, get_args

from fastai.data.core import DataLoaders

from geotranslate.checks import choice
from geotranslate.chips.bands import DataCard
from geotranslate.data import paired_card
from geotranslate.networks.backbone import BackboneUNet, supported_backbones
from geotranslate.networks.layers import Padding, Upsample, seeded
from geotranslate.networks.normalization import Norm
from geotranslate.networks.onehot import unwrapped
from geotranslate.networks.patchgan import PatchGAN, check_chip_size
from geotranslate.networks.pixel import PixelNetwork, Started
from geotranslate.networks.resnet import ResNet
from geotranslate.networks.unet import ResUNet, UNet
from geotranslate.training.learner import AdversarialPair
from geotranslate.training.objectives import GanMode, PairDiscriminator, PairedObjective
from geotranslate.translators.base import Translator
from geotranslate.translators.config import (
    RECIPES,
    Network,
    Pix2PixConfig,
    RecipeName,
    Start,
    feature_weight,
    recipe_name,
)
from geotranslate.translators.encoding import encoded, source_channels
from geotranslate.translators.pretrained import holds_encoder, start_from
from geotranslate.translators.registry import register

T = TypeVar("T")


@register
class Pix2Pix(Translator):
    """Translate paired rasters with a U-Net, trained by L1 and a PatchGAN.

    Its first weights follow from the `seed` of the data. Of a source of classes the networks see a
    band for each class.

    Args:
        data: Loaders from `prepare_data`.
        recipe: Decides on all that is not given here or to `fit`. "auto" is "picture" for targets
            of three bands of uint8 and for classes, else "measurement". "measurement" adds a
            `ResUNet` to a fitted start and learns by L1 alone, as what an adversarial loss invents
            is an error there. "picture" is a U-Net that has a discriminator in the last fifth of
            a training. Both have a rate of 5e-4 that falls to 0 by a cosine. "seamless" is a U-Net
            and PatchGAN without checkerboards at a constant rate; "paper" is that of Isola et al.,
            and translates scenes as they do, every tile normalized by itself, unless `norm_stats`
            says otherwise.
        start: "pixel" for a small network over single pixels and their blurred neighbors, which is
            fitted to a sample of the training pixels before the first step and to which the
            generator adds; "none" for a generator alone; "auto" as the recipe says.
        pretrained_path: Weights to start from: the folder of a saved model with the same networks
            (the discriminator's if both have one), or, with a `backbone`, a local file with the
            state dict of its encoder, by torch or safetensors. Such an encoder starts frozen, see
            `unfreeze`; its first convolution is spread over the bands. Nothing is downloaded.
        backbone: Encoder of the generator, one of `supported_backbones` or, with `tu-` before its
            name, of timm; by default the U-Net's own. It starts with random weights.
        generator: "unet"; "resunet", a U-Net of residual blocks, which has a tenth of the weights;
            or "resnet9" or "resnet6" with so many residual blocks (Johnson et al. 2016), whose
            receptive field is smaller and which take longer. By default as the recipe says.
        depth: Levels of the U-Net; by default as many as halve a chip to a pixel, at most 8, or to
            two pixels where single images are normalized (instance, group, batches of one pair)
            and a repeated pixel would be alone. Of a "resunet" 3, or fewer for small chips. With
            fewer, its receptive field is smaller.
        ngf: Filters of the generator's first level.
        ndf: Filters of the discriminator's first layer.
        n_layers: Layers of the discriminator that halve the image, to 5, for patches of 16, 34, 70,
            142 or 286 px; 0 for single pixels.
        norm: Normalization of both networks: "batch"; "instance", by every image for itself;
            "group" too, over 32 groups of channels (or as many as divide 32 and the channels);
            "renorm", batch normalization that trains with nearly the statistics that it translates
            with; "channel", every pixel by its own channels (with both the discriminator's is
            "batch"); or "none". For scenes see `norm_stats` of `predict_raster`.
        upsample: How the decoder doubles the sides: "transposed" convolutions as in the paper, or
            "resize", repeated pixels and 3 x 3 convolutions, which draw no checkerboard.
        padding: What the generator's convolutions see beyond the edge of a tile: "zeros",
            "reflect" or "replicate".
        dropout: Probability in the generator's three innermost decoder blocks, or in its residual
            blocks, when training.
        lambda_l1: Weight of the mean absolute difference in -1..1.
        lambda_gan: Weight of the adversarial term; 0 is plain regression without a discriminator.
            "auto" is that of the recipe.
        gan_after: Share of a training, 0 to 1, before which the discriminator rests. By default
            that of the recipe.
        gan_mode: The adversarial loss: "vanilla" (cross-entropy), "lsgan" (squares) or "hinge".
        label_smoothing: What the discriminator's label of real pairs is below 1; not in "hinge".
        perceptual_loss: Weight of the difference between the discriminator's features of
            translation and target (feature matching of pix2pixHD, Wang et al. 2018); True is 10.

    Raises:
        InvalidInputError: The chips are smaller than 64 px or than the discriminator needs, the
            classes of the source are not known, or an argument is impossible.
        MissingPackageError: A backbone is asked for without segmentation-models-pytorch.
        ModelFileError: The weights of `pretrained_path` cannot be read or do not fit.
    """

    config_class = Pix2PixConfig

    def __init__(
        self,
        data: DataLoaders | DataCard,
        *,
        recipe: RecipeName = "auto",
        start: Start = "auto",
        pretrained_path: str | os.PathLike[str] | None = None,
        backbone: str | None = None,
        generator: Network | None = None,
        depth: int | None = None,
        ngf: int = 64,
        ndf: int = 64,
        n_layers: int = 3,
        norm: Norm | None = None,
        upsample: Upsample | None = None,
        padding: Padding | None = None,
        dropout: float = 0.5,
        lambda_l1: float = 100.0,
        lambda_gan: float | Literal["auto"] = "auto",
        gan_after: float | None = None,
        gan_mode: GanMode = "vanilla",
        label_smoothing: float = 0.0,
        perceptual_loss: bool | float = False,
    ) -> None:
        card = paired_card(data, type(self).__name__)
        name = recipe_name(recipe, card.target)
        choice("start", start, get_args(Start))
        chosen = RECIPES[name]
        config = Pix2PixConfig(
            recipe=name,
            start=chosen.start if start == "auto" else start,
            backbone=backbone,
            generator=_or(generator, chosen.generator if backbone is None else "unet"),
            depth=depth,
            ngf=ngf,
            ndf=ndf,
            n_layers=n_layers,
            norm=_or(norm, chosen.norm),
            upsample=_or(upsample, chosen.upsample),
            padding=_or(padding, chosen.padding),
            dropout=dropout,
            lambda_l1=lambda_l1,
            lambda_gan=chosen.lambda_gan
            if lambda_gan is None or (isinstance(lambda_gan, str) and lambda_gan == "auto")
            else lambda_gan,
            gan_after=_or(gan_after, chosen.gan_after),
            gan_mode=gan_mode,
            label_smoothing=label_smoothing,
            perceptual_loss=feature_weight(perceptual_loss),
        )
        single = isinstance(data, DataLoaders) and data.train.bs == 1
        config = config.for_chips(card, single=single)
        with seeded(card.seed):
            generated = encoded(_generator(card, config), card.source)
            discriminator = (
                encoded(_discriminator(card, config), card.source) if config.lambda_gan else None
            )
        super().__init__(
            data,
            AdversarialPair(generated, discriminator),
            config,
            objective=None if discriminator is None else _objective(discriminator, config),
            gan_after=config.gan_after,
            defaults=chosen.fit,
        )
        if name == "paper":
            self.predictor.norm_stats = "tile"
        if pretrained_path is not None:
            start_from(pretrained_path, self.pair, card, config)
            # That of a saved model is fitted; beside an encoder from a file it has to be.
            self.fits_start = holds_encoder(pretrained_path)

    @staticmethod
    def supported_backbones() -> list[str]:
        """Return what `backbone` takes, beside the encoders of timm (`tu-` and their names).

        Raises:
            MissingPackageError: segmentation-models-pytorch is not installed.
        """
        return supported_backbones()

    def unfreeze(self) -> None:
        """Make the encoder trainable that started frozen, with weights of `pretrained_path`."""
        generator = unwrapped(self.pair.generator)
        if isinstance(generator, BackboneUNet):
            generator.unfreeze()


def _or(given: T | None, default: T) -> T:
    return default if given is None else given


def _generator(card: DataCard, config: Pix2PixConfig) -> Any:
    seen, made = source_channels(card.source), card.target.bands
    if config.start == "none":
        return _network(seen, made, config, bounded=card.target.scaling.bounded)
    start = PixelNetwork(seen, made)
    return Started(start, _network(seen + made, made, config, bounded=False))


def _network(bands_in: int, bands_out: int, config: Pix2PixConfig, *, bounded: bool) -> Any:
    bands, levels = (bands_in, bands_out), config.depth or 0
    if config.generator == "resunet":
        return ResUNet(
            *bands,
            depth=levels,
            ngf=config.ngf,
            norm=config.norm,
            padding=config.padding,
            dropout=config.dropout,
            bounded=bounded,
        )
    if config.generator != "unet":
        blocks = int(config.generator.removeprefix("resnet"))
        return ResNet(*bands, blocks=blocks, bounded=bounded, **config.layers)
    if config.backbone is not None:
        return BackboneUNet(config.backbone, *bands, bounded=bounded, **config.layers)
    return UNet(*bands, depth=levels, bounded=bounded, **config.layers)


def _discriminator(card: DataCard, config: Pix2PixConfig) -> PatchGAN:
    check_chip_size(config.n_layers, card.chip_size)
    return PatchGAN(
        source_channels(card.source) + card.target.bands,
        ndf=config.ndf,
        n_layers=config.n_layers,
        norm=config.discriminator_norm,
    )


def _objective(discriminator: PairDiscriminator, config: Pix2PixConfig) -> PairedObjective:
    return PairedObjective(
        discriminator,
        lambda_l1=config.lambda_l1,
        lambda_gan=config.lambda_gan,
        gan_mode=config.gan_mode,
        label_smoothing=config.label_smoothing,
        lambda_features=config.perceptual_loss,
    )
