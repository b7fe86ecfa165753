"""Configurations of the translators, and the recipes of Pix2Pix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from geotranslate.checks import choice, number, shown, whole_number
from geotranslate.chips.bands import DataCard, Side
from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import INIT_GAIN, Padding, Upsample
from geotranslate.networks.normalization import Norm
from geotranslate.networks.unet import depth_for
from geotranslate.schema import (
    Check,
    Fields,
    Later,
    anything,
    one_of,
    optional,
    real,
    record,
    text,
    truth,
    whole,
)
from geotranslate.training.callbacks import DECAY, ScaledL1, Schedule
from geotranslate.training.learner import BETAS, LEARNING_RATE
from geotranslate.training.objectives import GanMode

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_LAYERS = 5
MAX_FILTERS = 1024
MAX_BLOCKS = 64
L1_SCALES = (1, 2, 4)
"""Sides of the blocks over which differences are summed for the L1, px."""

weight = real(least=0)
share = real(least=0, below=1)


def l1_scale(name: str, value: object) -> int:
    """Return a size of blocks for the L1 after checking it."""
    found = whole_number(name, value, 1, max(L1_SCALES))
    if found not in L1_SCALES:
        raise InvalidInputError(
            f"{name} is {found}; give 1 for the L1 at full size, 2 at half or 4 at a quarter."
        )
    return found


def option(check: Check, *, before: Any = MISSING) -> Any:
    """Return the dataclass field of an option.

    Args:
        check: The check of its values.
        before: Value in cards of earlier versions, which lack the option.
    """
    return field(metadata={"check": check if before is MISSING else Later(check, before)})


class LayerOptions(TypedDict):
    """Options that all generators take."""

    ngf: int
    norm: Norm
    upsample: Upsample
    padding: Padding
    dropout: float


@dataclass(frozen=True, kw_only=True)
class TranslatorConfig:
    """Arguments that rebuild a translator, documented there; subclasses add them.

    Raises:
        InvalidInputError: A value is invalid; the sentence names it.
    """

    def __post_init__(self) -> None:
        for name, check in self.checks().items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    @classmethod
    def checks(cls) -> Fields:
        """Return the check of each option by name."""
        return {each.name: each.metadata["check"] for each in fields(cls)}

    @classmethod
    def from_card(cls, options: Mapping[str, Any]) -> Self:
        """Return the configuration from the options of a card.

        Raises:
            InvalidInputError: An option is missing, unknown or invalid.
        """
        return cls(**record(cls.checks())("options", options))


@dataclass(frozen=True, kw_only=True)
class GanConfig(TranslatorConfig):
    """Arguments of translators with normalized generators and discriminators.

    Raises:
        InvalidInputError: A value is invalid; the sentence names it.
    """

    ngf: int = option(whole(1, MAX_FILTERS))
    ndf: int = option(whole(1, MAX_FILTERS))
    n_layers: int = option(whole(0, MAX_LAYERS))
    norm: Norm = option(one_of(Norm))
    upsample: Upsample = option(one_of(Upsample))
    padding: Padding = option(one_of(Padding))
    dropout: float = option(share)
    label_smoothing: float = option(share)
    init_gain: float = option(real(above=0, most=1), before=INIT_GAIN)

    @property
    def layers(self) -> LayerOptions:
        """The options that all generators take."""
        return {
            "ngf": self.ngf,
            "norm": self.norm,
            "upsample": self.upsample,
            "padding": self.padding,
            "dropout": self.dropout,
        }

    @property
    def discriminator_norm(self) -> Norm:
        """Normalization of discriminators, which are not used on tiles and cannot cause seams."""
        return "batch" if self.norm in ("renorm", "channel") else self.norm


def check_losses(lambda_l1: float, lambda_gan: float, perceptual_loss: float) -> None:
    """Check the weights of the generator losses.

    Raises:
        InvalidInputError: No loss is left, or one compares features of a missing discriminator.
    """
    if not (lambda_l1 or lambda_gan):
        raise InvalidInputError("lambda_l1 and lambda_gan are 0; give one of them above 0.")
    if perceptual_loss and not lambda_gan:
        raise InvalidInputError(
            "perceptual_loss compares features of the discriminator, which lambda_gan=0 leaves "
            "out; give lambda_gan above 0, or no perceptual_loss."
        )


def check_smoothing(smoothing: float, gan_mode: GanMode) -> None:
    """Refuse smoothed labels of a loss that has none.

    Raises:
        InvalidInputError: The loss has no labels.
    """
    if smoothing and gan_mode in ("hinge", "wgangp"):
        raise InvalidInputError(
            f"label_smoothing is {smoothing} but gan_mode={gan_mode!r} has no labels; give "
            "label_smoothing=0 or another gan_mode."
        )


def norm_for(gan_mode: GanMode, norm: Norm) -> Norm:
    """Return a discriminator's normalization; with "wgangp", it mixes no images of a batch."""
    return "instance" if gan_mode == "wgangp" and norm == "batch" else norm


@dataclass(frozen=True, kw_only=True)
class LeastSquaresConfig(GanConfig):
    """Arguments of translators whose adversarial loss is least squares by default.

    Raises:
        InvalidInputError: A value is invalid, or incompatible with another one.
    """

    lsgan: bool = option(truth)
    gan_mode: GanMode | None = option(optional(one_of(GanMode)), before=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_smoothing(self.label_smoothing, self.loss)

    @property
    def loss(self) -> GanMode:
        """The adversarial loss."""
        return self.gan_mode or ("lsgan" if self.lsgan else "vanilla")

    @property
    def discriminator_norm(self) -> Norm:
        """Normalization of the discriminators."""
        return norm_for(self.loss, super().discriminator_norm)


@dataclass(frozen=True)
class FitDefaults:
    """Defaults of the arguments of `fit`, and the betas of Adam."""

    lr: float = LEARNING_RATE
    betas: tuple[float, float] = BETAS
    schedule: Schedule = "constant"
    ema: float = DECAY
    monitor: str = "valid_l1"


Network = Literal["unet", "resunet", "resnet9", "resnet6"]
RecipeName = Literal["auto", "measurement", "picture", "seamless", "paper"]
Start = Literal["auto", "pixel", "none"]

PAPER = FitDefaults()
FAST = FitDefaults(5e-4, (0.9, 0.99), "cosine", 0.995)


@dataclass(frozen=True)
class Recipe:
    """Defaults of the arguments of `Pix2Pix` and of its `fit`."""

    fit: FitDefaults
    generator: Network = "unet"
    start: Start = "none"
    norm: Norm = "batch"
    upsample: Upsample = "resize"
    padding: Padding = "zeros"
    lambda_gan: float = 1.0
    gan_after: float = 0.0


RECIPES = {
    "measurement": Recipe(FAST, "resunet", "pixel", lambda_gan=0.0),
    "picture": Recipe(FAST, gan_after=0.8),
    "seamless": Recipe(PAPER),
    "paper": Recipe(PAPER, upsample="transposed"),
}
"""The recipes by name; docs/measured.md has the errors that led to them."""

RESIDUAL_DEPTH = 3
"""Default levels of a ResUNet."""

FEATURE_WEIGHT = 10.0
"""Weight of `perceptual_loss=True`, as in pix2pixHD."""


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig(GanConfig):
    """Arguments that rebuild a Pix2Pix, with the recipe's defaults filled in.

    Raises:
        InvalidInputError: An argument is invalid, or incompatible with another one.
    """

    recipe: str = option(one_of(RECIPES))
    start: Start = option(one_of(("pixel", "none")), before="none")
    backbone: str | None = option(optional(text))
    generator: Network = option(one_of(Network))
    # Checked by `for_chips`, because its bounds depend on the chips.
    depth: int | None = option(anything)
    lambda_l1: float = option(weight)
    l1_scale: int = option(l1_scale, before=1)
    lambda_gan: float = option(weight)
    gan_after: float = option(share, before=0.0)
    gan_mode: GanMode = option(one_of(GanMode))
    perceptual_loss: float = option(weight)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_losses(self.lambda_l1, self.lambda_gan, self.perceptual_loss)
        check_smoothing(self.label_smoothing, self.gan_mode)
        if self.generator == "resunet" and self.init_gain != INIT_GAIN and not self.lambda_gan:
            raise InvalidInputError(
                f"init_gain is {self.init_gain}, but a ResUNet draws its weights in its own way; "
                "leave init_gain out, or give generator='unet'."
            )

    @property
    def discriminator_norm(self) -> Norm:
        """Normalization of the discriminator."""
        return norm_for(self.gan_mode, super().discriminator_norm)

    def for_chips(self, card: DataCard, *, single: bool) -> Pix2PixConfig:
        """Return the configuration with `depth` checked, or set by default, for the chips.

        Args:
            card: Card of the data.
            single: Whether batches have a single pair.

        Raises:
            InvalidInputError: The depth is invalid, or both `backbone` and `generator` are given.
        """
        return replace(self, depth=self._depth(card.chip_size, single=single))

    def _depth(self, chip_size: int, *, single: bool) -> int | None:
        """Return the levels of the U-Net; None for generators that have no levels to choose."""
        given, most = self.depth, depth_for(chip_size)
        if self.backbone is not None and self.generator != "unet":
            raise InvalidInputError(
                f"backbone is {self.backbone!r}, which is the encoder of a U-Net, but generator "
                f"is {self.generator!r}; give one of the two."
            )
        if self.generator == "resunet":
            most = chip_size.bit_length() - 3
            own = min(RESIDUAL_DEPTH, most)
            return own if given is None else whole_number("depth", given, 1, most)
        if self.backbone is None and self.generator == "unet":
            if given is not None:
                return whole_number("depth", given, 2, most)
            return most - (chip_size == 2**most and self._loses_a_pixel(single=single))
        if given is not None:
            raise InvalidInputError(
                f"depth is {shown(given)}, but only a U-Net without backbone has levels to choose; "
                "leave it out."
            )
        return None

    def _loses_a_pixel(self, *, single: bool) -> bool:
        """Tell whether the decoder would normalize a single innermost pixel away.

        The pixel, repeated and padded with itself, is an image of one color. If the mean of the
        image is subtracted, the innermost level has no effect and no gradient, and running
        deviations become 0.
        """
        repeats = self.upsample == "resize" and self.padding != "zeros"
        norms = ("instance", "group", *(("batch", "renorm") if single else ()))
        return repeats and self.norm in norms


def loss_callbacks(scale: int) -> list[ScaledL1]:
    """Return the callback that computes the L1 at a fraction of the size; none for a scale of 1."""
    return [ScaledL1(scale)] if scale > 1 else []


def recipe_name(given: RecipeName, target: Side) -> str:
    """Return the name of a recipe; the target determines "auto".

    Raises:
        InvalidInputError: There is no such recipe.
    """
    choice("recipe", given, get_args(RecipeName))
    if given != "auto":
        return given
    return "picture" if target.is_picture else "measurement"


def feature_weight(perceptual_loss: bool | float) -> float:
    """Return the weight of the feature loss for an argument `perceptual_loss`."""
    if isinstance(perceptual_loss, bool):
        return FEATURE_WEIGHT if perceptual_loss else 0.0
    return number("perceptual_loss", perceptual_loss, least=0)
