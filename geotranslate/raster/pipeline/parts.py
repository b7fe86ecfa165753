"""The folder of finished parts beside an output."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from geotranslate.checks import shown
from geotranslate.errors import (
    GeotranslateError,
    InvalidInputError,
    RasterFileError,
    said,
    warn,
)
from geotranslate.migration import checks_arguments
from geotranslate.raster.pipeline.planning import digest
from geotranslate.raster.pipeline.result import OutputSummary, PartReport
from geotranslate.raster.tiling import RECIPE_TAG, REPORT_TAG
from geotranslate.raster.writing import (
    DRIVERS,
    Driver,
    OutputProfile,
    assemble,
    check_output,
    part_path,
    read_tags,
    remove_temporaries,
    sole_holder,
    unwritten,
)
from geotranslate.schema import (
    MOST_BYTES,
    Fields,
    Json,
    one_of,
    parse_json,
    record,
    several,
    table,
    text,
    whole,
)

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class PartsFolder:
    """`<output>.parts`: the finished parts of an output, with a plan that identifies the output."""

    target: Path
    """The output."""
    output: OutputProfile
    rows: tuple[range, ...]
    """Rows of every part, from 0 on."""
    driver: Driver
    recipe: dict[str, str]
    """Digests of everything the pixels depend on, by name."""
    state: str
    """State of the raster's files, which may not change from part to part."""

    @property
    def path(self) -> Path:
        """Path of the folder."""
        return folder_of(self.target)

    def file(self, part: int) -> Path:
        """Return the file of a part, whether it exists or not."""
        return part_path(self.path, part)

    @property
    def mark(self) -> str:
        """Digest of recipe and state, which is written into every part."""
        return digest([self.recipe, self.state])

    @property
    def missing(self) -> list[int]:
        """Numbers of the parts that are missing."""
        return [part for part in range(len(self.rows)) if not self.file(part).exists()]

    @contextmanager
    def alone(self, *, shared: bool = False) -> Iterator[None]:
        """Lock the output against other runs until the block ends.

        Args:
            shared: Whether other shares of the output may be computed at the same time.

        Raises:
            RasterFileError: Another run writes it, or the folder cannot be written.
        """
        with sole_holder(
            self.target.with_name(f".{self.path.name}.lock"),
            busy=f"Another run is writing {self.target}; wait until it has ended, give another "
            "output, or share the work by part.",
            shared=shared,
            unwritable=lambda why: (
                f"{self.path}, where the parts of the output go, cannot be written: {why}. Make "
                "room or give an output in another folder."
            ),
        ):
            yield

    def start(self, *, resume: bool) -> None:
        """Make the folder, and empty it unless a run resumes.

        Raises:
            InvalidInputError: The parts in it belong to another output.
            RasterFileError: The folder cannot be made.
        """
        if not resume:
            self.remove()
        try:
            self.path.mkdir(exist_ok=True)
            if not (self.path / PLAN_FILE).exists():
                self._write_plan()
        except OSError as error:
            raise RasterFileError(
                f"{self.path}, where the parts of the output go, cannot be written: "
                f"{error.strerror}. Make room or give an output in another folder."
            ) from error
        self._refuse_other_parts(_load(self.path))

    def _write_plan(self) -> None:
        values = {
            "recipe": self.recipe,
            "state": self.state,
            "output": self.output.to_json(),
            "driver": self.driver,
            "edges": [0, *(rows.stop for rows in self.rows)],
        }
        # Several machines may start at the same time: all use the plan of the first.
        partial = self.path / f"{PLAN_FILE}.{uuid.uuid4().hex[:8]}"
        partial.write_text(json.dumps(values), encoding="utf-8")
        with suppress(FileExistsError):
            _name_first(partial, self.path / PLAN_FILE)
        partial.unlink(missing_ok=True)

    def once(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return a file of the folder, and make it if it does not exist.

        Several machines may make it at the same time: all use the file of the first to finish.

        Raises:
            RasterFileError: It cannot be written.
        """
        file = self.path / name
        if file.exists():
            return file
        partial = self.path / f"{name}.{uuid.uuid4().hex[:8]}"
        try:
            make(partial)
            with suppress(FileExistsError):
                _name_first(partial, file)
        except OSError as error:
            if isinstance(error, GeotranslateError):
                raise
            raise unwritten(file, "written", error, partial) from error
        finally:
            partial.unlink(missing_ok=True)
        return file

    def _refuse_other_parts(self, plan: Json) -> None:
        found, wanted = plan["recipe"], self.recipe
        other = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
        if "area" in other and "raster" in other:
            other.remove("raster")  # its fingerprint is of pixels within the area
        if not other and plan["state"] != self.state:
            other = ["raster"]
        if other:
            raise InvalidInputError(
                f"The parts in {self.path} were made with another {' and another '.join(other)}, "
                "so they are no parts of this output. Give what they were made with, or remove "
                "that folder and start anew."
            )

    def report(self, part: int) -> PartReport:
        """Return the report of a part.

        Raises:
            RasterFileError: The part is damaged or belongs to another output.
        """
        tags = read_tags(self.file(part))
        if tags.get(RECIPE_TAG) != self.mark:
            raise RasterFileError(
                f"The part {self.file(part)} is not of this output: another run has put it there. "
                "Go on with resume=True (--resume), or compute its share again, to have it made "
                "anew."
            )
        try:
            return PartReport.from_json(parse_json(tags.get(REPORT_TAG, "")))
        except InvalidInputError as error:
            raise RasterFileError(
                f"The part {self.file(part)} is damaged ({said(error)}). Go on with resume=True "
                "(--resume), or compute its share again, to have it made anew."
            ) from error

    def remove_others(self, share: Iterable[int]) -> None:
        """Remove the parts of a share that are damaged or belong to another output."""
        for part in share:
            try:
                if self.file(part).exists():
                    self.report(part)
            except RasterFileError:
                self.file(part).unlink(missing_ok=True)

    def total(self, parts: Iterable[int]) -> PartReport:
        """Return the report of several parts together."""
        return PartReport.total(map(self.report, parts))

    def assembled(self) -> OutputSummary | None:
        """Return the summary of the output if it exists and has this recipe, else None.

        The recipe misses small changes of the source, so callers compare file times too.
        """
        try:
            tags = read_tags(self.target)
        except RasterFileError:
            return None
        if tags.get(RECIPE_TAG) != digest(self.recipe):
            return None
        with suppress(InvalidInputError):
            return OutputSummary.from_json(parse_json(tags.get(REPORT_TAG, "")))
        return None

    @contextmanager
    def kept(self, *, shared: bool) -> Iterator[None]:
        """Keep finished parts if the block fails, with a warning; remove a folder without parts.

        Args:
            shared: Whether other runs may write parts into the folder, which then always stays.
        """
        try:
            yield
        except BaseException:
            there = len(self.rows) - len(self.missing)
            if not there and not shared:
                self.remove()
            elif there:
                warn(
                    f"{there} of {len(self.rows)} parts are finished and stay in {self.path}: "
                    "resume=True goes on with them (on the command line, --resume).",
                )
            raise

    def assemble(self) -> OutputSummary:
        """Assemble the output and remove the parts; return the summary of all parts.

        Raises:
            RasterFileError: Parts are missing or damaged, or the output cannot be written.
        """
        if missing := self.missing:
            raise RasterFileError(
                f"{len(missing)} of the {len(self.rows)} parts of {self.target} are missing in "
                f"{self.path}, the first one is number {missing[0] + 1}; compute them first."
            )
        whole = self.total(range(len(self.rows)))
        summary = whole.summary()
        tags = {RECIPE_TAG: digest(self.recipe), REPORT_TAG: json.dumps(asdict(summary))}
        output = replace(
            self.output,
            masked=self.output.masked or whole.lost > 0,
            tags={**self.output.tags, **tags},
        )
        parts = [(self.file(part), rows) for part, rows in enumerate(self.rows)]
        # Temporary files lie in the folder, so that they are removed with it.
        remove_temporaries(self.target, self.path)
        assemble(self.target, output, parts, self.driver, self.path)
        self.remove()
        return summary

    def remove_leftovers(self) -> None:
        """Remove the parts of an output that was complete when its run was killed."""
        if self.path.exists():
            with self.alone():
                self.remove()

    def remove(self) -> None:
        """Remove the folder and all parts in it."""
        # The plan is removed last, so that an interrupted removal leaves a readable folder.
        for item in self.path.glob("*"):
            if item.name != PLAN_FILE:
                with suppress(OSError):
                    item.unlink()
        shutil.rmtree(self.path, ignore_errors=True)


def _name_first(file: Path, name: Path) -> None:
    """Give a file a further name, unless that name is taken.

    Raises:
        FileExistsError: The name is taken.
    """
    try:
        os.link(file, name)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with name.open("xb") as copy, file.open("rb") as whole:
            shutil.copyfileobj(whole, copy)


def folder_of(target: Path) -> Path:
    """Return the folder of the parts of an output."""
    return target.with_name(f"{target.name}.parts")


def open_parts(target: Path) -> PartsFolder:
    """Return the folder of the parts that were computed for an output.

    Raises:
        RasterFileError: There is none, or it is damaged.
    """
    values = _load(folder_of(target))
    return PartsFolder(
        target,
        values["output"],
        tuple(range(top, bottom) for top, bottom in pairwise(values["edges"])),
        values["driver"],
        values["recipe"],
        values["state"],
    )


@checks_arguments
def assemble_parts(target: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Assemble an output from its parts, computed here or on other machines.

    Raises:
        RasterFileError: There are no parts, some are missing, another run writes the output, or
            it cannot be written.
        OutputExistsError: The output exists and `overwrite` is false.
    """
    path = check_output(target, overwrite=overwrite)
    parts = open_parts(path)
    with parts.alone():
        parts.assemble()
    return path


def _edges(name: str, value: Any) -> tuple[int, ...]:
    edges: tuple[int, ...] = several(whole(0, 2**31 - 1), 2)(name, value)
    if edges[0] or not all(one < next for one, next in pairwise(edges)):
        raise InvalidInputError(f"{name} are {shown(value)}; give rows that ascend from 0.")
    return edges


PLAN: Fields = {
    "recipe": table(text),
    "state": text,
    "output": lambda name, value: OutputProfile.from_json(value),
    "driver": one_of(DRIVERS),
    "edges": _edges,
}


def _load(folder: Path) -> Json:
    try:
        with (folder / PLAN_FILE).open("rb") as file:
            values: Json = record(PLAN)("plan", parse_json(file.read(MOST_BYTES + 1)))
        return values
    except FileNotFoundError as error:
        raise RasterFileError(
            f"There are no parts in {folder}; compute them first, with part='1/2' (--part 1/2) "
            "and so on."
        ) from error
    except (OSError, ValueError) as error:
        raise RasterFileError(
            f"{folder / PLAN_FILE} is damaged; remove the folder and start anew."
        ) from error
