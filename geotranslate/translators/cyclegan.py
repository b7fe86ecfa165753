"""CycleGAN: two generators trained without pairs (Zhu et al. 2017, arXiv:1703.10593)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastai.data.core import DataLoaders
from torch import nn

from geotranslate.chips.bands import DataCard, Direction, Side
from geotranslate.data import RgbBands, data_card, draw_table, validates_pairs
from geotranslate.data.loaders import Part
from geotranslate.errors import InvalidInputError
from geotranslate.metrics import Metrics, Palette
from geotranslate.migration import checks_arguments
from geotranslate.networks.layers import Padding, Upsample, seeded
from geotranslate.networks.normalization import Norm
from geotranslate.networks.onehot import TwoWay
from geotranslate.networks.patchgan import PatchGAN, check_chip_size
from geotranslate.networks.resnet import ResNet
from geotranslate.prediction.inference import Inference, torch_inference
from geotranslate.prediction.predictor import Predictor
from geotranslate.schema import real, whole
from geotranslate.training.callbacks import CycleValidation
from geotranslate.training.learner import AdversarialPair
from geotranslate.training.objectives import CycleObjective, GanMode
from geotranslate.translators.base import Translator
from geotranslate.translators.config import (
    MAX_BLOCKS,
    FitDefaults,
    LeastSquaresConfig,
    option,
    weight,
)
from geotranslate.translators.display import rows_of
from geotranslate.translators.registry import register
from geotranslate.translators.runs.measuring import (
    cycle_rows,
    fill_of,
    items_of,
    measure_cycle,
    part_of,
)
from geotranslate.translators.saved_models.pretrained import start_from
from geotranslate.translators.saved_models.reference_weights import (
    ReferenceGenerator,
    cycle_arguments,
    cycle_files,
    discriminator_arguments,
    discriminator_file,
    discriminator_layers,
    load,
    read_weights,
)

if TYPE_CHECKING:
    from typing_extensions import Self

MIN_CHIP_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig(LeastSquaresConfig):
    """Arguments that rebuild a CycleGAN."""

    gen_blocks: int = option(whole(1, MAX_BLOCKS))
    lambda_cycle: float = option(real(above=0))
    lambda_identity: float = option(weight)
    pool_size: int = option(whole(0, 10_000))


@register
class CycleGAN(Translator):
    """Translate between two kinds of rasters in both directions, without pairs.

    Two ResNets translate, one from source to target and one back, and two PatchGANs discriminate
    real and translated images of each side. The cycle consistency loss requires that translating an
    image there and back restores it. If you have pairs, `Pix2Pix` makes better use of them. The
    `seed` of the data determines the initial weights.

    Args:
        data: Loaders from `prepare_data`, of unpaired chips or of pairs.
        pretrained_path: Weights to start from: the folder of a saved CycleGAN with the same
            networks. Nothing is downloaded.
        gen_blocks: Residual blocks of each generator. The paper uses 9, or 6 for chips of 128 px.
        lsgan: Whether the adversarial loss is least squares; otherwise cross-entropy.
        gan_mode: The adversarial loss in place of `lsgan`: "vanilla", "lsgan", "hinge" or "wgangp",
            see `Pix2Pix`.
        lambda_cycle: Weight of the L1 difference, in -1..1, between an image and its round trip.
        lambda_identity: Weight of the identity loss, as a share of `lambda_cycle`: the change that
            a generator makes to images that already belong to its target side. Not used, and 0 in
            `config`, if the sides have different bands.
        pool_size: Number of former translations kept for each discriminator; 0 for none.
        ngf: Filters of the generators' first convolution.
        ndf: Filters of the discriminators' first layer.
        n_layers: Layers of the discriminators that halve the image, see `Pix2Pix`.
        norm: Normalization of all networks, see `Pix2Pix`; "renorm" and "channel" are experimental.
        upsample: Layers that double the sides in the generators, see `Pix2Pix`.
        padding: Padding of the generators' convolutions at tile edges, see `Pix2Pix`.
        dropout: Dropout probability in the residual blocks.
        label_smoothing: Amount by which the discriminators' labels of real images are below 1.
        init_gain: Standard deviation of the initial weights.

    Raises:
        InvalidInputError: The chips are smaller than 16 px or than the discriminators need, or an
            argument is invalid.
        ModelFileError: The weights of `pretrained_path` cannot be read or do not fit.
    """

    config_class = CycleGANConfig

    @checks_arguments
    def __init__(
        self,
        data: DataLoaders | DataCard,
        *,
        pretrained_path: str | os.PathLike[str] | None = None,
        gen_blocks: int = 9,
        lsgan: bool = True,
        gan_mode: GanMode | None = None,
        lambda_cycle: float = 10.0,
        lambda_identity: float = 0.5,
        pool_size: int = 50,
        ngf: int = 64,
        ndf: int = 64,
        n_layers: int = 3,
        norm: Norm = "instance",
        upsample: Upsample = "resize",
        padding: Padding = "reflect",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        init_gain: float = 0.02,
    ) -> None:
        config = CycleGANConfig(
            gen_blocks=gen_blocks,
            lsgan=lsgan,
            gan_mode=gan_mode,
            lambda_cycle=lambda_cycle,
            lambda_identity=lambda_identity,
            pool_size=pool_size,
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
        card = data_card(data)
        if card.factor != 1:
            raise InvalidInputError(
                "CycleGAN translates between chips of one pixel size, but the targets of the data "
                f"have {card.factor} times as many pixels along an axis as their sources; use "
                "Pix2Pix or Pix2PixHD, or export chips of one pixel size."
            )
        if card.chip_size < MIN_CHIP_SIZE:
            raise InvalidInputError(
                f"Chips of {card.chip_size} px are too small for a CycleGAN; use chips of "
                f"{MIN_CHIP_SIZE} px or more."
            )
        if not _same_bands(card.source, card.target):
            config = replace(config, lambda_identity=0.0)
        with seeded(card.seed, config.init_gain):
            forth = _generator(card.source, card.target, config)
            generators = TwoWay(forth, _generator(card.target, card.source, config))
            of_source = _discriminator(card.source, card.chip_size, config)
            of_target = _discriminator(card.target, card.chip_size, config)
        pairs, fill = validates_pairs(data), fill_of(card.target)
        objective = CycleObjective(
            generators,
            of_source=of_source,
            of_target=of_target,
            fill=fill,
            gan_mode=config.loss,
            lambda_cycle=config.lambda_cycle,
            lambda_identity=config.lambda_identity,
            pool_size=config.pool_size,
            label_smoothing=config.label_smoothing,
        )
        monitor = "valid_l1" if pairs else "valid_cycle"
        super().__init__(
            data,
            AdversarialPair(
                generators, nn.ModuleDict({"of_source": of_source, "of_target": of_target})
            ),
            config,
            objective=objective,
            checks=[CycleValidation(fill, paired=pairs)],
            defaults=FitDefaults(schedule="linear_decay", monitor=monitor),
        )
        back = Inference(self._ways().back, card.reversed(), forth.stride, forth.radius)
        self._back = Predictor(back, self, direction="BtoA")
        self._back.opposite, self.predictor.opposite = self.predictor, self._back
        if pretrained_path is not None:
            start_from(pretrained_path, self.pair, card, config)

    @classmethod
    @checks_arguments
    def from_pytorch_cyclegan(cls, path: str | os.PathLike[str], data: DataLoaders) -> Self:
        """Return a model with weights of the public code of CycleGAN in PyTorch.

        ResNets of any number of blocks are recognized by the names and shapes of their weights,
        with their normalization. Their convolutions of stride 2 pad with zeros, which are
        reflections here, so translations differ near the edges. The weights of the discriminators
        are read, too, if their files lie beside the generators'; otherwise they start anew. No code
        from the files is executed.

        Args:
            path: The folder that holds `latest_net_G_A.pth` and `latest_net_G_B.pth`, or one of two
                such files, of any epoch.
            data: Loaders with the bands of the model, scaled like its own data; 0..255 for uint8.
                Its source is the side A.

        Raises:
            ModelFileError: A file is missing, cannot be read, or holds other networks.
            InvalidInputError: The data has other bands or chips too small for the networks, or the
                generators are no ResNets.
        """
        files = cycle_files(path)
        card = data_card(data)
        bands = card.source.bands, card.target.bands
        ways = [
            ReferenceGenerator.read(file, both)
            for file, both in zip(files, (bands, bands[::-1]), strict=True)
        ]
        arguments = cycle_arguments(ways[0], ways[1], files[0].parent)
        # Their discriminator A sees the translations of generator A, images of our target.
        sides = zip(("of_target", "of_source"), map(discriminator_file, files), strict=True)
        seen = {side: (read_weights(file), file) for side, file in sides if file is not None}
        for weights, _ in seen.values():
            arguments |= discriminator_arguments(weights)
        model = cls(data, **arguments)
        networks = model._ways()
        ways[0].load_into(networks.forth, files[0])
        ways[1].load_into(networks.back, files[1])
        assert isinstance(model.pair.discriminator, nn.ModuleDict)
        for side, (weights, file) in seen.items():
            load(model.pair.discriminator[side], weights, discriminator_layers(weights), file)
        return model

    @checks_arguments
    def show_results(
        self,
        rows: int | None = None,
        rgb_bands: RgbBands | None = None,
        *,
        data: DataLoaders | None = None,
        which: Part | None = None,
    ) -> Any:
        """Draw chips of both sides, translated and back again; return the figure.

        Args:
            rows: Number of chips of each side, 2 by default; warns if there are fewer.
            rgb_bands: Three bands to draw as colors or one to draw in gray, by number from 1, on
                the sides that have them; by default the first three, or the first of fewer.
            data: Loaders whose chips are drawn; by default the loaders of the training.
            which: Part of the data, as in `compute_metrics`.

        Raises:
            InvalidInputError: The model was loaded without data and none is given, `rows` is not a
                number of chips, or no side has the bands.
        """
        chips = items_of(self.card, self._loaders(data), self.data, which)
        return self._drawn(chips, rows, rgb_bands)

    def _drawn(self, pairs: Any, rows: int | None, rgb_bands: RgbBands | None = None) -> Any:
        shown = [pairs[i] for i in range(rows_of(rows, len(pairs)))]
        there, back = (torch_inference(way.inference) for way in (self.predictor, self._back))
        table = cycle_rows(there, back, shown)
        source, target = self.card.source, self.card.target
        return draw_table(
            table,
            ("source", "translation", "and back", "target", "translation", "and back"),
            sides=(source, target, source, target, source, target),
            rgb_bands=rgb_bands,
        )

    @checks_arguments
    def compute_metrics(
        self,
        metrics: Sequence[str] | None = None,
        *,
        data: DataLoaders | None = None,
        palette: Palette | None = None,
        direction: Direction = "AtoB",
        which: Part | None = None,
    ) -> Metrics:
        """Measure the translations of chips.

        Pairs are measured as by `Pix2Pix`. Unpaired chips are translated there and back and
        compared with themselves, in their own units; these measures have the prefix `cycle_`.
        `fid`, if asked for, compares the translations with chips of the other side.

        Args:
            metrics: Names of measures; by default all but `lpips` and `fid`.
            data: Loaders from `prepare_data` whose chips are measured; by default the loaders of
                the training.
            palette: Colors of the classes in all bands, for sides that show classes in colors.
            direction: "BtoA" to translate from target to source; this result is not kept.
            which: Part of the data: "train", "val", "test" or "all". By default "val" for the data
                of the training, else "all".

        Raises:
            InvalidInputError: The model was loaded without data and none is given, the data differs
                from the training data, there is no such measure, or packages or weights are
                missing.
        """
        loaders = self._loaders(data)
        if validates_pairs(loaders):
            return super().compute_metrics(
                metrics, data=data, palette=palette, direction=direction, which=which
            )
        part = part_of(self.card, loaders, self.data, which)
        there = self.towards(direction)
        back = self.towards("AtoB" if direction == "BtoA" else "BtoA")
        found = measure_cycle(there, back, loaders, metrics, palette, part)
        if data is None and part == "val" and there is self.predictor and self._next is None:
            self.metrics = found
        return found

    def _ways(self) -> TwoWay:
        ways = self.pair.translating
        assert isinstance(ways, TwoWay)
        return ways

    def _network(self) -> nn.Module:
        return self._ways().forth

    def _renew(self) -> None:
        super()._renew()
        now = torch_inference(self._back.inference)
        self._back.inference = now.renewed(self._ways().back, self.card.reversed())


def _same_bands(source: Side, target: Side) -> bool:
    named = all((*source.band_names, *target.band_names))
    return source.bands == target.bands and (not named or source.band_names == target.band_names)


def _generator(source: Side, target: Side, config: CycleGANConfig) -> ResNet:
    return ResNet(
        source.bands,
        target.bands,
        blocks=config.gen_blocks,
        bounded=target.scaling.bounded,
        **config.layers,
    )


def _discriminator(side: Side, chip_size: int, config: CycleGANConfig) -> PatchGAN:
    check_chip_size(config.n_layers, chip_size)
    return PatchGAN(
        side.bands, ndf=config.ndf, n_layers=config.n_layers, norm=config.discriminator_norm
    )
