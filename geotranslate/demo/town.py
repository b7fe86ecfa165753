"""A procedural town: an aerial photograph and the map of the same ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine

from geotranslate.demo.layout import MAP_COLORS, MATERIALS, Cover, Layout, Patch, Solid
from geotranslate.demo.plan import plan_town

PIXEL_METERS = 0.5

Field = NDArray[np.float32]
SUN = np.array([0.55, 0.84])
SUN_SLOPE = 1.05
SUNLIGHT = np.array([0.78, 0.74, 0.68], dtype=np.float32)
SKYLIGHT = np.array([0.32, 0.35, 0.395], dtype=np.float32)
HAZE = np.array([9.0, 12.0, 17.0], dtype=np.float32)
LEAVES = np.array([(72, 86, 54), (84, 96, 60), (62, 76, 50), (94, 102, 64), (64, 80, 58)])


@dataclass(frozen=True, slots=True)
class Town:
    """Two pictures of one town, pixel for pixel, north up.

    `aerial` and `map` are (3, rows, cols) RGB; the map has flat colors without blended edges.
    """

    aerial: NDArray[np.uint8]
    map: NDArray[np.uint8]


def make_town(size: int = 2048, seed: int = 0) -> Town:
    """Invent a town.

    Args:
        size: rows and columns of the pictures, at least 256; a pixel is half a meter wide.
        seed: the same seed and size give the same town.

    Returns:
        The town's aerial photograph and map.
    """
    if size < 256:
        raise ValueError(f"a town needs at least 256 pixels a side, not {size}")
    rng = np.random.default_rng(seed)
    layout = plan_town(size, rng)
    shapes = [(patch.shape, index) for index, patch in enumerate(layout.patches)]
    patch_ids = rasterize(shapes, (size, size), transform=Affine.identity(), dtype="int32")
    colors = np.array([MAP_COLORS[patch.cover] for patch in layout.patches], dtype=np.uint8)
    street_map = np.ascontiguousarray(np.moveaxis(colors[patch_ids], -1, 0))
    return Town(aerial=photograph(layout, patch_ids, rng), map=street_map)


def photograph(
    layout: Layout, patch_ids: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Take the aerial photograph of a planned town.

    Args:
        layout: the town.
        patch_ids: (size, size) index of the patch that covers each pixel of ground.
        rng: source of randomness.

    Returns:
        (3, size, size) RGB picture.
    """
    size = len(patch_ids)
    mottle = fractal_noise(rng, size, roughness=1.3, coarsest=90)
    grain = fractal_noise(rng, size, roughness=0.4, coarsest=8)
    color = _ground(layout.patches, patch_ids, mottle, grain, rng)
    height = np.zeros((size, size), dtype=np.float32)
    _raise_solids(layout.buildings + layout.details, height, color, grain)
    _raise_trees(np.concatenate(layout.trees), height, color, grain, rng)
    relief = fractal_noise(rng, size, roughness=2.2, coarsest=420)
    light = _lambert(height + 4.5 * relief) * (1 - _shadow(height))
    for band in range(3):
        color[band] *= SUNLIGHT[band] * light + SKYLIGHT[band]
    return _develop(color, rng)


def _ground(
    patches: list[Patch],
    ids: NDArray[np.int32],
    mottle: Field,
    grain: Field,
    rng: np.random.Generator,
) -> Field:
    """Return the (3, size, size) colors of the bare ground in even light."""
    materials = [MATERIALS[patch.cover] for patch in patches]
    base = np.array([m.palette[rng.integers(len(m.palette))] for m in materials], np.float32)
    base *= rng.normal(1, [m.variety for m in materials])[:, None]
    looks = np.array([(m.mottle, m.grain, m.rows) for m in materials], np.float32)[ids]
    wave = 2 * np.pi / rng.uniform(4, 8, len(patches))
    wave[[patch.cover == Cover.PITCH for patch in patches]] = 2 * np.pi / 24
    # Furrows run along the patch's angle, so their wave travels across it.
    angle = np.array([patch.angle for patch in patches])
    wave_x, wave_y = (-wave * np.sin(angle)).astype("f4"), (wave * np.cos(angle)).astype("f4")
    y, x = np.indices(ids.shape, dtype=np.float32)
    furrows = np.sin(x * wave_x[ids] + y * wave_y[ids])
    shade = 1 + looks[..., 0] * mottle + looks[..., 1] * grain + looks[..., 2] * furrows
    # Dry spots are yellower as well as lighter.
    dryness = 0.6 * looks[..., 0] * mottle
    return np.stack(
        [base[ids, 0] * shade * (1 + dryness), base[ids, 1] * shade, base[ids, 2] * shade]
    )


def _raise_solids(solids: list[Solid], height: Field, color: Field, grain: Field) -> None:
    """Put boxes with roofs onto the ground."""
    solids = sorted(solids, key=lambda solid: solid.eaves)
    shapes = [(solid.footprint, index + 1) for index, solid in enumerate(solids)]
    ids = rasterize(shapes, height.shape, transform=Affine.identity(), dtype="int32")
    rows, columns = np.nonzero(ids)
    owner = ids[rows, columns] - 1
    x, y, angle, length, width, eaves, pitch, hipped = np.array(
        [(s.x, s.y, s.angle, s.length, s.width, s.eaves, s.pitch, s.hipped) for s in solids]
    ).T[:, owner]
    dx, dy = columns + 0.5 - x, rows + 0.5 - y
    inset_u = length / 2 - np.abs(dx * np.cos(angle) + dy * np.sin(angle))
    inset_v = width / 2 - np.abs(dy * np.cos(angle) - dx * np.sin(angle))
    run = np.where(hipped > 0, np.minimum(inset_u, inset_v), inset_v)
    height[rows, columns] = eaves + pitch * run
    tiles = 0.05 * np.sin(2.2 * run) * (pitch > 0.3)
    rim = 0.14 * ((pitch < 0.3) & (np.minimum(inset_u, inset_v) < 1.5))
    shade = 1 + tiles - rim + 0.045 * grain[rows, columns]
    paint = np.array([solid.color for solid in solids], np.float32)[owner]
    color[:, rows, columns] = (paint * shade[:, None]).T


def _raise_trees(
    trees: NDArray[np.float64],
    height: Field,
    color: Field,
    grain: Field,
    rng: np.random.Generator,
) -> None:
    """Grow crowns, ragged at the edge, over whatever is lower than they are."""
    size = len(height)
    spans = np.ceil(trees[:, 2] * 1.3).astype(int)
    phase = rng.uniform(0, 7, len(trees))
    pixels, tops, owners = [], [], []
    for span in np.unique(spans):
        group = np.flatnonzero(spans == span)
        x, y, radius, top = trees[group].T[:, :, None, None]
        dy, dx = np.mgrid[-span : span + 1, -span : span + 1]
        column, row = np.floor(x).astype(int) + dx, np.floor(y).astype(int) + dy
        off_x, off_y = column + 0.5 - x, row + 0.5 - y
        turn, start = np.arctan2(off_y, off_x), phase[group, None, None]
        ragged = radius * (1 + 0.14 * np.sin(3 * turn + start) + 0.1 * np.sin(5 * turn - start))
        reach = (off_x**2 + off_y**2) / ragged**2
        inside = (reach < 1) & (row >= 0) & (row < size) & (column >= 0) & (column < size)
        dome = top - 0.75 * radius * (1 - np.sqrt(np.maximum(1 - reach, 0)))
        pixels.append((row * size + column)[inside])
        tops.append(dome[inside])
        owners.append(np.broadcast_to(group[:, None, None], inside.shape)[inside])
    pixel, top, owner = np.concatenate(pixels), np.concatenate(tops), np.concatenate(owners)
    top = top + 0.5 * grain.ravel()[pixel]
    order = np.argsort(top)
    order = order[top[order] > height.ravel()[pixel[order]]]
    pixel, owner = pixel[order], owner[order]
    # Ascending order: where crowns overlap, the highest is written last and stays.
    height.ravel()[pixel] = top[order]
    leaf = LEAVES[rng.integers(len(LEAVES), size=len(trees))] * rng.normal(1, 0.1, (len(trees), 1))
    shade = 1 + 0.08 * grain.ravel()[pixel]
    color.reshape(3, -1)[:, pixel] = (leaf[owner] * shade[:, None]).T


def _lambert(surface: Field) -> Field:
    """Return how much sun each slope catches, 1 on level ground."""
    slopes = []
    for axis in (1, 0):
        step = np.diff(surface, axis=axis)
        ahead = np.concatenate([step, step.take([-1], axis)], axis)
        behind = np.concatenate([step.take([0], axis), step], axis)
        # The gentler of two one-sided slopes keeps roof planes even up to their walls.
        slopes.append(np.where(np.abs(ahead) < np.abs(behind), ahead, behind))
    facing = SUN_SLOPE - slopes[0] * SUN[0] - slopes[1] * SUN[1]
    steepness = np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2)
    lit: Field = (np.maximum(facing, 0) / SUN_SLOPE / steepness).astype(np.float32)
    return lit


def _shadow(height: Field) -> Field:
    """Return how much of the sun the neighbors hide, 0 to 1."""
    horizon = np.full_like(height, -1)
    for distance in range(1, int(height.max() / SUN_SLOPE) + 1):
        right, down = np.rint(distance * SUN).astype(int)
        caster = height[down:, right:] - np.float32(distance * SUN_SLOPE)
        corner = horizon[: len(height) - down, : len(height) - right]
        np.maximum(corner, caster, out=corner)
    return np.clip((horizon - height) / 1.5, 0, 1)


def _develop(color: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pass light through hazy air, a soft lens and a noisy sensor."""
    picture = np.empty(color.shape, dtype=np.uint8)
    for band, veil in enumerate(HAZE):
        sharp = np.pad(color[band] + veil, 1, mode="edge")
        soft = 0.17 * (sharp[:-2] + sharp[2:]) + 0.66 * sharp[1:-1]
        soft = 0.17 * (soft[:, :-2] + soft[:, 2:]) + 0.66 * soft[:, 1:-1]
        noise = rng.standard_normal(soft.shape, dtype=np.float32)
        picture[band] = np.clip(soft + 2.2 * noise, 0, 255)
    return picture


def fractal_noise(
    rng: np.random.Generator, size: int, *, roughness: float, coarsest: float
) -> NDArray[np.float32]:
    """Draw a square random field whose features span many scales.

    Args:
        rng: source of randomness.
        size: rows and columns of the field.
        roughness: exponent of the spectrum's decay; 0 is white noise, 2 is rolling hills.
        coarsest: wavelength in pixels of the largest features; nothing larger is drawn, so that
            far corners of a big field look alike.

    Returns:
        (size, size) field of mean 0 and standard deviation 1.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    lowest = max(1.0 / coarsest, 1.0 / size)
    gain = np.maximum(frequency, lowest) ** -roughness * (frequency > 0.6 * lowest)
    field = np.fft.irfft2(spectrum * gain.astype(np.float32), s=(size, size))
    return (field / field.std()).astype(np.float32)
