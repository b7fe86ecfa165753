"""Types of the functions that translate tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.tiling import Place

Batch: TypeAlias = NDArray[np.float32]
Apply: TypeAlias = Callable[[Batch], Batch]
"""Maps float32 `(n, bands, rows, cols)` to float32 `(n, bands_out, rows, cols)`."""


class PlacedApply(Protocol):
    """An `apply` that gets the places of its tiles, as it declares by `needs_places`."""

    needs_places: bool

    def __call__(self, batch: Batch, places: Sequence[Place]) -> Batch:
        """Translate tiles, given their tile rows and tile columns in the scene."""


AnyApply: TypeAlias = "Apply | PlacedApply"
