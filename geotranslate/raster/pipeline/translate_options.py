"""Options of a translation: source area, tiles, output and execution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from shapely.geometry.base import BaseGeometry

from geotranslate.checks import finite_numbers, flag, shown, whole_number
from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import BLOCK, TilingOptions, corners
from geotranslate.raster.writing import OutputOptions


class Future(Protocol):
    """Result of a submitted function, in the standard library and in Dask."""

    def result(self) -> Any:
        """Return the result of the function, or raise its error."""

    def cancel(self) -> Any:
        """Cancel the function if it has not started."""

    def add_done_callback(self, callback: Callable[[Any], None], /) -> Any:
        """Call a function with the future when it is done."""


class Executor(Protocol):
    """A `concurrent.futures.Executor` or a `dask.distributed.Client`."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future:
        """Call a function on some worker."""


@dataclass(frozen=True)
class ReadOptions:
    """Bands and area of the source to translate.

    Args:
        bands: Bands to read, by number from 1 or by name; all by default.
        aoi: Area in the source's CRS; pixels with their center outside are invalid.
        bbox: Left, bottom, right and top in the source's CRS.
        fill: Value of invalid pixels, in source units; one value, or one per band.

    Values are checked against the source when it is open.
    """

    bands: Sequence[int | str] | None = None
    aoi: BaseGeometry | None = None
    bbox: Sequence[float] | None = None
    fill: float | Sequence[float] = 0.0

    def on(self, reader: RasterReader) -> ReadOptions:
        """Return the options with the numbers of the bands, and plain numbers.

        Raises:
            InvalidInputError: `bbox` is not a box, or `fill` is neither one number nor one per
                band.
        """
        fill = finite_numbers("fill", self.fill, reader.bands)
        bbox = None if self.bbox is None else corners(self.bbox)
        return replace(self, bands=reader.indexes, bbox=bbox, fill=fill)


@dataclass(frozen=True)
class RunOptions:
    """Options of the computation, which do not change the pixels.

    Args:
        batch_size: Tiles per call of the function.
        overwrite: Whether an existing output may be replaced.
        resume: Whether to go on with the parts of an interrupted run.
        executor: Executor that computes the parts; None for this process.
        part: Share of the parts to compute, "i/n" or (i, n); None for all.
        part_rows: Rows of a part, a multiple of the block; None to choose.
        max_memory: Bytes for strips and row buffers; None for a quarter of the free memory.
        progress: Whether to show a progress bar.
        identity: Text, or texts by name, that identify the function for `resume`.

    Raises:
        InvalidInputError: A value is invalid.
    """

    batch_size: int = 4
    overwrite: bool = False
    resume: bool = False
    executor: Executor | None = None
    part: str | tuple[int, int] | None = None
    part_rows: int | None = None
    max_memory: int | None = None
    progress: bool = True
    identity: str | Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            "batch_size": whole_number("batch_size", self.batch_size, 1),
            "part": None if self.part is None else _share(self.part),
        }
        for name in ("overwrite", "resume", "progress"):
            checked[name] = flag(name, getattr(self, name))
        if self.executor is not None:
            check_executor(self.executor)
        if self.part_rows is not None:
            checked["part_rows"] = whole_number("part_rows", self.part_rows, 1)
            if self.part_rows % BLOCK:
                raise InvalidInputError(
                    f"part_rows is {self.part_rows}; give a multiple of {BLOCK}."
                )
        if self.max_memory is not None:
            checked["max_memory"] = whole_number("max_memory", self.max_memory, 1)
        _check_identity(self.identity)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def share(self) -> tuple[int, int]:
        """Number of the share to compute, from 1, and the number of shares."""
        return (1, 1) if self.part is None else _share(self.part)


@dataclass(frozen=True)
class TranslateOptions:
    """All options of a translation."""

    reading: ReadOptions
    tiling: TilingOptions
    writing: OutputOptions
    running: RunOptions


def check_executor(executor: object) -> None:
    """Check that a value is an executor.

    Raises:
        InvalidInputError: It has no method `submit`.
    """
    if not callable(getattr(executor, "submit", None)):
        raise InvalidInputError(
            f"executor is {type(executor).__name__}, which has no submit(); give a "
            "concurrent.futures executor or a dask.distributed.Client."
        )


def _share(part: object) -> tuple[int, int]:
    try:
        numbers: Any = part.split("/") if isinstance(part, str) else part
        index, shares = (int(number) for number in numbers)
    except (TypeError, ValueError, OverflowError):
        index = shares = 0
    if not 1 <= index <= shares:
        raise InvalidInputError(
            f"part is {shown(part)}; give the share to compute and their number, such as 3/16."
        )
    return index, shares


def _check_identity(identity: object) -> None:
    named = identity if isinstance(identity, Mapping) else {"": identity}
    texts = all(isinstance(text, str) for pair in named.items() for text in pair)
    if identity is not None and not texts:
        raise InvalidInputError(
            f"identity is {shown(identity)}; give a text, or a dict from names to texts."
        )
