"""What a Pix2Pix is told: its recipes, what its arguments can be, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from geotranslate.checks import choice, number, whole_number
from geotranslate.chips.bands import DataCard, Side
from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import Padding, Upsample
from geotranslate.networks.normalization import Norm
from geotranslate.networks.unet import depth_for
from geotranslate.schema import (
    Fields,
    Later,
    anything,
    checked,
    one_of,
    optional,
    real,
    text,
    whole,
)
from geotranslate.training.callbacks.ema import DECAY
from geotranslate.training.callbacks.schedule import Schedule
from geotranslate.training.objectives import GanMode
from geotranslate.training.optimizer import BETAS, LEARNING_RATE

Network = Literal["unet", "resunet", "resnet9", "resnet6"]
Recipe = Literal["auto", "measurement", "picture", "seamless", "paper"]
Start = Literal["auto", "pixel", "none"]

_RESIZED = {"generator": "unet", "norm": "batch", "upsample": "resize", "padding": "zeros"}
_TRANSPOSED = _RESIZED | {"upsample": "transposed"}
RECIPES: dict[str, dict[str, Any]] = {
    "measurement": _RESIZED
    | {"generator": "resunet", "start": "pixel", "lambda_gan": 0.0, "gan_after": 0.0},
    "picture": _RESIZED | {"start": "none", "lambda_gan": 1.0, "gan_after": 0.8},
    "seamless": _RESIZED | {"start": "none", "lambda_gan": 1.0, "gan_after": 0.0},
    "paper": _TRANSPOSED | {"start": "none", "lambda_gan": 1.0, "gan_after": 0.0},
}
"""What arguments are that are not given."""
AUTOMATIC = ("start", "lambda_gan")
"""Arguments that can be "auto"."""


@dataclass(frozen=True)
class FitDefaults:
    """What the arguments of `fit` are by default, and the betas of Adam."""

    lr: float = LEARNING_RATE
    betas: tuple[float, float] = BETAS
    schedule: Schedule = "constant"
    ema: float = DECAY


PAPER = FitDefaults()
FAST = FitDefaults(5e-4, (0.9, 0.99), "cosine", 0.995)
FIT_DEFAULTS = {"measurement": FAST, "picture": FAST, "seamless": PAPER, "paper": PAPER}
"""Those of every recipe, see docs/measured.md for the errors that they were chosen by."""

MAX_LAYERS = 5
MAX_FILTERS = 1024
MAX_BLOCKS = 64
RESIDUAL_DEPTH = 3
"""Levels of a ResUNet by default."""

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
    "recipe": one_of(RECIPES),
    "start": Later(one_of(("pixel", "none")), "none"),
    "backbone": optional(text),
    "generator": one_of(Network),
    "depth": anything,  # its bounds are those of the chips, see depth_of
    "lambda_l1": weight,
    "lambda_gan": weight,
    "gan_after": Later(share, 0.0),
    "gan_mode": one_of(GanMode),
    "perceptual_loss": weight,
}
"""Options of a Pix2Pix, the only ones that its card may hold; all are decided there."""

FEATURE_WEIGHT = 10.0
"""That of pix2pixHD."""


def feature_weight(perceptual_loss: bool | float) -> float:
    """Return the weight that `perceptual_loss` is."""
    if isinstance(perceptual_loss, bool):
        return FEATURE_WEIGHT if perceptual_loss else 0.0
    return number("perceptual_loss", perceptual_loss, least=0)


def complete(options: dict[str, Any], target: Side) -> dict[str, Any]:
    """Return the options of a Pix2Pix with all that is not given, or "auto", decided.

    Args:
        options: As they were given.
        target: What is translated to, whose kind decides on the recipe.

    Raises:
        InvalidInputError: There is no such recipe or start.
    """
    recipe = choice("recipe", options["recipe"], get_args(Recipe))
    choice("start", options["start"], get_args(Start))
    if recipe == "auto":
        recipe = "picture" if target.is_picture else "measurement"
    found = options | {
        name: value
        for name, value in RECIPES[recipe].items()
        if options[name] is None or (name in AUTOMATIC and _is_auto(options[name]))
    }
    if options["backbone"] is not None and options["generator"] is None:
        found["generator"] = "unet"
    return found | {"recipe": recipe}


def _is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"


def check(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a Pix2Pix as plain values, as a card holds them.

    Raises:
        InvalidInputError: There is no such recipe.
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
    if options["generator"] == "resunet":
        most = card.chip_size.bit_length() - 3
        return min(RESIDUAL_DEPTH, most) if given is None else whole_number("depth", given, 1, most)
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
    """Tell whether a decoder that begins with a single pixel normalizes it away.

    Repeated, and extended by itself, it is one colour: as far as an image's mean is subtracted, the
    innermost level has no say and no gradient, and running deviations become 0.
    """
    repeats = options["upsample"] == "resize" and options["padding"] != "zeros"
    norms = ("instance", "group", *(("batch", "renorm") if alone else ()))
    return repeats and options["norm"] in norms
