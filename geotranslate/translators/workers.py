"""Give other processes and machines the model without sending it with every piece of work."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geotranslate.errors import ModelFileError, RasterFileError
from geotranslate.translators.augmentation import Symmetric, TileFunction
from geotranslate.translators.hardware import Precision
from geotranslate.translators.inference import Inference
from geotranslate.translators.loading import load_model

_LOADING = threading.Lock()
_loaded: tuple[SavedModel, TileFunction] | None = None


def augmented(inference: Inference, tta: bool | str) -> TileFunction:
    """Return the inference, with the test-time augmentation that is asked for."""
    return Symmetric(inference, spread=tta == "std") if tta else inference


@dataclass(frozen=True)
class SavedModel:
    """The inference of a model that is saved where every worker can read it.

    It is small when it is sent; a process that calls it loads the model once and keeps it until
    another one is called.
    """

    folder: Path
    digest: str
    """SHA-256 of its weights: a folder that was renewed meanwhile is another model."""
    stride: int
    radius: int | None
    precision: Precision
    tta: bool | str

    @classmethod
    def of(cls, folder: Path, digest: str, inference: Inference, tta: bool | str) -> SavedModel:
        """Refer to a saved model, for the same work as an inference that has its weights."""
        stride, radius = inference.stride, inference.radius
        return cls(folder.absolute(), digest, stride, radius, inference.precision, tta)

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Translate `(n, bands, rows, cols)`.

        Raises:
            ModelFileError: The folder cannot be seen from here, or was renewed.
        """
        global _loaded
        # Workers may be threads of one process: only the first of them loads.
        with _LOADING:
            if _loaded is None or _loaded[0] != self:
                _loaded = self, self._load()
            apply = _loaded[1]
        return apply(batch)

    def _load(self) -> TileFunction:
        model = load_model(self.folder)
        if model.digest() != self.digest:
            raise ModelFileError(
                f"The model {self.folder} was renewed while a scene was translated with it; start "
                "again."
            )
        return augmented(model.inference.at(self.precision), self.tta)


def works_elsewhere(executor: object) -> bool:
    """Tell whether an executor's workers are other processes, which the model has to be sent to."""
    return executor is not None and not isinstance(executor, ThreadPoolExecutor)


class Savable(Protocol):
    """A model that can be put where workers can read it; see `Predictor`."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it into a folder and return the folder."""

    def saved_folder(self, digest: str) -> Path | None:
        """Return the folder that holds it as it is, if there is one."""


@contextmanager
def shared(
    model: Savable,
    inference: Inference,
    tta: bool | str,
    executor: object,
    digest: str,
    output: Path,
) -> Iterator[TileFunction]:
    """Yield what translates tiles wherever the executor's workers are, as long as the block lasts.

    Args:
        model: The model, which is saved beside the output if workers could not read it otherwise.
        inference: Its inference at the precision that is asked for.
        tta: The test-time augmentation.
        executor: What computes the parts, None for this process.
        digest: SHA-256 of its weights.
        output: What is written.

    Raises:
        RasterFileError: The folder of the output does not exist.
    """
    if not works_elsewhere(executor):
        with inference.eval_mode:
            yield augmented(inference, tta)
        return
    folder = model.saved_folder(digest)
    if folder is not None:
        yield SavedModel.of(folder, digest, inference, tta)
        return
    if not output.parent.is_dir():
        raise RasterFileError(
            f"The folder {output.parent} of the output {output.name} does not exist; create it "
            "first."
        )
    with TemporaryDirectory(prefix=f".{output.name[:40]}.model.", dir=output.parent) as made:
        yield SavedModel.of(model.save(made), digest, inference, tta)
