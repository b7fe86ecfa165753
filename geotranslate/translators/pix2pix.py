"""Pix2Pix: a U-Net trained on pairs against a PatchGAN (Isola et al. 2017, arXiv:1611.07004)."""

from __future__ import annotations

from typing import get_args

from fastai.data.core import DataLoaders

from geotranslate.checks import number, whole_number
from geotranslate.chips.datacard import DataCard
from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import Norm
from geotranslate.networks.patchgan import PatchGAN
from geotranslate.networks.unet import UNet, depth_for
from geotranslate.training.adversary import AdversarialPair, Adversary
from geotranslate.translators.base import Translator, data_card


class Pix2Pix(Translator):
    """Translate paired rasters with a U-Net, trained by L1 and a 70 x 70 PatchGAN.

    Args:
        data: Loaders from `prepare_data`.
        ngf: Filters of the generator's first level.
        ndf: Filters of the discriminator's first layer.
        norm: Normalisation of both networks; "batch" translates with running statistics, so that
            a tile does not see its own brightness, "instance" normalises every tile by itself.
        dropout: Probability in the generator's three innermost decoder blocks, when training.
        lambda_l1: Weight of the mean absolute difference in -1..1.
        lambda_gan: Weight of the adversarial term; 0 is plain regression without a discriminator,
            often better for targets that are like labels.

    Raises:
        InvalidInputError: The chips are smaller than 64 px, or an argument is impossible.
    """

    def __init__(
        self,
        data: DataLoaders | DataCard,
        *,
        ngf: int = 64,
        ndf: int = 64,
        norm: Norm = "batch",
        dropout: float = 0.5,
        lambda_l1: float = 100.0,
        lambda_gan: float = 1.0,
    ) -> None:
        whole_number("ngf", ngf, 1)
        whole_number("ndf", ndf, 1)
        number("dropout", dropout, least=0, below=1)
        number("lambda_l1", lambda_l1, least=0)
        number("lambda_gan", lambda_gan, least=0)
        if not (lambda_l1 or lambda_gan):
            raise InvalidInputError("lambda_l1 and lambda_gan are 0; give one of them above 0.")
        if norm not in get_args(Norm):
            raise InvalidInputError(f"norm is {norm!r}; give one of {', '.join(get_args(Norm))}.")
        card = data_card(data)
        source, target = card.source.bands, card.target.bands
        generator = UNet(
            source, target, depth=depth_for(card.chip_size), ngf=ngf, norm=norm, dropout=dropout
        )
        discriminator, callbacks, columns = None, [], []
        if lambda_gan:
            discriminator = PatchGAN(source + target, ndf=ndf, norm=norm)
            adversary = Adversary(discriminator, lambda_l1, lambda_gan)
            callbacks, columns = [adversary], adversary.columns
        super().__init__(
            data,
            AdversarialPair(generator, discriminator),
            stride=generator.stride,
            radius=generator.radius,
            options={
                "ngf": ngf,
                "ndf": ndf,
                "norm": norm,
                "dropout": dropout,
                "lambda_l1": lambda_l1,
                "lambda_gan": lambda_gan,
            },
            callbacks=callbacks,
            metrics=columns,
        )
