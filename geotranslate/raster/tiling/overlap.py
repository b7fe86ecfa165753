"""Overlap and padding of tiles: crop them where that is exact, blend them elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from geotranslate.checks import shown, whole_number
from geotranslate.errors import InvalidInputError

Blend = Literal["auto", "hann", "crop"]

LARGEST_TILE = 65_536
"""Side of the largest tiles, px."""

MOST_SCALE = 64
"""Most output pixels per source pixel along an axis, and most source pixels per output pixel."""

LARGEST_HALO = 0.6
"""Share of a tile up to which `auto` spends its edges on cropping."""


@dataclass(frozen=True)
class TilingOptions:
    """Tile size, overlap, blend and scale of a translation, as users ask for them.

    Args:
        tile_size: Side of the tiles, px.
        overlap: Pixels that neighboring tiles share; None to choose.
        padding: Pixels that are discarded at every edge of a tile; None to choose.
        blend: `hann`, `crop`, or `auto` to choose.
        scale: Output pixels per source pixel along an axis, 1/64 to 64.

    Raises:
        InvalidInputError: A value is invalid.
    """

    tile_size: int = 256
    overlap: int | None = None
    padding: int | None = None
    blend: Blend = "auto"
    scale: float | Fraction = 1

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            "scale": _factor(self.scale),
            "tile_size": whole_number("tile_size", self.tile_size, 1, LARGEST_TILE),
        }
        for name in ("overlap", "padding"):
            if (value := getattr(self, name)) is not None:
                checked[name] = whole_number(name, value, 0, LARGEST_TILE)
        if not isinstance(self.blend, str) or self.blend not in ("auto", "hann", "crop"):
            raise InvalidInputError(f"blend is {shown(self.blend)}; give 'auto', 'hann' or 'crop'.")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def factor(self) -> Fraction:
        """The scale as a fraction with a small denominator."""
        return Fraction(self.scale)


def _factor(scale: float | Fraction) -> Fraction:
    try:
        factor = Fraction(scale).limit_denominator(MOST_SCALE)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        factor = Fraction(0)
    if not 0 < factor <= MOST_SCALE:
        raise InvalidInputError(
            f"scale is {shown(scale)}; give output pixels per source pixel, such as 2 or "
            f"0.5, from 1/{MOST_SCALE} to {MOST_SCALE}."
        )
    return factor


@dataclass(frozen=True)
class ReceptiveField:
    """The source pixels that an output pixel of a function of tiles depends on."""

    stride: int
    """Shifting the input by a multiple of it shifts the output by the same amount, px."""
    radius: int | None
    """Distance of the farthest pixel an output pixel depends on, px; None for the whole tile."""

    @classmethod
    def of(cls, apply: object) -> ReceptiveField | None:
        """Return what a function declares by its attributes `stride` and `radius`, else None."""
        stride = getattr(apply, "stride", None)
        return None if stride is None else cls(int(stride), getattr(apply, "radius", None))

    @property
    def halo(self) -> int | None:
        """Padding that makes cropping exact, a multiple of the stride; None if none does."""
        if self.radius is None:
            return None
        return -(-self.radius // self.stride) * self.stride

    @property
    def step(self) -> int:
        """The distance of which cropped tiles have to be multiples apart, px."""
        return 1 if self.radius is None else self.stride


@dataclass(frozen=True)
class Tiling:
    """Tile side, overlap, padding and step of a scene's axes."""

    tile: int
    overlap: int
    padding: int
    step: int = 1
    warning: str | None = None
    """A sentence for users whose sizes were rounded."""


def choose_tiling(
    options: TilingOptions, field: ReceptiveField | None, *, categorical: bool = False
) -> Tiling:
    """Choose overlap and padding from the options and the receptive field.

    A padding of the radius, rounded up to the stride, makes cropping exact. Where that leaves
    little of a tile, or the receptive field is unknown or the whole tile, only blending hides the
    edges of tiles. Classes are cropped: a blend would invent others.

    Args:
        options: What the user asks for.
        field: The receptive field, None where it is unknown.
        categorical: Whether the output is classes.

    Raises:
        InvalidInputError: The values contradict each other.
    """
    tile, overlap, padding, blend = (
        options.tile_size,
        options.overlap,
        options.padding,
        options.blend,
    )
    whole = options.factor.denominator
    if categorical and blend == "hann":
        raise InvalidInputError(
            "blend is 'hann' but the output is classes, which a blend would mix; give 'crop'."
        )
    if blend == "auto" and not categorical and overlap is None and padding is None:
        halo = None if field is None else field.halo
        if (
            field is not None
            and halo is not None
            and 2 * halo + field.stride <= (LARGEST_HALO * tile)
        ):
            return _cropped(tile, None, halo, field, whole)
        overlap = max(tile // 4, min(32, tile // 2))
        # In whole output pixels.
        return Tiling(tile, overlap // whole * whole, 0)
    if blend == "crop" or categorical or (blend == "auto" and overlap is None):
        return _cropped(tile, overlap, padding, field, whole)
    own = tile // 4 // whole * whole
    return Tiling(tile, own if overlap is None else overlap, padding or 0)


def _cropped(
    tile: int,
    overlap: int | None,
    padding: int | None,
    field: ReceptiveField | None,
    whole: int,
) -> Tiling:
    if overlap is not None:
        padding = overlap // 2 if padding is None else padding
        if overlap not in (2 * padding, 2 * padding + 1):
            raise InvalidInputError(
                f"overlap is {overlap} and padding {padding}, but cropped tiles overlap by twice "
                "the padding; give one of the two, or blend='hann' (--blend hann)."
            )
    step = 1 if field is None else field.step
    if padding is None:
        halo = None if field is None else field.halo
        padding = tile // 8 if halo is None else min(halo, tile // 4)
        multiple = math.lcm(step, whole)
        padding = padding // multiple * multiple or padding
    return _on_steps(tile, padding, step)


def _on_steps(tile: int, padding: int, step: int) -> Tiling:
    """Return cropped tiles whose sizes are rounded up to multiples of `step`."""
    rounded_tile, rounded = -(-tile // step) * step, -(-padding // step) * step
    if 2 * rounded + step > rounded_tile:
        # No two tiles have the same alignment, and cropping is not exact anyway: sizes stay.
        return Tiling(tile, 2 * padding, padding)
    warning = None
    if (rounded_tile, rounded) != (tile, padding):
        warning = (
            f"Tiles of {tile} px with padding {padding} are not multiples of the {step} px by "
            f"which the model shrinks them: tiles of {rounded_tile} px with padding {rounded} are "
            "used, so that cropping leaves no trace."
        )
    return Tiling(rounded_tile, 2 * rounded, rounded, step, warning)
