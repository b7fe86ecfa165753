"""SuperResolution: finer pixels of one sensor, as details over a bicubic enlargement."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from fastai.data.core import DataLoaders

from geotranslate.chips.bands import DataCard
from geotranslate.data import paired_card
from geotranslate.errors import InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.networks.bicubic import OverBicubic
from geotranslate.networks.edsr import EDSR
from geotranslate.networks.layers import Padding, seeded
from geotranslate.networks.patchgan import PatchGAN, check_chip_size
from geotranslate.networks.rescaling import at_target_size, rescaled
from geotranslate.schema import one_of, whole
from geotranslate.training.learner import AdversarialPair
from geotranslate.training.objectives import PairedObjective
from geotranslate.translators.base import Translator
from geotranslate.translators.config import (
    FAST,
    MAX_BLOCKS,
    MAX_FILTERS,
    MAX_LAYERS,
    TranslatorConfig,
    check_losses,
    feature_weight,
    option,
    share,
    weight,
)
from geotranslate.translators.registry import register
from geotranslate.translators.saved_models.pretrained import start_from


@dataclass(frozen=True, kw_only=True)
class SuperResolutionConfig(TranslatorConfig):
    """Arguments that rebuild a SuperResolution.

    Raises:
        InvalidInputError: A value is invalid, or incompatible with another one.
    """

    blocks: int = option(whole(1, MAX_BLOCKS))
    ngf: int = option(whole(1, MAX_FILTERS))
    ndf: int = option(whole(1, MAX_FILTERS))
    n_layers: int = option(whole(0, MAX_LAYERS))
    padding: Padding = option(one_of(Padding))
    lambda_l1: float = option(weight)
    lambda_gan: float = option(weight)
    gan_after: float = option(share)
    perceptual_loss: float = option(weight)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_losses(self.lambda_l1, self.lambda_gan, self.perceptual_loss)


@register
class SuperResolution(Translator):
    """Translate rasters of one sensor to finer pixels.

    The generator adds details to the bicubic enlargement of the source, so that an untrained model
    is the enlargement. It is a residual network without normalization at the source's pixel size
    (Lim et al. 2017, EDSR) that ends with repeated and convolved pixels. By default it minimizes
    the L1 loss alone, which gives the lowest errors. With `lambda_gan` and `perceptual_loss`, a
    PatchGAN and its features make translations look sharper, with details that may be invented.
    Both sides are scaled alike, as the target is. The `seed` of the data determines the initial
    weights.

    Args:
        data: Loaders of pairs from `prepare_data` whose target chips have 2 to 8 times as many rows
            and columns as their source chips, with the same bands.
        pretrained_path: Weights to start from: the folder of a saved SuperResolution with the same
            networks. Nothing is downloaded.
        blocks: Number of residual blocks.
        ngf: Filters of the generator's convolutions.
        ndf: Filters of the discriminator's first layer.
        n_layers: Layers of the discriminator that halve the image, see `Pix2Pix`.
        padding: Padding of the generator's convolutions at tile edges, see `Pix2Pix`.
        lambda_l1: Weight of the mean absolute difference in -1..1.
        lambda_gan: Weight of the adversarial loss; 0 for no discriminator.
        gan_after: Share of the training, 0 to 1, after which the discriminator is used.
        perceptual_loss: Weight of the difference between the discriminator's features of
            translation and target; True is 10.

    Raises:
        InvalidInputError: The target's pixels are not finer than the source's, the sides differ in
            bands or hold classes, the data is unpaired, the chips are too small for the
            discriminator, or an argument is invalid.
        ModelFileError: The weights of `pretrained_path` cannot be read or do not fit.
    """

    config_class = SuperResolutionConfig

    @checks_arguments
    def __init__(
        self,
        data: DataLoaders | DataCard,
        *,
        pretrained_path: str | os.PathLike[str] | None = None,
        blocks: int = 8,
        ngf: int = 64,
        ndf: int = 64,
        n_layers: int = 3,
        padding: Padding = "replicate",
        lambda_l1: float = 100.0,
        lambda_gan: float = 0.0,
        gan_after: float = 0.5,
        perceptual_loss: bool | float = False,
    ) -> None:
        config = SuperResolutionConfig(
            blocks=blocks,
            ngf=ngf,
            ndf=ndf,
            n_layers=n_layers,
            padding=padding,
            lambda_l1=lambda_l1,
            lambda_gan=lambda_gan,
            gan_after=gan_after,
            perceptual_loss=feature_weight(perceptual_loss),
        )
        given = paired_card(data, type(self).__name__)
        _check(given)
        card = replace(given, source=replace(given.source, scaling=given.target.scaling))
        alike: Any = data
        if card != given:
            alike = card if isinstance(data, DataCard) else data.with_card(card)
        with seeded(card.seed):
            generator = _generator(card, config)
            discriminator = _discriminator(card, config) if config.lambda_gan else None
        super().__init__(
            alike,
            AdversarialPair(generator, discriminator),
            config,
            objective=None if discriminator is None else _objective(discriminator, config),
            gan_after=config.gan_after,
            defaults=FAST,
        )
        if pretrained_path is not None:
            start_from(pretrained_path, self.pair, card, config)


def _check(card: DataCard) -> None:
    """Refuse data of other pairs than the same bands in finer pixels."""
    if card.factor <= 1:
        raise InvalidInputError(
            "SuperResolution makes pixels finer, but the targets of the data have "
            f"{card.factor} times as many pixels along an axis as their sources; give pairs whose "
            "targets have 2 to 8 times as many, which export_chips(target_resolution='own') writes."
        )
    source, target = card.source, card.target
    if source.bands != target.bands:
        raise InvalidInputError(
            "SuperResolution is for one sensor at two pixel sizes, but the source has "
            f"{source.bands} band{'s' if source.bands != 1 else ''} and the target {target.bands}; "
            "choose the same bands by source_bands and target_bands, or use Pix2Pix."
        )
    if source.categorical_bands or target.categorical_bands:
        raise InvalidInputError(
            "SuperResolution interpolates values, but a side of the data holds classes; use "
            "Pix2Pix, or pass source_classes=False and target_classes=False for quantities."
        )


def _generator(card: DataCard, config: SuperResolutionConfig) -> OverBicubic:
    bands = card.target.bands
    network = rescaled(
        lambda features, _: EDSR(
            bands, features, blocks=config.blocks, ngf=config.ngf, padding=config.padding
        ),
        bands,
        card.factor,
        width=config.ngf,
        padding=config.padding,
        bounded=False,
    )
    return OverBicubic(network, int(card.factor))


def _discriminator(card: DataCard, config: SuperResolutionConfig) -> Any:
    check_chip_size(config.n_layers, card.target_size)
    network = PatchGAN(2 * card.target.bands, ndf=config.ndf, n_layers=config.n_layers)
    return at_target_size(network, card.factor)


def _objective(discriminator: Any, config: SuperResolutionConfig) -> PairedObjective:
    return PairedObjective(
        discriminator,
        lambda_l1=config.lambda_l1,
        lambda_gan=config.lambda_gan,
        gan_mode="vanilla",
        label_smoothing=0.0,
        lambda_features=config.perceptual_loss,
    )
