"""Pix2PixHD: a coarse-to-fine generator and discriminators at several scales."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from fastai.data.core import DataLoaders

from geotranslate.chips.bands import DataCard
from geotranslate.data import paired_card
from geotranslate.errors import InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.networks.layers import Padding, Upsample, seeded
from geotranslate.networks.normalization import Norm
from geotranslate.networks.patchgan import MultiscaleDiscriminator, check_chip_size
from geotranslate.networks.rescaling import at_target_size, rescaled
from geotranslate.networks.resnet import LocalEnhancer, ResNet
from geotranslate.schema import one_of, truth, whole
from geotranslate.training.learner import AdversarialPair
from geotranslate.training.objectives import GanMode, PairedObjective
from geotranslate.translators.base import Translator
from geotranslate.translators.config import (
    MAX_BLOCKS,
    FitDefaults,
    LeastSquaresConfig,
    l1_scale,
    loss_callbacks,
    option,
    weight,
)
from geotranslate.translators.encoding import encoded, source_channels
from geotranslate.translators.registry import register
from geotranslate.translators.saved_models.pretrained import start_from

Network = Literal["global", "local"]


@dataclass(frozen=True, kw_only=True)
class Pix2PixHDConfig(LeastSquaresConfig):
    """Arguments that rebuild a Pix2PixHD."""

    gen_network: Network = option(one_of(Network))
    n_downsample_global: int = option(whole(1, 12))
    n_blocks_global: int = option(whole(1, MAX_BLOCKS))
    n_local_enhancers: int = option(whole(1, 12))
    n_blocks_local: int = option(whole(0, MAX_BLOCKS))
    n_dscr: int = option(whole(1, 12))
    feat_loss: bool = option(truth)
    lambda_feat: float = option(weight)
    lambda_l1: float = option(weight)
    l1_scale: int = option(l1_scale, before=1)


@register
class Pix2PixHD(Translator):
    """Translate paired rasters with coarse-to-fine residual networks.

    Wang et al. 2018 (arXiv:1711.11585), for large chips and for imagery from class maps. Source
    classes are one-hot encoded. Several discriminators work at successive scales, and a feature
    matching loss compares their features of translations and targets. An L1 loss replaces the
    paper's perceptual loss, which needs three-band images. The `seed` of the data determines the
    initial weights.

    The local network is trained in two stages: first a `Pix2PixHD(gen_network="global")` on chips
    of half the size (`prepare_data(resize_to=...)`), then a `Pix2PixHD(gen_network="local",
    pretrained_path=...)` that loads the saved first model; this part starts frozen, see `unfreeze`.
    Without `pretrained_path`, all parts are trained at once.

    Args:
        data: Loaders of pairs from `prepare_data`.
        pretrained_path: Weights to start from: the folder of a saved Pix2PixHD with the same
            networks, or for the local network with its global one. Nothing is downloaded.
        gen_network: "global", or "local": the global network at half the size inside a finer one.
        n_downsample_global: Number of times that the global network halves the sides.
        n_blocks_global: Residual blocks of the global network.
        n_local_enhancers: Finer networks around it, each twice as large as the one inside.
        n_blocks_local: Residual blocks of each finer network.
        lsgan: Whether the adversarial loss is least squares; otherwise cross-entropy.
        gan_mode: The adversarial loss in place of `lsgan`: "vanilla", "lsgan", "hinge" or "wgangp",
            see `Pix2Pix`.
        n_dscr: Number of discriminators; each works at half the size of the previous one.
        feat_loss: Whether to use the feature matching loss.
        lambda_feat: Weight of the feature matching loss.
        lambda_l1: Weight of the mean absolute difference in -1..1.
        l1_scale: 1, or 2 or 4 to compute this difference at half or a quarter of the size, for
            pairs that are some pixels off by varying amounts.
        ngf: Filters of the global network's first convolution; finer networks have half as many.
        ndf: Filters of each discriminator's first layer.
        n_layers: Layers of each discriminator that halve the image, see `Pix2Pix`.
        norm: Normalization of all networks, see `Pix2Pix`; the paper uses "instance"; "renorm" and
            "channel" are experimental.
        upsample: Layers that double the sides in the generator, see `Pix2Pix`.
        padding: Padding of the generator's convolutions at tile edges, see `Pix2Pix`.
        dropout: Dropout probability in the residual blocks.
        label_smoothing: Amount by which the discriminators' labels of real pairs are below 1.
        init_gain: Standard deviation of the initial weights.

    Raises:
        InvalidInputError: The chips are too small for the networks, the data is unpaired, or an
            argument is invalid.
        ModelFileError: The weights of `pretrained_path` cannot be read or do not fit.
    """

    config_class = Pix2PixHDConfig

    @checks_arguments
    def __init__(
        self,
        data: DataLoaders | DataCard,
        *,
        pretrained_path: str | os.PathLike[str] | None = None,
        gen_network: Network = "global",
        n_downsample_global: int = 4,
        n_blocks_global: int = 9,
        n_local_enhancers: int = 1,
        n_blocks_local: int = 3,
        lsgan: bool = True,
        gan_mode: GanMode | None = None,
        n_dscr: int = 2,
        feat_loss: bool = True,
        lambda_feat: float = 10.0,
        lambda_l1: float = 100.0,
        l1_scale: int = 1,
        ngf: int = 64,
        ndf: int = 64,
        n_layers: int = 3,
        norm: Norm = "batch",
        upsample: Upsample = "resize",
        padding: Padding = "reflect",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        init_gain: float = 0.02,
    ) -> None:
        config = Pix2PixHDConfig(
            gen_network=gen_network,
            n_downsample_global=n_downsample_global,
            n_blocks_global=n_blocks_global,
            n_local_enhancers=n_local_enhancers,
            n_blocks_local=n_blocks_local,
            lsgan=lsgan,
            gan_mode=gan_mode,
            n_dscr=n_dscr,
            feat_loss=feat_loss,
            lambda_feat=lambda_feat,
            lambda_l1=lambda_l1,
            l1_scale=l1_scale,
            ngf=ngf,
            ndf=ndf,
            n_layers=n_layers,
            norm=norm,
            upsample=upsample,
            padding=padding,
            dropout=dropout,
            label_smoothing=label_smoothing,
            init_gain=init_gain,
        )
        card = paired_card(data, type(self).__name__)
        with seeded(card.seed, config.init_gain):
            generator = encoded(_generator(card, config), card.source)
            pairs = at_target_size(_discriminator(card, config), card.factor)
            discriminator = encoded(pairs, card.source)
        objective = PairedObjective(
            discriminator,
            lambda_l1=config.lambda_l1,
            lambda_gan=1.0,
            gan_mode=config.loss,
            label_smoothing=config.label_smoothing,
            lambda_features=config.lambda_feat if config.feat_loss else 0.0,
        )
        super().__init__(
            data,
            AdversarialPair(generator, discriminator),
            config,
            objective=objective,
            checks=loss_callbacks(config.l1_scale),
            defaults=FitDefaults(schedule="linear_decay"),
        )
        if pretrained_path is not None:
            start_from(pretrained_path, self.pair, card, config)


def _generator(card: DataCard, config: Pix2PixHDConfig) -> Any:
    halvings = config.n_downsample_global
    enhancers = config.n_local_enhancers if config.gen_network == "local" else 0
    least = 2 ** (halvings + enhancers + 1)
    if card.chip_size < least:
        raise InvalidInputError(
            f"Chips of {card.chip_size} px are too small for a generator that halves them "
            f"{halvings + enhancers} times; use chips of {least} px or more, or a smaller "
            "n_downsample_global."
        )
    seen = source_channels(card.source)
    return rescaled(
        lambda bands, bounded: _network((seen, bands), config, enhancers, bounded=bounded),
        card.target.bands,
        card.factor,
        width=config.ngf,
        padding=config.padding,
        bounded=card.target.scaling.bounded,
    )


def _network(
    bands: tuple[int, int], config: Pix2PixHDConfig, enhancers: int, *, bounded: bool
) -> ResNet | LocalEnhancer:
    halvings, blocks = config.n_downsample_global, config.n_blocks_global
    if not enhancers:
        return ResNet(
            *bands, downsamplings=halvings, blocks=blocks, bounded=bounded, **config.layers
        )
    return LocalEnhancer(
        *bands,
        n_local_enhancers=enhancers,
        n_blocks_local=config.n_blocks_local,
        n_downsample_global=halvings,
        n_blocks_global=blocks,
        bounded=bounded,
        **config.layers,
    )


def _discriminator(card: DataCard, config: Pix2PixHDConfig) -> MultiscaleDiscriminator:
    check_chip_size(config.n_layers, card.target_size, config.n_dscr)
    return MultiscaleDiscriminator(
        source_channels(card.source) + card.target.bands,
        scales=config.n_dscr,
        ndf=config.ndf,
        n_layers=config.n_layers,
        norm=config.discriminator_norm,
    )
