"""Inference on tiles with an ONNX file, by onnxruntime and without torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import psutil
from numpy.typing import NDArray

from geotranslate.checks import choice, required
from geotranslate.errors import GeotranslateError, InvalidInputError, ModelFileError, said
from geotranslate.interop.onnx.entries import INPUT, OUTPUT
from geotranslate.interop.onnx.modelcheck import CheckedFile
from geotranslate.prediction.imageinference import ImageInference, Precision
from geotranslate.prediction.normstats import NormStats, SceneStatistics, checked_norm_stats
from geotranslate.prediction.tilesize import side_in_memory
from geotranslate.raster.factor import size_at
from geotranslate.raster.reader import reflected
from geotranslate.raster.tiling import Place


class OnnxInference(ImageInference):
    """The graph of an ONNX file, which contains the scalings, in float32 on the CPU.

    Args:
        file: The file.
        threads: Threads that compute one tile; None for `OMP_NUM_THREADS`, or all cores.

    Raises:
        ModelFileError: onnxruntime cannot run the graph.
        MissingPackageError: onnxruntime is missing.
    """

    def __init__(self, file: CheckedFile, threads: int | None = None) -> None:
        facts = file.graph
        super().__init__(file.model.data, facts.stride, facts.radius)
        self.norm_stats: NormStats = facts.norm_stats  # type: ignore[assignment]
        self.file, self.facts = file, facts
        self._session = _session(file, _threads() if threads is None else threads)

    def __call__(
        self, batch: NDArray[Any], places: Sequence[Place] | None = None
    ) -> NDArray[np.float32]:
        """Translate `(n, bands, rows, cols)`.

        Tiles are translated one by one, so that the result does not depend on the batch size.

        Args:
            batch: Tiles.
            places: Unused, as no statistics depend on places.

        Raises:
            GeotranslateError: The memory does not hold a tile.
        """
        given = batch.astype(np.float32, copy=False)
        if self.resampling is not None:
            # Resampled between the scaling and the network, as in training.
            given = self.card.source.scaling.unscale(self.network_input(batch))
        found = np.concatenate([self._tile(tile) for tile in given])
        return self._back(found, batch)

    def _tile(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Translate one tile `(bands, rows, cols)`, extended by reflection to whole strides."""
        rows, cols = tile.shape[-2:]
        down, across = (reflected(0, self._extended(size), size) for size in (rows, cols))
        whole = tile if (len(down), len(across)) == (rows, cols) else tile[:, down[:, None], across]
        try:
            found = self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(whole)[None]})[0]
        except Exception as error:  # onnxruntime has no public base class of its errors
            raise GeotranslateError(
                f"onnxruntime cannot translate a tile of {len(down)} x {len(across)} px "
                f"({said(error)}); give a smaller tile_size."
            ) from error
        high, wide = size_at((rows, cols), self.card.factor)
        cut: NDArray[np.float32] = found[..., :high, :wide]
        expected = (1, self.card.target.bands, high, wide)
        if cut.shape != expected:
            raise ModelFileError(
                f"{self.file.path} translates a tile of {rows} x {cols} px into an array of shape "
                f"{cut.shape}, but its card says {expected}: it is damaged. Export the model again."
            )
        return cut

    def _extended(self, size: int) -> int:
        stride = self.facts.stride
        return max(-(-size // stride) * stride, self.facts.least)

    def at(self, precision: Precision, norm_stats: NormStats = "running") -> OnnxInference:
        """Return itself, whose precision and statistics are those of the file.

        Args:
            precision: "float32" or "auto".
            norm_stats: Result of `resolved`.

        Raises:
            InvalidInputError: There is no such precision.
        """
        if choice("precision", precision, get_args(Precision)) == "bfloat16":
            raise InvalidInputError(
                "precision is 'bfloat16', but an ONNX file computes in float32; leave it out, or "
                "translate with the saved model by load_model."
            )
        return self

    def resolved(self, norm_stats: NormStats, tta: bool | str) -> NormStats:
        """Return the statistics of normalization layers, which are those of the file.

        Raises:
            InvalidInputError: Others are asked for.
        """
        checked = checked_norm_stats(norm_stats)
        if checked not in ("auto", self.norm_stats):
            raise InvalidInputError(
                f"norm_stats is {checked!r}, but the ONNX file was exported with "
                f"{self.norm_stats!r}; leave it out, export another file, or translate with the "
                "saved model by load_model."
            )
        return self.norm_stats

    def knowing(self, statistics: SceneStatistics | None) -> OnnxInference:
        """Return itself, as its statistics do not depend on scenes."""
        return self

    def batch_size(self, wanted: int | None, tile: int) -> int:
        """Return the number of tiles to translate at once, see `ImageInference.batch_size`.

        Raises:
            InvalidInputError: `wanted` is not a whole number of at least 1.
        """
        return self._cpu_batch_size(wanted, tile)

    def largest_tile(self, workers: int) -> int:
        """Return the side of the largest tile that fits in a quarter of the machine's memory, px.

        Args:
            workers: Number of processes or threads that share the memory.
        """
        memory = psutil.virtual_memory().total
        return side_in_memory(memory, workers, self.card.chip_size, self.facts.largest_layer)

    @property
    def mixes_statistics(self) -> bool:
        """Whether statistics of a scene can be mixed with those of training, which is false."""
        return False

    def features(self, images: NDArray[Any], valid: NDArray[np.bool_]) -> float | None:
        """Return None, as the inner layers of the graph cannot be measured."""
        return None


def _threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else os.cpu_count() or 1


def _session(file: CheckedFile, threads: int) -> Any:
    runtime = required("onnxruntime", "onnx", f"The ONNX file {file.path.name}")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # its errors are raised, too
    try:
        return runtime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelFileError(
            f"onnxruntime {runtime.__version__} cannot run {file.path} ({said(error)}); update "
            "onnxruntime, or export the model again."
        ) from error
