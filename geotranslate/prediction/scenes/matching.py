"""Matching of a scene's values to those of the training chips, by quantiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import choice, shown
from geotranslate.chips.bands import QuantileMap, Quantiles, Side
from geotranslate.errors import InvalidInputError
from geotranslate.prediction.tilesize import Match
from geotranslate.prediction.tta import TileFunction, TilePrescan
from geotranslate.raster.pipeline import SceneTiles, Tile
from geotranslate.raster.tiling import Place


def check_match(match: object, source: Side) -> None:
    """Check a `match` against the source side of a model.

    Raises:
        InvalidInputError: It is neither "training" nor None, or the model keeps no quantiles.
    """
    if match is None:
        return
    choice("match", match, get_args(Match))
    if source.classes is not None:
        raise InvalidInputError(
            f"match is {shown(match)}, but the source holds {source.classes.count}, which are "
            "the same in every scene; translate without match."
        )
    if source.quantiles is None:
        raise InvalidInputError(
            f"match is {shown(match)}, but the model was saved without quantiles of its training "
            "data, by an earlier version; train it again, or translate without match."
        )


def map_to_training(found: Quantiles | None, source: Side) -> QuantileMap | None:
    """Return the map of a scene's values to those of training; None for a scene without any.

    Args:
        found: Quantiles of the scene.
        source: Source side of the model, with quantiles.
    """
    if found is None or source.quantiles is None:
        return None
    theirs, ours = found.array, source.quantiles.array
    # Where layers are valid stays as it is, and so do classes.
    same = list(source.fixed_bands)
    theirs[same] = ours[same] = np.linspace(0, 1, ours.shape[1])
    return QuantileMap.of(theirs, ours)


@dataclass(frozen=True)
class _Mapped:
    """Function of tiles, or its prescan, on mapped values; tiles keep their shapes."""

    apply: TileFunction | TilePrescan
    values: QuantileMap

    any_shape = True

    @property
    def stride(self) -> int:
        """Factor by which tiles shrink inside the network, px."""
        return self.apply.stride

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field, px; None for the whole tile."""
        return self.apply.radius


class Matched(_Mapped):
    """Function of tiles that maps the values of a scene before it translates them."""

    @property
    def needs_places(self) -> bool:
        """Whether it needs the places of tiles."""
        return bool(getattr(self.apply, "needs_places", False))

    def __call__(
        self, batch: NDArray[Any], places: Sequence[Place] | None = None
    ) -> NDArray[np.float32]:
        """Translate `(n, bands, rows, cols)`."""
        apply: Any = self.apply
        mapped = self.values(batch)
        return apply(mapped) if places is None else apply(mapped, places)


@dataclass(frozen=True)
class MatchedPrescan(_Mapped):
    """A prescan of a scene whose values are mapped first."""

    apply: TilePrescan

    def prescan(self, scene: SceneTiles) -> Matched:
        """Measure the mapped scene, and return the function of its tiles."""
        known = {field.name: getattr(scene, field.name) for field in fields(scene)}
        return Matched(self.apply.prescan(_MappedTiles(**known, values=self.values)), self.values)


@dataclass(frozen=True, kw_only=True)
class _MappedTiles(SceneTiles):
    """Tiles of a scene with mapped values."""

    values: QuantileMap

    def tile(self, place: Place) -> Tile:
        data, valid = super().tile(place)
        return self.values(data), valid

    def tiles(self, tile_rows: range, tile_cols: range) -> Iterator[tuple[Place, Tile]]:
        for place, (data, valid) in super().tiles(tile_rows, tile_cols):
            yield place, (self.values(data), valid)


def matched(apply: TileFunction | TilePrescan, values: QuantileMap) -> Matched | MatchedPrescan:
    """Return a function of tiles, or a prescan, for a scene whose values are mapped first."""
    if isinstance(apply, TilePrescan):
        return MatchedPrescan(apply, values)
    return Matched(apply, values)
