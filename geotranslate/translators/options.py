"""What a Pix2Pix is told: its recipes, what its arguments can be, and what follows from them."""

from __future__ import annotations

from typing import Any, Literal

from geotranslate.checks import choice, number, whole_number
from geotranslate.chips.datacard import DataCard
from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import Padding, Upsample
from geotranslate.networks.norms import Norm
from geotranslate.networks.unet import depth_for
from geotranslate.schema import Fields, anything, checked, one_of, optional, real, text, whole
from geotranslate.training.losses import GanMode

Network = Literal["unet", "resnet9", "resnet6"]
Recipe = Literal["seamless", "paper"]

RECIPES: dict[str, dict[str, Any]] = {
    "seamless": {"norm": "batch", "upsample": "resize", "padding": "zeros"},
    "paper": {"norm": "batch", "upsample": "transposed", "padding": "zeros"},
}
"""What arguments are that are not given."""

MAX_LAYERS = 5
MAX_FILTERS = 1024
MAX_BLOCKS = 64

filters = whole(1, MAX_FILTERS)
layers = whole(0, MAX_LAYERS)
weight = real(least=0)
share = real(least=0, below=1)
SHARED: Fields = {
    "ngf": filters,
    "ndf": filters,
    "n_layers": layers,
    "norm": one_of(Norm),
    "upsample": one_of(Upsample),
    "padding": one_of(Padding),
    "dropout": share,
    "label_smoothing": share,
}
"""Options that all translators have."""

PIX2PIX: Fields = {
    **SHARED,
    "recipe": one_of(Recipe),
    "backbone": optional(text),
    "generator": one_of(Network),
    "depth": anything,  # its bounds are those of the chips, see depth_of
    "lambda_l1": weight,
    "lambda_gan": weight,
    "gan_mode": one_of(GanMode),
    "perceptual_loss": weight,
}
"""Options of a Pix2Pix, the only ones that its card may hold."""

FEATURE_WEIGHT = 10.0
"""That of pix2pixHD."""


def feature_weight(perceptual_loss: bool | float) -> float:
    """Return the weight that `perceptual_loss` is."""
    if isinstance(perceptual_loss, bool):
        return FEATURE_WEIGHT if perceptual_loss else 0.0
    return number("perceptual_loss", perceptual_loss, least=0)


def with_recipe(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of which those that are not given are those of the recipe.

    Raises:
        InvalidInputError: There is no such recipe.
    """
    recipe = RECIPES[choice("recipe", options["recipe"], RECIPES)]
    return options | {name: value for name, value in recipe.items() if options[name] is None}


def check(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a Pix2Pix as plain values, as a card holds them.

    Raises:
        InvalidInputError: One is impossible, or they are together.
    """
    options = checked(options, PIX2PIX)
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
    return options


def depth_of(card: DataCard, options: dict[str, Any], *, alone: bool) -> int | None:
    """Return the levels of the U-Net; None for generators that have no levels to choose.

    Args:
        card: What it is trained on.
        options: What it is made of.
        alone: Whether batches are of one pair.

    Raises:
        InvalidInputError: There is no such depth, or there are two encoders.
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
