"""Weights of the public code of CycleGAN and pix2pix in PyTorch, by the names of its layers.

Its networks are those of Isola et al. 2017 and Zhu et al. 2017. Three things differ. It joins a
skip connection before the decoder's output, ours after it. The convolutions of stride 2 of its
ResNets pad with zeros where ours reflect, which changes pixels near the edges. Its instance
normalization has no scale and shift, which are 1 and 0 here.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geotranslate.checks import file_path
from geotranslate.errors import InvalidInputError, ModelFileError, said
from geotranslate.networks.normalization import Norm

Weights = dict[str, Tensor]
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class ReferenceGenerator:
    """A generator of the reference code."""

    weights: Weights
    """Weights by the names of the reference code."""
    layers: Mapping[str, str]
    """Names of its layers by ours."""
    kind: str
    """Either unet or resnet."""
    size: int
    """Levels of a U-Net, blocks of a ResNet."""

    @classmethod
    def of(cls, weights: Weights, path: object) -> ReferenceGenerator:
        """Recognize the generator of a state dict.

        Raises:
            ModelFileError: It is another network.
        """
        if depth := _unet_depth(weights):
            return cls(weights, unet_layers(depth), "unet", depth)
        blocks = {int(name.split(".")[1]) for name in weights if ".conv_block." in name}
        if blocks and "model.1.weight" in weights:
            dropout = f"model.{min(blocks)}.conv_block.6.weight" in weights and (
                weights[f"model.{min(blocks)}.conv_block.6.weight"].ndim == 4
            )
            return cls(weights, resnet_layers(len(blocks), dropout), "resnet", len(blocks))
        raise ModelFileError(
            f"{path} holds neither a U-Net nor a ResNet of pytorch-CycleGAN-and-pix2pix (its names "
            f"begin with {', '.join(list(weights)[:3]) or 'nothing'}); give its latest_net_G.pth."
        )

    @classmethod
    def read(cls, file: Path, bands: tuple[int, int]) -> ReferenceGenerator:
        """Read the generator of a file.

        Args:
            file: The file.
            bands: Bands of source and target of the data.

        Raises:
            ModelFileError: The file cannot be read, or holds another network.
            InvalidInputError: The generator has other bands.
        """
        found = cls.of(read_weights(file), file)
        if found.bands != bands:
            raise InvalidInputError(
                f"The model of {file} translates {found.bands[0]} bands into {found.bands[1]}, but "
                f"the data has {bands[0]} and {bands[1]}; give other data, or choose its bands."
            )
        return found

    @property
    def first(self) -> Tensor:
        """Weight of the first convolution."""
        return self.weights["model.model.0.weight" if self.kind == "unet" else "model.1.weight"]

    @property
    def bands(self) -> tuple[int, int]:
        """Bands of source and target."""
        last = self.layers["head.1" if self.kind == "unet" else "head.0"]
        weight = self.weights[f"{last}.weight"]
        # A transposed convolution has the bands that it makes second.
        return self.first.shape[1], weight.shape[1 if self.kind == "unet" else 0]

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `Pix2Pix` for the same network."""
        own: dict[str, Any] = {"ngf": len(self.first), "norm": norm_of(self.weights)}
        if self.kind == "unet":
            return own | {"generator": "unet", "depth": self.size, "padding": "zeros"}
        return own | {"generator": f"resnet{self.size}", "padding": "reflect"}

    def load_into(self, network: nn.Module, path: object) -> None:
        """Load the weights into our network of the same kind.

        Raises:
            ModelFileError: Weights are missing, or have other shapes.
        """
        load(network, self.weights, self.layers, path, skips_first=self.kind == "unet")


def _unet_depth(weights: Weights) -> int:
    """Return the levels of a U-Net, 0 for another network."""
    if "model.model.0.weight" not in weights:
        return 0
    place, depth = "model.model.1.model", 2
    while f"{place}.5.weight" in weights:
        place, depth = f"{place}.3.model", depth + 1
    return depth


def unet_layers(depth: int) -> dict[str, str]:
    """Return the layers of the reference U-Net, whose levels lie in each other, by our names."""
    place = "model.model"
    layers = {"encoder.0.1": f"{place}.0", "head.1": f"{place}.3"}
    place += ".1.model"
    for level in range(1, depth):
        up = f"decoder.{depth - 1 - level}"
        layers[f"encoder.{level}.1"] = f"{place}.1"
        if level == depth - 1:
            return layers | {f"{up}.1": f"{place}.3", f"{up}.2": f"{place}.4"}
        layers[f"encoder.{level}.2"] = f"{place}.2"
        layers |= {f"{up}.1": f"{place}.5", f"{up}.2": f"{place}.6"}
        place += ".3.model"
    return layers


def resnet_layers(blocks: int, dropout: bool) -> dict[str, str]:
    """Return the layers of the reference ResNet by our names.

    Args:
        blocks: Number of residual blocks.
        dropout: Whether its blocks have a layer of dropout.
    """
    # Theirs begins with a layer that reflects the edges, and so does the last convolution.
    layers = {f"layers.{i}": f"model.{i + 1}" for i in (0, 1, 3, 4, 6, 7)}
    second = 6 if dropout else 5
    for block in range(blocks):
        ours, theirs = f"layers.{9 + block}.layers", f"model.{10 + block}.conv_block"
        layers |= {f"{ours}.0": f"{theirs}.1", f"{ours}.1": f"{theirs}.2"}
        layers |= {f"{ours}.4": f"{theirs}.{second}", f"{ours}.5": f"{theirs}.{second + 1}"}
    layers |= {f"layers.{9 + blocks + i}": f"model.{10 + blocks + i}" for i in (0, 1, 3, 4)}
    return layers | {"head.0": f"model.{17 + blocks}"}


def discriminator_layers(weights: Weights) -> dict[str, str]:
    """Return the layers of a reference PatchGAN or PixelGAN, which are numbered like ours."""
    names = {name.rpartition(".")[0] for name in weights}
    return {f"layers.{name.split('.')[1]}": name for name in names}


def cycle_arguments(
    there: ReferenceGenerator, back: ReferenceGenerator, path: object
) -> dict[str, Any]:
    """Return the arguments of `CycleGAN` for the networks of two generators.

    Raises:
        InvalidInputError: They are no ResNets, or differ from each other.
    """
    ways = [
        {"gen_blocks": one.size, "ngf": len(one.first), "norm": norm_of(one.weights)}
        for one in (there, back)
    ]
    if there.kind != "resnet" or back.kind != "resnet" or ways[0] != ways[1]:
        kinds = " and ".join(f"a {one.kind} of size {one.size}" for one in (there, back))
        raise InvalidInputError(
            f"The generators of {path} are {kinds}, but a CycleGAN has two equal ResNets; give a "
            "model trained with --netG resnet_9blocks or resnet_6blocks."
        )
    return ways[0] | {"upsample": "transposed", "padding": "reflect"}


def discriminator_arguments(weights: Weights) -> dict[str, int]:
    """Return the arguments of `Pix2Pix` for the same discriminator."""
    convolutions = [weight for weight in weights.values() if weight.ndim == 4]
    layers = 0 if convolutions[0].shape[-1] == 1 else len(convolutions) - 2
    return {"ndf": len(convolutions[0]), "n_layers": layers}


def norm_of(weights: Weights) -> Norm:
    """Return the normalization of a reference network."""
    names = weights.keys()
    if any(name.endswith("running_var") for name in names) and any(
        name.endswith(".weight") and weights[name].ndim == 1 for name in names
    ):
        return "batch"
    # Convolutions have biases before instance normalization only; the last one always has.
    biases = sum(name.endswith(".bias") for name in names)
    return "instance" if biases > 1 else "none"


def load(
    network: nn.Module,
    weights: Weights,
    layers: Mapping[str, str],
    path: object,
    *,
    skips_first: bool = False,
) -> None:
    """Load weights into a network of ours.

    Args:
        network: The network.
        weights: Weights by the names of the reference code.
        layers: Its layers by our names.
        path: Their file, for errors.
        skips_first: Whether decoders get the skip connection before the output from inside.

    Raises:
        ModelFileError: Weights are missing, are left over, or have other shapes.
    """
    own, used = network.state_dict(), set()
    for name, value in own.items():
        layer, _, kind = name.rpartition(".")
        theirs = f"{layers.get(layer, layer)}.{kind}"
        if theirs in weights:
            used.add(theirs)
            own[name] = weights[theirs]
        elif value.ndim == 1 and isinstance(network.get_submodule(layer), nn.InstanceNorm2d):
            own[name] = torch.ones_like(value) if kind == "weight" else torch.zeros_like(value)
        else:
            raise _unfit(path, f"{theirs} is missing")
        if skips_first and re.fullmatch(r"decoder\.[1-9]\d*\.1\.weight|head\.1\.weight", name):
            own[name] = torch.cat(own[name].chunk(2)[::-1])
        if own[name].shape != value.shape:
            found, wanted = tuple(own[name].shape), tuple(value.shape)
            raise _unfit(path, f"{theirs} is {found} where {wanted} is needed")
    others = [name for name in weights.keys() - used if not name.endswith(STATISTICS)]
    if others:
        raise _unfit(path, f"{min(others)} has no place")
    network.load_state_dict(own)


def _unfit(path: object, why: str) -> ModelFileError:
    return ModelFileError(
        f"The weights of {path} do not fit the network that their names describe: {why}. Give a "
        "file of pytorch-CycleGAN-and-pix2pix as it was saved."
    )


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Read a state dict that torch saved; no code from the file is executed.

    Raises:
        ModelFileError: The file is missing, damaged or holds something else.
    """
    file = file_path("path", path)
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
        if isinstance(found, dict) and found and all(isinstance(v, Tensor) for v in found.values()):
            return {str(name).removeprefix("module."): value for name, value in found.items()}
        reason = "it holds something else"
    except (
        *(OSError, RuntimeError, EOFError, pickle.UnpicklingError),
        *(AttributeError, LookupError, TypeError, ValueError),
    ) as error:
        reason = f"{type(error).__name__}: {said(error).splitlines()[0]}"
    raise ModelFileError(
        f"No weights can be read from {file} ({reason}); give a file such as latest_net_G.pth, or "
        "the folder that holds it."
    )


def generator_file(path: str | os.PathLike[str]) -> Path:
    """Return the generator's file for a file, or for the folder of a training."""
    place = file_path("path", path)
    return place / "latest_net_G.pth" if os.path.isdir(place) else place


def cycle_files(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return the files of both generators for one of them, or for the folder of a training.

    Raises:
        ModelFileError: One of them is missing.
    """
    place = file_path("path", path)
    first = place / "latest_net_G_A.pth" if os.path.isdir(place) else place
    found = [
        first.with_name(re.sub(r"_net_G_[AB](?=\.|$)", f"_net_G_{side}", first.name))
        for side in "AB"
    ]
    lacking = [file for file in found if not os.path.isfile(file)]
    if lacking or found[0] == found[1]:
        raise ModelFileError(
            f"path is {first}, but a CycleGAN needs the generators of both directions, such as "
            f"latest_net_G_A.pth and latest_net_G_B.pth in one folder"
            f"{f', and there is no {lacking[0]}' if lacking else ''}; give that folder or one of "
            "the two files."
        )
    return found[0], found[1]


def discriminator_file(generator: Path) -> Path | None:
    """Return the file of the discriminator beside that of a generator, if there is one."""
    beside = generator.with_name(generator.name.replace("_net_G", "_net_D"))
    return beside if beside != generator and os.path.isfile(beside) else None
