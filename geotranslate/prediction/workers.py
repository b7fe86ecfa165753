"""Models for workers, which are other processes or machines and load them from a folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.chips.bands import Direction
from geotranslate.errors import RasterFileError
from geotranslate.prediction.imageinference import ForScene, ImageInference, Precision
from geotranslate.prediction.normstats import NormStats, SceneStatistics
from geotranslate.prediction.resampling import Resampling
from geotranslate.prediction.tta import Symmetric, TileFunction, TilePrescan
from geotranslate.raster.tiling import Place

Loader: TypeAlias = Callable[[Path, str, Direction], ImageInference]
"""Function that loads a model from a folder, checks its digest and returns the inference of a
direction."""

_LOADING = threading.Lock()
_loaded: tuple[SavedModel, Any] | None = None


def augmented(inference: ImageInference, tta: bool | str) -> TileFunction:
    """Return an inference with test-time augmentation, if any."""
    if not tta:
        return inference
    return Symmetric(inference, spread=tta == "std", transposed=inference.transposed)


@dataclass(frozen=True)
class SavedModel:
    """Inference of a model that is saved in a folder that every worker can read.

    It is small enough to be sent. A process that calls it loads the model once and keeps it until
    another one is called.
    """

    any_shape: ClassVar = True
    load: Loader
    folder: Path
    digest: str
    """SHA-256 of its weights, by which a folder that was replaced meanwhile is recognized."""
    stride: int
    radius: int | None
    precision: Precision
    tta: bool | str
    norm_stats: NormStats = "running"
    statistics: SceneStatistics | None = None
    direction: Direction = "AtoB"
    resampling: Resampling | None = None

    @classmethod
    def of(
        cls,
        load: Loader,
        folder: Path,
        digest: str,
        inference: ImageInference,
        tta: bool | str,
        direction: Direction = "AtoB",
    ) -> SavedModel:
        """Return the saved model that translates like an inference with the same weights."""
        return cls(
            load,
            folder.absolute(),
            digest,
            inference.stride,
            inference.radius,
            inference.precision,
            tta,
            inference.norm_stats,
            direction=direction,
            resampling=inference.resampling,
        )

    @property
    def needs_places(self) -> bool:
        """Whether it needs the places of tiles."""
        return self.norm_stats == "smooth"

    def __call__(
        self, batch: NDArray[Any], places: Sequence[Place] | None = None
    ) -> NDArray[np.float32]:
        """Translate `(n, bands, rows, cols)`.

        Args:
            batch: Tiles.
            places: Row and column of each tile, if it `needs_places`.

        Raises:
            ModelFileError: The folder cannot be read by this process, or was replaced.
            RasterFileError: The statistics of the scene cannot be read.
        """
        global _loaded
        # Workers may be threads of one process, of which only the first loads.
        with _LOADING:
            if _loaded is None or _loaded[0] != self:
                _loaded = self, self._load()
            apply: Any = _loaded[1]
        return apply(batch) if places is None else apply(batch, places)

    def _load(self) -> TileFunction:
        loaded = self.load(self.folder, self.digest, self.direction)
        inference = loaded.at(self.precision, self.norm_stats).resampled(self.resampling)
        return augmented(inference.knowing(self.statistics), self.tta)


def works_elsewhere(executor: object) -> bool:
    """Tell whether an executor's workers are other processes, which load the model themselves."""
    return executor is not None and not isinstance(executor, ThreadPoolExecutor)


class ScenesMeasured(Protocol):
    """Measures of a model."""

    @property
    def per_scene(self) -> Mapping[str, Mapping[str, float]]:
        """Distances and errors of validation scenes, by name."""


class StoredModel(Protocol):
    """A model with a name, which can be saved in a folder for workers."""

    @property
    def name(self) -> str:
        """Name of its class."""

    @property
    def loader(self) -> Loader:
        """Function that loads the model; it can be sent to workers."""

    @property
    def metrics(self) -> ScenesMeasured:
        """Last measures of the model."""

    def digest(self) -> str:
        """Return the SHA-256 of its weights."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save it in a folder and return the folder."""

    def saved_folder(self, digest: str) -> Path | None:
        """Return the folder in which it is saved unchanged, if there is one."""


@contextmanager
def shared(
    model: StoredModel,
    direction: Direction,
    tta: bool | str,
    executor: object,
    digest: str,
    output: Path,
) -> Iterator[ForScene]:
    """Yield functions of tiles that an executor's workers can call while the block lasts.

    Args:
        model: The model; it is saved beside the output if workers have no other folder to read.
        direction: The direction of the translation.
        tta: The test-time augmentation.
        executor: Executor that computes the parts; None for this process.
        digest: SHA-256 of its weights.
        output: The output file.

    Raises:
        RasterFileError: The folder of the output does not exist.
    """
    if not works_elsewhere(executor):
        yield lambda found: _with_prescan(found, lambda known: augmented(found.knowing(known), tta))
        return

    def loading(folder: Path) -> ForScene:
        def of_scene(found: ImageInference) -> TileFunction | TilePrescan:
            saved = SavedModel.of(model.loader, folder, digest, found, tta, direction)
            return _with_prescan(found, lambda known: replace(saved, statistics=known))

        return of_scene

    folder = model.saved_folder(digest)
    if folder is not None:
        yield loading(folder)
        return
    if not output.parent.is_dir():
        raise RasterFileError(
            f"The folder {output.parent} of the output {output.name} does not exist; create it "
            "first."
        )
    with TemporaryDirectory(prefix=f".{output.name[:40]}.model.", dir=output.parent) as made:
        yield loading(model.save(made))


def _with_prescan(
    inference: ImageInference, finish: Callable[[SceneStatistics | None], TileFunction]
) -> TileFunction | TilePrescan:
    """Return a function of tiles, with a prescan if it needs statistics of the scene."""
    if not inference.needs_prescan:
        return finish(None)
    # A predictor without torch, such as one of an ONNX file, needs none.
    from geotranslate.prediction.inference import torch_inference
    from geotranslate.prediction.scenes.scenestatistics import Prescan

    return Prescan(torch_inference(inference), finish)
