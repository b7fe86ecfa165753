"""The procedural town: what its two pictures promise to whoever learns from them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from geotranslate.demo import layout
from geotranslate.demo.town import Town, make_town

KINDS = {
    "building": layout.BUILDING_COLOR,
    "field": layout.FIELD_COLOR,
    "main road": layout.MAIN_COLOR,
    "park": layout.PARK_COLOR,
    "street": layout.STREET_COLOR,
    "water": layout.WATER_COLOR,
    "wood": layout.WOOD_COLOR,
    "yard": layout.YARD_COLOR,
}


def mask(town: Town, color: layout.RGB) -> NDArray[np.bool_]:
    """Return where the map has a color."""
    found: NDArray[np.bool_] = np.all(town.map == np.array(color)[:, None, None], axis=0)
    return found


def mean_look(town: Town, kind: str) -> NDArray[np.float64]:
    """Return the mean aerial color of a kind of ground."""
    look: NDArray[np.float64] = town.aerial[:, mask(town, KINDS[kind])].mean(axis=1)
    return look


@pytest.fixture(scope="module")
def town() -> Town:
    """Return a town large enough to hold every kind of ground."""
    return make_town(1024, seed=3)


@pytest.mark.parametrize("size", [256, 257, 400])
def test_pictures_are_square_rgb_bytes(size: int) -> None:
    small = make_town(size)
    for picture in (small.aerial, small.map):
        assert picture.shape == (3, size, size)
        assert picture.dtype == np.uint8


@pytest.mark.parametrize("seed", range(4))
def test_smallest_town_has_roads_and_buildings(seed: int) -> None:
    small = make_town(256, seed)
    assert mask(small, layout.BUILDING_COLOR).any()
    assert mask(small, layout.MAIN_COLOR).any()


def test_too_small_a_town_is_refused() -> None:
    with pytest.raises(ValueError, match="256"):
        make_town(255)


def test_seed_decides_the_town() -> None:
    first, again, other = make_town(300, 1), make_town(300, 1), make_town(300, 2)
    np.testing.assert_array_equal(first.aerial, again.aerial)
    np.testing.assert_array_equal(first.map, again.map)
    assert (first.map != other.map).any(axis=0).mean() > 0.2
    assert (first.aerial != other.aerial).any(axis=0).mean() > 0.9


@pytest.mark.slow
def test_map_has_only_its_flat_colors(town: Town) -> None:
    colors = {tuple(color) for color in np.unique(town.map.reshape(3, -1), axis=1).T.tolist()}
    assert colors <= set(layout.MAP_COLORS.values())
    assert len(colors) <= 12


@pytest.mark.parametrize("kind", ["building", "field", "main road", "street", "water", "wood"])
def test_each_half_holds_every_kind(town: Town, kind: str) -> None:
    west, east = np.hsplit(mask(town, KINDS[kind]), 2)
    assert west.mean() > 0.005
    assert east.mean() > 0.005


def test_aerial_tells_kinds_apart(town: Town) -> None:
    looks = {kind: mean_look(town, kind) for kind in KINDS}
    for kind, other in [
        ("water", "building"),
        ("water", "street"),
        ("water", "wood"),
        ("wood", "field"),
        ("wood", "park"),
        ("building", "wood"),
        ("field", "street"),
        ("park", "yard"),
    ]:
        assert np.linalg.norm(looks[kind] - looks[other]) > 20, (kind, other)


def test_aerial_is_well_exposed(town: Town) -> None:
    assert 70 < town.aerial.mean() < 150
    assert town.aerial.std() > 30
    assert ((town.aerial == 0) | (town.aerial == 255)).mean() < 0.02


def test_buildings_cast_shadows_away_from_the_sun(town: Town) -> None:
    building = mask(town, layout.BUILDING_COLOR)
    land = mask(town, layout.LAND_COLOR) | mask(town, layout.YARD_COLOR)
    brightness = town.aerial.mean(axis=0)
    shady = np.roll(building, (-8, -5), axis=(0, 1)) & land
    sunny = np.roll(building, (8, 5), axis=(0, 1)) & land
    assert brightness[shady].mean() < 0.8 * brightness[sunny].mean()
