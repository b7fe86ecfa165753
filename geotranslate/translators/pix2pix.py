"""Pix2Pix: U-Nets trained on pairs (Isola et al. 2017, arXiv:1611.07004)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from fastai.data.core import DataLoaders

from geotranslate.checks import choice
from geotranslate.chips.bands import DataCard
from geotranslate.data import paired_card
from geotranslate.errors import InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.networks.backbone import BackboneUNet, supported_backbones
from geotranslate.networks.layers import Padding, Upsample, seeded
from geotranslate.networks.normalization import Norm
from geotranslate.networks.onehot import unwrapped
from geotranslate.networks.patchgan import PatchGAN, check_chip_size
from geotranslate.networks.pixel import PixelNetwork, Started
from geotranslate.networks.rescaling import at_target_size, rescaled
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
    loss_callbacks,
    recipe_name,
)
from geotranslate.translators.encoding import encoded, source_channels
from geotranslate.translators.registry import register
from geotranslate.translators.saved_models.pretrained import (
    holds_encoder,
    start_from,
    start_from_imagenet,
)
from geotranslate.translators.saved_models.reference_weights import (
    ReferenceGenerator,
    discriminator_arguments,
    discriminator_file,
    discriminator_layers,
    generator_file,
    load,
    read_weights,
)

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


@register
class Pix2Pix(Translator):
    """Translate paired rasters with a U-Net, trained with an L1 loss and usually a PatchGAN.

    The `recipe` decides whether there is a PatchGAN. The `seed` of the data determines the initial
    weights. Source classes are one-hot encoded.

    Args:
        data: Loaders from `prepare_data`.
        recipe: Sets the defaults of all other arguments, here and of `fit`. "auto" is "picture" for
            targets of three bands of uint8 and for classes, else "measurement". "measurement" adds
            a `ResUNet` to a fitted start and uses the L1 loss alone, because details added by an
            adversarial loss would be errors. "picture" is a U-Net that has a discriminator in the
            last fifth of the training. Both use a learning rate of 5e-4 with a cosine schedule.
            "seamless" is a U-Net and PatchGAN without checkerboards at a constant rate; "paper" is
            the model of Isola et al. (2017), which also translates scenes as they do, with each
            tile normalized on its own, unless `norm_stats` is given.
        start: "pixel" for a small network over single pixels and their blurred neighbors, which is
            fitted to a sample of the training pixels before the first step and whose output the
            generator refines; "none" for no start; "auto" for the recipe's, or "none" if the target
            has another pixel size than the source.
        pretrained_path: Weights to start from: the folder of a saved model with the same networks
            (including the discriminator if both models have one), or, with a `backbone`, a local
            file with the state dict of its encoder, saved by torch or safetensors. Such an encoder
            starts frozen, see `unfreeze`; its first convolution is adapted to the number of bands.
            Nothing is downloaded.
        weights: "imagenet" to start the encoder of `backbone` with weights of ImageNet, which
            segmentation-models-pytorch and timm download from Hugging Face, or find in its cache.
            The encoder starts frozen, as with `pretrained_path`.
        backbone: Encoder of the generator, one of `supported_backbones` or, with the prefix `tu-`,
            of timm; by default the U-Net's own. It starts with random weights.
        generator: "unet"; "resunet", a U-Net of residual blocks, which has a tenth of the weights;
            or "resnet9" or "resnet6" with 9 or 6 residual blocks (Johnson et al. 2016), which have
            a smaller receptive field and are slower. By default the recipe's.
        depth: Levels of the U-Net. Fewer levels give a smaller receptive field. By default as many
            as halve a chip to one pixel, at most 8. One level less is used if `norm` works on
            single images and the innermost pixel would be normalized away. 3 for a "resunet", or
            fewer for small chips.
        ngf: Filters of the generator's first level.
        ndf: Filters of the discriminator's first layer.
        n_layers: Layers of the discriminator that halve the image, 1 to 5; its patches are 16, 34,
            70, 142 or 286 px, or single pixels with 0.
        norm: Normalization of both networks. "batch"; "instance" normalizes each image on its own;
            "group" does so over 32 groups of channels (or the greatest common divisor of 32 and
            the channels); "none". Two are experimental, with higher errors than "batch" in most
            measurements (docs/seams.md): "renorm", batch normalization that trains with nearly the
            same statistics as it uses for translation; and "channel", which normalizes each pixel
            over its own channels. With these two, the discriminator uses "batch". For scenes see
            `norm_stats` of `predict_raster`.
        upsample: Layers that double the sides in the decoder: "transposed" convolutions as in the
            paper, or "resize", repeated pixels and 3 x 3 convolutions, which draw no checkerboard.
        padding: Padding of the generator's convolutions at tile edges: "zeros", "reflect" or
            "replicate".
        dropout: Dropout probability in the generator's three innermost decoder blocks, or in its
            residual blocks.
        lambda_l1: Weight of the mean absolute difference in -1..1.
        l1_scale: 1, or 2 or 4 to compute this difference at half or a quarter of the size, for
            pairs that are some pixels off by varying amounts.
        lambda_gan: Weight of the adversarial loss; 0 is plain regression without a discriminator.
            "auto" is the recipe's.
        gan_after: Share of the training, 0 to 1, after which the discriminator is used. By default
            the recipe's.
        gan_mode: The adversarial loss: "vanilla" (cross-entropy), "lsgan" (least squares),
            "hinge", or "wgangp" (Wasserstein distance with a gradient penalty), whose discriminator
            has "instance" where `norm` would give it "batch".
        label_smoothing: Amount by which the discriminator's labels of real pairs are below 1; not
            for "hinge" and "wgangp".
        perceptual_loss: Weight of the difference between the discriminator's features of
            translation and target (feature matching of pix2pixHD, Wang et al. 2018); True is 10.
        init_gain: Standard deviation of the initial weights; a "resunet" draws its own in
            another way.

    Raises:
        InvalidInputError: The chips are smaller than 64 px or than the discriminator needs, the
            classes of the source are not known, or an argument is invalid.
        MissingPackageError: A backbone needs segmentation-models-pytorch, which is not installed.
        ModelFileError: The weights of `pretrained_path` cannot be read or do not fit.
    """

    config_class = Pix2PixConfig

    @checks_arguments
    def __init__(
        self,
        data: DataLoaders | DataCard,
        *,
        recipe: RecipeName = "auto",
        start: Start = "auto",
        pretrained_path: str | os.PathLike[str] | None = None,
        weights: Literal["imagenet"] | None = None,
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
        l1_scale: int = 1,
        lambda_gan: float | Literal["auto"] = "auto",
        gan_after: float | None = None,
        gan_mode: GanMode = "vanilla",
        label_smoothing: float = 0.0,
        init_gain: float = 0.02,
        perceptual_loss: bool | float = False,
    ) -> None:
        card = paired_card(data, type(self).__name__)
        name = recipe_name(recipe, card.target)
        choice("start", start, get_args(Start))
        chosen = RECIPES[name]
        config = Pix2PixConfig(
            recipe=name,
            start=_start(start, chosen.start, card),
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
            l1_scale=l1_scale,
            lambda_gan=chosen.lambda_gan
            if lambda_gan is None or (isinstance(lambda_gan, str) and lambda_gan == "auto")
            else lambda_gan,
            gan_after=_or(gan_after, chosen.gan_after),
            gan_mode=gan_mode,
            label_smoothing=label_smoothing,
            init_gain=init_gain,
            perceptual_loss=feature_weight(perceptual_loss),
        )
        single = isinstance(data, DataLoaders) and data.train.bs == 1
        config = config.for_chips(card, single=single)
        with seeded(card.seed, config.init_gain):
            generated = encoded(_generator(card, config), card.source)
            discriminator = (
                encoded(at_target_size(_discriminator(card, config), card.factor), card.source)
                if config.lambda_gan
                else None
            )
        super().__init__(
            data,
            AdversarialPair(generated, discriminator),
            config,
            objective=None if discriminator is None else _objective(discriminator, config),
            checks=loss_callbacks(config.l1_scale),
            gan_after=config.gan_after,
            defaults=chosen.fit,
        )
        if name == "paper":
            self.predictor.norm_stats = "tile"
        if weights is not None:
            start_from_imagenet(self.pair, config, weights, pretrained_path)
        if pretrained_path is not None:
            start_from(pretrained_path, self.pair, card, config)
            # The start of a saved model is fitted; next to a pretrained encoder it is not.
            self.fits_start = holds_encoder(pretrained_path)

    @classmethod
    @checks_arguments
    def from_pytorch_cyclegan(cls, path: str | os.PathLike[str], data: DataLoaders) -> Self:
        """Return a model with weights of the public code of pix2pix in PyTorch.

        U-Nets and ResNets of 6 or 9 blocks are recognized by the names and shapes of their weights,
        with their normalization. The discriminator's weights are read, too, if its file lies beside
        the generator's; otherwise it starts anew. As in that code, a scene is translated with each
        tile normalized on its own, unless `norm_stats` is given. No code from the files is
        executed.

        Args:
            path: The generator's file, `latest_net_G.pth` for example, or the folder of it.
            data: Loaders with the bands of the model, scaled like its own data; 0..255 for uint8.

        Raises:
            ModelFileError: A file cannot be read, or holds other networks.
            InvalidInputError: The data has other bands, or chips too small for the network.
        """
        file = generator_file(path)
        card = paired_card(data, cls.__name__)
        if card.factor != 1:
            raise InvalidInputError(
                f"The model of {file} translates chips into chips of the same size, but the "
                f"targets of the data have {card.factor} times as many pixels along an axis as "
                "their sources; give pairs of one pixel size."
            )
        found = ReferenceGenerator.read(file, (source_channels(card.source), card.target.bands))
        beside = discriminator_file(file)
        weights = None if beside is None else read_weights(beside)
        arguments = found.arguments
        if weights is not None:
            arguments |= discriminator_arguments(weights)
        model = cls(data, recipe="paper", upsample="transposed", **arguments)
        found.load_into(unwrapped(model.pair.generator), file)
        if weights is not None and model.pair.discriminator is not None:
            layers = discriminator_layers(weights)
            load(unwrapped(model.pair.discriminator), weights, layers, beside)
        return model

    @staticmethod
    def supported_backbones() -> list[str]:
        """Return the names that `backbone` takes besides timm encoders (with the prefix `tu-`).

        Raises:
            MissingPackageError: segmentation-models-pytorch is not installed.
        """
        return supported_backbones()


def _or(given: T | None, default: T) -> T:
    return default if given is None else given


def _start(given: Start, own: Start, card: DataCard) -> Start:
    """Return the start of a generator; pairs of two pixel sizes have none.

    Raises:
        InvalidInputError: One is asked for, but the target has other pixels than the source.
    """
    if card.factor == 1 or given == "none":
        return own if given == "auto" else given
    if given == "pixel":
        raise InvalidInputError(
            f"start is 'pixel', which translates pixel by pixel, but the target has {card.factor} "
            "times as many pixels along an axis as the source; leave start out, or give 'none'."
        )
    return "none"


def _generator(card: DataCard, config: Pix2PixConfig) -> Any:
    seen, made = source_channels(card.source), card.target.bands
    if config.start == "none":
        return rescaled(
            lambda bands, bounded: _network(seen, bands, config, bounded=bounded),
            made,
            card.factor,
            width=config.ngf,
            padding=config.padding,
            bounded=card.target.scaling.bounded,
        )
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
    check_chip_size(config.n_layers, card.target_size)
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
