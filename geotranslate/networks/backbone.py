"""U-Net with an encoder of segmentation-models-pytorch, which also wraps timm encoders."""

from __future__ import annotations

import contextlib
import difflib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError, MissingPackageError, ModelFileError, said
from geotranslate.networks.layers import (
    Padding,
    Upsample,
    decode,
    freeze_weights,
    init_weights,
    output_block,
    pad_to_multiple,
    up_block,
)
from geotranslate.networks.normalization import Norm
from geotranslate.networks.weightless import is_weightless

LEVELS = 5
DROPOUT_BLOCKS = 3
TIMM = "tu-"
MOST_BANDS = 4096


def supported_backbones() -> list[str]:
    """Return the names of the encoders that `Pix2Pix(backbone=...)` takes.

    Encoders of timm are not listed; those with features at strides up to 32 that take images of any
    size can be used with the prefix `tu-`.

    Raises:
        MissingPackageError: segmentation-models-pytorch is not installed.
    """
    return list(_library().get_encoder_names())


class BackboneUNet(nn.Module):
    """Map `(n, bands_in, rows, cols)` to `(n, bands_out, rows, cols)`, both in -1..1.

    The encoder halves the image five times and has its own normalization; it starts with random
    weights. The decoder is the same as in `UNet`. Images whose sides are not multiples of 32 are
    extended by reflection and the result is cropped.

    Args:
        backbone: Name of the encoder.
        bands_in: Bands of the source; the encoder's first convolution takes as many.
        bands_out: Bands of the target.
        ngf: Filters of the decoder's last level; a level inwards has twice as many, at most 8 ngf.
        norm: Normalization of the decoder.
        upsample: Layers that double the sides in the decoder, see `enlarge`.
        padding: Padding of the decoder's convolutions at the edges.
        dropout: Dropout probability in the three innermost decoder blocks.
        bounded: Whether translations lie in -1..1.

    Raises:
        InvalidInputError: There is no such encoder.
        MissingPackageError: segmentation-models-pytorch is not installed.
    """

    stride = 2**LEVELS
    """Factor by which images shrink inside, px; shifts by it shift the translation."""
    radius = None
    """The receptive field is not known."""

    def __init__(
        self,
        backbone: str,
        bands_in: int,
        bands_out: int,
        *,
        ngf: int = 64,
        norm: Norm = "batch",
        upsample: Upsample = "transposed",
        padding: Padding = "zeros",
        dropout: float = 0.5,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.backbone, self.bands = backbone, bands_in
        self.encoder = _encoder(backbone, bands_in)
        if not is_weightless(self.encoder):
            self.check_encoder()
        skips = list(self.encoder.out_channels[1:])
        widths = [ngf * min(2**level, 8) for level in range(LEVELS - 1)]
        self.decoder = nn.ModuleList(
            up_block(
                skips[-1] if level == LEVELS - 1 else widths[level] + skips[level],
                widths[level - 1],
                norm=norm,
                upsample=upsample,
                padding=padding,
                dropout=dropout if level >= LEVELS - DROPOUT_BLOCKS else 0.0,
            )
            for level in range(LEVELS - 1, 0, -1)
        )
        self.head = output_block(
            widths[0] + skips[0], bands_out, upsample=upsample, padding=padding, bounded=bounded
        )
        self.decoder.apply(init_weights)
        self.head.apply(init_weights)

    def forward(self, source: Tensor) -> Tensor:
        """Translate; sides of at least 17 px."""
        rows, cols = source.shape[-2:]
        with self._mixed(source.device.type):
            # The first feature is the image or has its size.
            _, *skips, hidden = self.encoder(pad_to_multiple(source, self.stride))
            translated = decode(hidden, skips, self.decoder, self.head)
        return translated[..., :rows, :cols]

    def check_encoder(self) -> None:
        """Encode a small image.

        Raises:
            InvalidInputError: The encoder does not take images of any size.
        """
        mode, first = self.encoder.training, next(self.encoder.parameters())
        side = 2 * self.stride
        with _impossible(self.backbone), torch.no_grad():
            self.encoder.eval()(torch.zeros(1, self.bands, side, side).to(first))
        self.encoder.train(mode)

    def freeze(self) -> None:
        """Freeze the encoder's weights, except in batch normalizations."""
        freeze_weights([self.encoder])

    def unfreeze(self) -> None:
        """Make the encoder's weights trainable."""
        self.encoder.requires_grad_(True)

    def load_encoder(self, weights: dict[str, Tensor]) -> None:
        """Load weights into the encoder and ignore other weights, such as a classifier's.

        The first convolution is adapted to the number of bands: the pretrained bands are assigned
        in turn, and a band's weights are divided if it is used more than once, so that images with
        equal bands give the same output as before.

        Raises:
            InvalidInputError: Weights are missing or have other shapes.
        """
        own = self.encoder.state_dict()
        # The wrapper of timm has the encoder as a submodule.
        found = weights | {f"model.{name}": value for name, value in weights.items()}
        found = {name: found[name] for name in own if name in found}
        first = next((name for name in own if own[name].ndim == 4), None)
        if first in found and found[first].ndim == 4:
            found[first] = _spread(found[first], own[first].shape[1])
        for name, value in own.items():
            if not name.endswith("num_batches_tracked") and (
                name not in found or found[name].shape != value.shape
            ):
                raise InvalidInputError(
                    f"{name} is {_shape(found.get(name))} where the encoder needs {_shape(value)}"
                )
        nn.Module.load_state_dict(self.encoder, own | found)

    def _mixed(self, device: str) -> contextlib.AbstractContextManager[Any]:
        """Return an autocast if the convolutions, but not the linear layers, are in bfloat16."""
        if any(parameter.dtype == torch.bfloat16 for parameter in self.encoder.parameters()):
            return torch.autocast(device, torch.bfloat16)
        return contextlib.nullcontext()


def _spread(value: Tensor, bands: int) -> Tensor:
    given = value.shape[1]
    places = torch.arange(max(given, bands))
    times = torch.bincount(places % given)[places % given]
    shares = value[:, places % given] / times[:, None, None]
    return value.new_zeros(len(value), bands, *value.shape[2:]).index_add_(
        1, places % bands, shares
    )


def _shape(value: Tensor | None) -> str:
    return "missing" if value is None else " x ".join(map(str, value.shape)) or "a number"


def _library() -> Any:
    try:
        from segmentation_models_pytorch import encoders
    # A torchvision for another version of torch raises a RuntimeError.
    except (ImportError, RuntimeError) as error:
        raise MissingPackageError(
            f"A backbone needs segmentation-models-pytorch, which cannot be imported "
            f"({said(error)}); install it by: pip install 'geotranslate[backbones]'."
        ) from error
    return encoders


def _encoder(name: str, bands: int) -> Any:
    library = _library()
    _check_name(name, library.get_encoder_names())
    if bands > MOST_BANDS:
        raise InvalidInputError(
            f"backbone is {name!r}, which encodes at most {MOST_BANDS} bands, but the source has "
            f"{bands}; leave backbone out."
        )
    with _impossible(name):
        return library.get_encoder(name, in_channels=bands, depth=LEVELS, weights=None)


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """Return the weights of an encoder that was trained on ImageNet, for images of three bands.

    The library downloads them once, into the cache of Hugging Face or torch.

    Raises:
        ModelFileError: There are no such weights, or they cannot be downloaded.
    """
    library = _library()
    try:
        encoder = library.get_encoder(name, in_channels=3, depth=LEVELS, weights="imagenet")
    # A download fails with errors of several libraries, which have no common class.
    except Exception as error:
        raise ModelFileError(
            f"The ImageNet weights of the backbone {name!r} cannot be had "
            f"({type(error).__name__}: {(said(error).splitlines() or [''])[0]}). Connect to the "
            "Internet once, so that they come into the cache, give a backbone that has such "
            "weights, or leave weights out."
        ) from error
    found: dict[str, Tensor] = encoder.state_dict()
    return found


def _check_name(name: object, names: list[str]) -> None:
    """Raise an error for an unknown name, which timm would take for a folder or an address."""
    text = name if isinstance(name, str) else ""
    if text in names or (text.startswith(TIMM) and text.removeprefix(TIMM) in _timm_names()):
        return
    near = difflib.get_close_matches(text[:100], names) or names[:3]
    raise InvalidInputError(
        f"backbone is {shown(name)}; give one of supported_backbones(), such as "
        f"{', '.join(near)}, or {TIMM} and the name of an encoder of timm."
    )


@functools.cache
def _timm_names() -> frozenset[str]:
    import timm

    return frozenset(timm.list_models()) | frozenset(timm.list_models(pretrained=True))


@contextlib.contextmanager
def _impossible(name: str) -> Iterator[None]:
    try:
        yield
    except (
        *(AssertionError, AttributeError, IndexError, KeyError, NotImplementedError),
        *(RuntimeError, TypeError, ValueError),
    ) as error:
        raise InvalidInputError(
            f"backbone is {name!r}, which does not encode images of any size at strides up to 32 "
            f"({said(error)}); give one of supported_backbones()."
        ) from error
