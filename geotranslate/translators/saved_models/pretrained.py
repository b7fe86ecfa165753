"""Pretrained weights, of a saved model or of an encoder alone."""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from geotranslate.checks import choice, class_list, file_path, shown
from geotranslate.chips.bands import DataCard, Side
from geotranslate.errors import InvalidInputError, ModelFileError, said, warn
from geotranslate.networks.backbone import BackboneUNet, imagenet_weights
from geotranslate.networks.onehot import unwrapped
from geotranslate.networks.resnet import LocalEnhancer
from geotranslate.training.learner import AdversarialPair
from geotranslate.training.run_folder import shapes_in
from geotranslate.translators.config import TranslatorConfig
from geotranslate.translators.saved_models.card import Card
from geotranslate.translators.saved_models.modelfolder import CARD_FILE, read_model

ARCHITECTURE = (
    "start",
    "backbone",
    "generator",
    "gen_blocks",
    "gen_network",
    "n_downsample_global",
    "n_blocks_global",
    "n_local_enhancers",
    "n_blocks_local",
    "n_dscr",
    "depth",
    "ngf",
    "ndf",
    "n_layers",
    "norm",
    "upsample",
    "padding",
    "source bands",
    "target bands",
    "the source",
    "the factor of the target's pixels",
)
COARSE = (
    "n_downsample_global",
    "n_blocks_global",
    "ngf",
    "norm",
    "upsample",
    "source bands",
    "the source",
    "the factor of the target's pixels",
)
"""Arguments that a local generator and the global one loaded into it must have in common."""


def holds_encoder(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path leads to an encoder's weights, not to a saved model."""
    return not (os.path.isdir(path) or Path(path).name == CARD_FILE)


def start_from(
    path: str | os.PathLike[str], pair: AdversarialPair, card: DataCard, config: TranslatorConfig
) -> None:
    """Load the weights of a saved model, or of an encoder, which is then frozen.

    No code from the files is executed.

    Args:
        path: Folder that `save` wrote, or the card in it; or a file with an encoder's state dict,
            saved by torch or safetensors.
        pair: The networks.
        card: Card of the new model's data.
        config: Arguments of the new model.

    Raises:
        ModelFileError: The file cannot be read, or its weights do not fit.
        InvalidInputError: The file is not a saved model and the generator has no backbone.
    """
    file = file_path("pretrained_path", path)
    if not holds_encoder(file):
        _continue(path, pair, card, config)
        return
    generator = unwrapped(pair.generator)
    if not isinstance(generator, BackboneUNet):
        raise InvalidInputError(
            f"pretrained_path is {path}, which is no folder of a saved model; give one, or say "
            "with backbone which encoder the file is for, where the model takes one."
        )
    try:
        generator.load_encoder(_state_dict(file))
    except InvalidInputError as error:
        raise ModelFileError(
            f"The weights of {path} are not those of the backbone {vars(config)['backbone']}: "
            f"{said(error)}."
        ) from error
    generator.freeze()


def start_from_imagenet(
    pair: AdversarialPair, config: TranslatorConfig, weights: object, pretrained_path: object
) -> None:
    """Load an encoder's weights of ImageNet, downloaded or from the cache, and freeze it.

    Args:
        pair: The networks.
        config: Arguments of the new model.
        weights: The argument of that name.
        pretrained_path: The argument of that name, which has to be None.

    Raises:
        InvalidInputError: The arguments do not fit each other.
        ModelFileError: There are no such weights, or they cannot be downloaded.
    """
    choice("weights", weights, ("imagenet",))
    generator = unwrapped(pair.generator)
    if not isinstance(generator, BackboneUNet):
        raise InvalidInputError(
            "weights is 'imagenet', which is for the encoder that backbone names; give a backbone "
            "such as 'resnet18', or leave weights out."
        )
    if pretrained_path is not None:
        raise InvalidInputError(
            f"weights is 'imagenet' and pretrained_path is {shown(pretrained_path)}; give one of "
            "the two."
        )
    generator.load_encoder(imagenet_weights(generator.backbone))
    generator.freeze()


def _continue(
    path: str | os.PathLike[str], pair: AdversarialPair, card: DataCard, config: TranslatorConfig
) -> None:
    former, weights = read_model(path)
    weights = _translating(weights)
    if former.options.get("gen_network") == "global" and isinstance(
        unwrapped(pair.generator), LocalEnhancer
    ):
        if not _load_coarse(pair, weights):
            raise ModelFileError(
                f"The generator of {path} does not fit into this model's: "
                f"{_differences(former, card, config, COARSE)}. "
                "Give the same arguments and bands, or another pretrained_path."
            )
    else:
        _load_all(path, pair, weights, former, card, config)
    there, here = _class_numbers(former.data.source), _class_numbers(card.source)
    if there != here:
        warn(
            f"The model of {path} was trained on the classes {class_list(there)} and this one is "
            f"on {class_list(here)}: each starts with what was learned of the one at its place. "
            "Where they mean something else, leave pretrained_path out.",
        )


def _class_numbers(side: Side) -> tuple[int, ...]:
    """Return the class numbers of a side, in the order of the channels."""
    return tuple(itertools.chain(side.class_numbers, *side.class_bands or ()))


def _load_all(
    path: str | os.PathLike[str],
    pair: AdversarialPair,
    weights: dict[str, Tensor],
    former: Card,
    card: DataCard,
    config: TranslatorConfig,
) -> None:
    fitting: dict[str, Tensor] = {}
    for name, network in pair.named_children():
        own = {f"{name}.{key}": value for key, value in network.state_dict().items()}
        found = {key: value for key, value in weights.items() if key.startswith(f"{name}.")}
        # If the saved model has no discriminator, the new one keeps its initial weights.
        if name != "discriminator" or found:
            if _shapes(own) != _shapes(found):
                raise ModelFileError(
                    f"The {name} of {path} has other weights than this model's: "
                    f"{_differences(former, card, config)}. "
                    "Give the same arguments and bands, or another pretrained_path."
                )
            fitting |= found
    pair.load_state_dict(fitting, strict=False)


def _load_coarse(pair: AdversarialPair, weights: dict[str, Tensor]) -> bool:
    """Load a global generator into a local one and freeze it; return whether it fits."""
    generator = unwrapped(pair.generator)
    assert isinstance(generator, LocalEnhancer)
    # Both take bands or both take one-hot classes, and both have one factor.
    prefix, outer = "generator.", pair.generator
    while outer is not generator:
        prefix, outer = f"{prefix}network.", outer.get_submodule("network")
    found = {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }
    try:
        generator.load_coarse(found)
    except InvalidInputError:
        return False
    generator.freeze()
    return True


def _translating(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a saved pair, with an average, if any, as the generator's weights."""
    average = "average.module."
    found = {
        f"generator.{name.removeprefix(average)}": value
        for name, value in weights.items()
        if name.startswith(average)
    }
    return weights | found


def _shapes(weights: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in weights.items()}


def _differences(
    former: Card,
    card: DataCard,
    config: TranslatorConfig,
    compared: Sequence[str] = ARCHITECTURE,
) -> str:
    unknown = f"it is a {former.translator}, or of another version"
    options = asdict(config)
    if former.options.keys() != options.keys():
        return unknown
    there, here = (
        {
            **made,
            "source bands": data.source.bands,
            "target bands": data.target.bands,
            "the source": _kind(data.source),
            "the factor of the target's pixels": data.factor,
        }
        for made, data in ((former.options, former.data), (options, card))
    )
    names = [name for name in compared if name in here and there[name] != here[name]]
    found = [f"{name} is {there[name]} there and {here[name]} here" for name in names]
    return ", ".join(found) or unknown


def _kind(side: Side) -> str:
    if side.class_bands is not None:
        return f"layers of which some hold classes ({class_list(_class_numbers(side))})"
    if side.classes is None:
        return "quantities"
    return f"{side.classes.count} ({class_list(side.class_numbers)})"


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        if not os.path.isfile(path):
            raise FileNotFoundError("there is no such file")
        if path.suffix == ".safetensors":
            shapes_in(path)
            return load_file(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(values, dict) and all(isinstance(one, Tensor) for one in values.values()):
            return values
        reason = "it holds something else"
    except (
        *(OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError),
        *(AttributeError, LookupError, TypeError, ValueError),
    ) as error:
        reason = f"{type(error).__name__}: {said(error).splitlines()[0]}"
    raise ModelFileError(
        f"No weights can be read from {path} ({reason}); give a file with the state dict of an "
        "encoder, or the folder of a saved model."
    )
