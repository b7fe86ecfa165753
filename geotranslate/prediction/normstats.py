"""Choice of the statistics that normalize tiles, and the file of the statistics of a scene."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.files import sha256_of
from geotranslate.raster.tiling import InterpolationGrid, Place

NormStatsKind = Literal["auto", "running", "tile", "scene", "smooth"]
NormStats: TypeAlias = "NormStatsKind | float"
"""A kind, or the share of the scene's statistics in a mixture with the running ones."""
MOST_TILES, LEAST_TILES, SAMPLE_PIXELS = 32, 4, 32 * 256**2
"""Most and fewest sampled tiles, and their total number of pixels. All their activations are in
memory at once, about 600 bytes per pixel in a U-Net with `ngf=64`."""
MOST_SAMPLED = math.isqrt(SAMPLE_PIXELS // LEAST_TILES)
"""Side of the largest tiles of which at least `LEAST_TILES` fit `SAMPLE_PIXELS`, px."""
LARGEST_READ = 2**28
"""Size up to which a file of statistics is read as a whole, bytes."""


def checked_norm_stats(norm_stats: object) -> NormStats:
    """Return a `norm_stats` after checking it; shares of 0 and 1 become "running" and "scene".

    Raises:
        InvalidInputError: It is neither a kind nor a share.
    """
    if isinstance(norm_stats, str) and norm_stats in get_args(NormStatsKind):
        return cast("NormStats", norm_stats)
    if isinstance(norm_stats, numbers.Real) and not isinstance(norm_stats, bool):
        share = float(norm_stats)
        if 0 <= share <= 1:
            return {0.0: "running", 1.0: "scene"}.get(share, share)  # type: ignore[return-value]
    raise InvalidInputError(
        f"norm_stats is {shown(norm_stats)}; give one of {', '.join(get_args(NormStatsKind))}, or "
        "the share of the scene's statistics, from 0 to 1."
    )


def share_of(norm_stats: NormStats) -> float:
    """Return the share of the scene's statistics: the number itself, or 1 for a kind."""
    return 1.0 if isinstance(norm_stats, str) else norm_stats


def resolve_norm_stats(
    norm_stats: NormStats, without: Sequence[str] | None, tta: bool | str
) -> NormStats:
    """Return the kind of statistics to use; "auto" is independent of the tile that is normalized.

    For a network without normalization it is always "running".

    Args:
        norm_stats: Argument of `predict_raster`.
        without: Class names of the generator's normalizations that learn no statistics in training;
            None for a generator without normalization.
        tta: The test-time augmentation.

    Raises:
        InvalidInputError: `norm_stats` is unknown, or does not suit the network or `tta`.
    """
    norm_stats = checked_norm_stats(norm_stats)
    if without is None:
        return "running"
    if norm_stats == "auto":
        return "scene" if without else "running"
    if norm_stats == "running" and without:
        raise InvalidInputError(
            f"norm_stats is 'running', but the model normalizes by {' and '.join(without)}, which "
            "learns no statistics in training; give 'scene' or 'smooth' for those of the scene, "
            "'tile' for those of every tile, or leave it out."
        )
    if not isinstance(norm_stats, str) and without:
        raise InvalidInputError(
            f"norm_stats is {norm_stats}, but the model normalizes by {' and '.join(without)}, "
            "which learns no statistics in training to be mixed with those of the scene; give "
            "'scene', or leave it out."
        )
    if norm_stats == "smooth" and tta:
        raise InvalidInputError(
            "norm_stats is 'smooth', whose statistics are of tiles as they lie, but tta turns "
            "tiles; translate without tta, or give norm_stats='scene'."
        )
    return norm_stats


@dataclass(frozen=True)
class SceneStatistics:
    """Reference to a file with the statistics of a scene; small enough to be sent to workers."""

    path: Path
    """File of an array `(rows of tiles, columns of tiles, statistics)`; 1 x 1 for "scene"."""
    digest: str
    """SHA-256 of the file."""
    rows: InterpolationGrid
    cols: InterpolationGrid
    first: Place
    """Row and column of the first tile of the array."""

    def read(self) -> NDArray[np.float32]:
        """Return the array; a large one is memory-mapped.

        Raises:
            RasterFileError: The file is missing, damaged or was changed.
        """
        try:
            if sha256_of(self.path) != self.digest:
                raise RasterFileError(
                    f"The statistics of the scene in {self.path} were changed while it was "
                    "translated; remove the folder and start anew."
                )
            mapped = self.path.stat().st_size > LARGEST_READ
            return cast("NDArray[np.float32]", np.load(self.path, "r" if mapped else None))
        except FileNotFoundError as error:
            raise RasterFileError(
                f"The statistics of the scene are not in {self.path}. All who translate its parts "
                "need that file; start again where they see it."
            ) from error
        except (EOFError, ValueError) as error:
            raise RasterFileError(
                f"{self.path}, the statistics of the scene, is damaged; remove the folder and "
                "start anew."
            ) from error
