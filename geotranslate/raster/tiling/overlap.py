"""How far tiles have to overlap: choose between cropping and blending by what `apply` sees."""

from __future__ import annotations

import itertools
import math
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate.errors import InvalidInputError, warn
from geotranslate.raster.reader import RasterReader, fill_gaps

Blend = Literal["auto", "hann", "crop"]
Apply = Callable[[NDArray[np.float32]], NDArray[np.float32]]

EXACT = 1e-6
"""Change of the output, as a share of its range, that counts as none."""

ANSWERING = 0.25
"""Share of the output's pixels that have to follow a change, for a probe to tell something."""

PLACES = (0.5, 0.25, 0.75, 0.0, 1.0)
"""Where along an axis a sample is looked for."""


@dataclass(frozen=True)
class ReceptiveField:
    """What decides whether tiles can be cropped without a trace."""

    stride: int
    """Shifts of the input by multiples of it shift the output alike, px."""
    radius: int | None
    """How far an output pixel sees, px; None where it sees the whole tile."""


@dataclass(frozen=True)
class Tiling:
    """Tile side, overlap, padding and step of a scene's axes."""

    tile: int
    overlap: int
    padding: int
    step: int = 1


def choose_tiling(
    tile: int,
    overlap: int | None,
    padding: int | None,
    blend: Blend,
    reach: Callable[[], ReceptiveField | None],
    *,
    categorical: bool = False,
    said: list[str] | None = None,
) -> Tiling:
    """Return how tiles are laid, from what the user says and what `apply` sees.

    A halo of the receptive half-width, rounded up to the stride, makes cropping exact. Where that
    leaves little of a tile, or the whole tile is seen, only blending hides the tiles. Classes are
    cropped: a blend would invent others.

    Args:
        tile: Side of the tiles, px.
        overlap: Pixels that neighbours share; None to choose.
        padding: Pixels of a tile's edge that are thrown away; None to choose.
        blend: `hann`, `crop`, or `auto` to choose.
        reach: Finds out what `apply` sees, None where that is unknown; asked only if it decides.
        categorical: Whether the output is classes.
        said: Gets what is warned of.

    Raises:
        InvalidInputError: The values contradict each other.
    """
    if not isinstance(blend, str) or blend not in ("auto", "hann", "crop"):
        raise InvalidInputError(f"blend is {reprlib.repr(blend)}; give 'auto', 'hann' or 'crop'.")
    if categorical and blend == "hann":
        raise InvalidInputError(
            "blend is 'hann' but the output is classes, which a blend would mix; give 'crop'."
        )
    if blend == "auto" and not categorical and overlap is None and padding is None:
        found = reach()
        halo = _halo(found)
        if found is not None and halo is not None and 2 * halo + found.stride <= 0.6 * tile:
            return _cropped(tile, None, halo, found, said)
        return Tiling(tile, max(tile // 4, min(32, tile // 2)), 0)
    crop = blend == "crop" or categorical or (blend == "auto" and overlap is None)
    if crop:
        return _cropped(tile, overlap, padding, reach(), said)
    return Tiling(tile, tile // 4 if overlap is None else overlap, padding or 0)


def _halo(reach: ReceptiveField | None) -> int | None:
    """Return the halo that makes cropping exact, a multiple of the stride."""
    if reach is None or reach.radius is None:
        return None
    return -(-reach.radius // reach.stride) * reach.stride


def _cropped(
    tile: int,
    overlap: int | None,
    padding: int | None,
    reach: ReceptiveField | None,
    said: list[str] | None,
) -> Tiling:
    if overlap is not None:
        padding = overlap // 2 if padding is None else padding
        if overlap not in (2 * padding, 2 * padding + 1):
            raise InvalidInputError(
                f"overlap is {overlap} and padding {padding}, but cropped tiles overlap by twice "
                "the padding; give one of the two, or blend='hann' (--blend hann)."
            )
    step = 1 if reach is None or reach.radius is None else reach.stride
    if padding is None:
        halo = _halo(reach)
        padding = tile // 8 if halo is None else min(halo, tile // 4)
        padding = padding // step * step or padding
    rounded_tile, rounded = -(-tile // step) * step, -(-padding // step) * step
    if 2 * rounded + step > rounded_tile:
        # No two tiles can lie alike, and cropping is not exact in any case: it stays as it is.
        rounded_tile, rounded, step = tile, padding, 1
    if (rounded_tile, rounded) != (tile, padding):
        sentence = (
            f"Tiles of {tile} px with padding {padding} are not multiples of the {step} px by "
            f"which the model shrinks them: tiles of {rounded_tile} px with padding {rounded} are "
            "used, so that cropping leaves no trace."
        )
        warn(sentence)
        if said is not None:
            said.append(sentence)
    return Tiling(rounded_tile, 2 * rounded, rounded, step)


def sample_of(
    source: RasterReader, tile: int, fill: float | Sequence[float]
) -> NDArray[np.float32]:
    """Return a tile of a scene, gaps filled: the first that is mostly valid, else the most so."""
    best, most = None, -1.0
    spare = (max(source.grid.height - tile, 0), max(source.grid.width - tile, 0))
    for down, right in itertools.product(PLACES, PLACES):
        window = Window(int(right * spare[1]), int(down * spare[0]), tile, tile)
        data, valid = source.read(window)
        if (share := float(valid.mean())) > most:
            best, most = fill_gaps(data, valid, fill), share
        if share > 0.5:
            break
    assert best is not None
    return best


def receptive_field_of(
    apply: Apply, sample: Callable[[], NDArray[np.float32]], factor: Fraction
) -> ReceptiveField | None:
    """Return what `apply` declares by its attributes `stride` and `radius`, else probe it.

    Args:
        apply: Function of tiles.
        sample: Returns one tile of the scene, `(bands, tile, tile)`.
        factor: Output pixels per source pixel.
    """
    stride = getattr(apply, "stride", None)
    if stride is not None:
        return ReceptiveField(int(stride), getattr(apply, "radius", None))
    tile = sample()
    try:
        with np.errstate(all="ignore"):
            return probe(apply, tile, factor)
    except Exception:
        # What fails on noise may work on the raster; if not, it fails there and names the tile.
        return None


def probe(apply: Apply, sample: NDArray[np.float32], factor: Fraction) -> ReceptiveField | None:
    """Find out by trial how far `apply` sees and what shifts it follows; None where it cannot be.

    One half of a tile is changed, for each of the four sides: as far as the change reaches into
    the other half, pixels see. Then the tile is shifted by powers of two until the output
    follows. An output that hardly changes says nothing of either.
    """
    side = sample.shape[-1]
    chance = np.random.default_rng(0)
    spread = float(sample.std()) or 1.0
    noise = chance.normal(0, spread, (2, *sample.shape)).astype(np.float32)
    base, other = sample + noise[0], sample + noise[1]
    plain = apply(base[None])[0]
    if not (np.isfinite(plain).all() and np.array_equal(plain, apply(base[None])[0])):
        return None
    limit = EXACT * float(np.ptp(plain) or 1)
    radius = 0
    for axis in (1, 2):
        for upper in (False, True):
            reached = _seen_across(apply, base, other, plain, axis, upper, limit)
            if reached is None:
                return None
            radius = max(radius, math.ceil(reached / factor))
    if radius >= side // 2 - 1:
        return ReceptiveField(1, None)
    stride = 1
    while stride <= side // 4:
        if _follows(apply, base, plain, stride, radius, factor, 1e3 * limit):
            return ReceptiveField(stride, radius)
        stride *= 2
    return ReceptiveField(1, None)


def _seen_across(
    apply: Apply,
    base: NDArray[np.float32],
    other: NDArray[np.float32],
    plain: NDArray[np.float32],
    axis: int,
    upper: bool,
    limit: float,
) -> int | None:
    """Return how many output pixels a change of one half of the tile reaches into the other.

    None where few pixels answer to it, as with a search for rare things: what was not found in the
    sample may be found in the scene, and reach further.
    """
    middle = base.shape[axis] // 2
    changed = base.copy()
    half = [slice(None)] * 3
    half[axis] = slice(middle, None) if upper else slice(middle)
    changed[tuple(half)] = other[tuple(half)]
    apart = (np.abs(apply(changed[None])[0] - plain) > limit).any(axis=0)
    if axis == 2:
        apart = apart.T
    edge = middle * len(apart) // base.shape[axis]
    rest, own = (apart[:edge][::-1], apart[edge:]) if upper else (apart[edge:], apart[:edge])
    reached = np.where(rest.any(axis=0), len(rest) - rest[::-1].argmax(axis=0), 0)
    if own.mean() < ANSWERING or 2 * np.quantile(reached, 0.25) < reached.max():
        return None
    return int(reached.max())


def _follows(
    apply: Apply,
    base: NDArray[np.float32],
    plain: NDArray[np.float32],
    stride: int,
    radius: int,
    factor: Fraction,
    limit: float,
) -> bool:
    """Tell whether the output of the tile shifted by `stride` is the shifted output."""
    if (stride * factor).denominator != 1:
        return False
    shifted = apply(np.roll(base, (stride, stride), (1, 2))[None])[0]
    back = int(stride * factor)
    margin = math.ceil((radius + stride) * factor)
    inner = slice(margin, plain.shape[1] - margin)
    expected = np.roll(plain, (back, back), (1, 2))
    if plain.shape[1] <= 2 * margin:
        return False
    return bool((np.abs(shifted - expected)[:, inner, inner] <= limit).all())
