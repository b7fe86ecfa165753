"""What lies in a folder: chips, sub-folders, and everything else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from geotranslate.errors import InvalidInputError, RasterFileError

CHIP_SUFFIXES = {
    *(".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".img", ".mrf", ".vrt"),
    *(".bmp", ".gif", ".webp"),
}
BESIDE_SUFFIXES = {
    *("", ".aux", ".cpg", ".csv", ".db", ".dbf", ".emd", ".gpkg", ".hdr", ".html", ".ini", ".json"),
    *(".log", ".md", ".msk", ".ovr", ".pdf", ".prj", ".rrd", ".txt", ".wld", ".xml", ".yaml"),
}
"""Endings of files that lie beside chips and are none, as world files (.tfw, .pgw) do."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The sorted names of what lies directly in a folder; hidden files and folders aside."""

    path: Path
    chips: tuple[str, ...]
    folders: tuple[str, ...]
    others: tuple[str, ...]
    """Files that are no chips: metadata, world files, overviews."""

    @classmethod
    def of(cls, path: Path) -> Folder:
        """List a folder.

        Raises:
            RasterFileError: It cannot be listed; the sentence names it.
        """
        chips, folders, others = [], [], []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if _is_folder(entry):
                        folders.append(entry.name)
                    elif os.path.splitext(entry.name)[1].lower() in CHIP_SUFFIXES:
                        chips.append(entry.name)
                    else:
                        others.append(entry.name)
        except RasterFileError:
            raise
        except OSError as error:
            raise RasterFileError(
                f"The folder {path} cannot be listed: {error.strerror}. Check that it is there and "
                "that you may read it."
            ) from error
        return cls(path, tuple(sorted(chips)), tuple(sorted(folders)), tuple(sorted(others)))

    def find(self, name: str) -> Path | None:
        """Return the sub-folder of a name like `Images/train_a`, whatever its case.

        Raises:
            InvalidInputError: Two folders differ in case alone.
        """
        first, _, rest = name.partition("/")
        found = [folder for folder in self.folders if folder.lower() == first.lower()]
        if len(found) > 1:
            raise InvalidInputError(
                f"{self.path} has the folders {' and '.join(found)}, whose names differ in case "
                "alone; keep one of them, or rename the other."
            )
        if not found:
            return None
        return Folder.of(self.path / found[0]).find(rest) if rest else self.path / found[0]

    def named_chips(self, *, deep: bool = False) -> dict[str, str]:
        """Return the chips by their names without ending.

        Args:
            deep: Whether those in sub-folders count as well, as `sub/1`.

        Raises:
            InvalidInputError: A name occurs with two endings.
        """
        named: dict[str, str] = {}
        for chip in sorted(self._deep_chips()) if deep else self.chips:
            name = os.path.splitext(chip)[0]
            if name in named:
                raise InvalidInputError(
                    f"{self.path} has several chips named {name} with different endings, so "
                    "which is meant is ambiguous; keep one of them."
                )
            named[name] = chip
        return named

    def _deep_chips(self) -> Iterator[str]:
        yield from self.chips
        for folder in self.folders:
            for chip in Folder.of(self.path / folder)._deep_chips():
                yield f"{folder}/{chip}"

    def unread(self, *, deep: bool = False) -> list[str]:
        """Return the files that may be meant as chips but have none of their endings.

        Args:
            deep: Whether those in sub-folders count as well, as `sub/1.npy`.
        """
        found = [name for name in self.others if not _lies_beside(name)]
        for folder in self.folders if deep else ():
            found += [
                f"{folder}/{name}" for name in Folder.of(self.path / folder).unread(deep=True)
            ]
        return found

    @property
    def content(self) -> str:
        """What is in it, in the words of a sentence."""
        shown = [*self.folders[:6], *self.others[:4]]
        if len(self.folders + self.others) > len(shown):
            shown.append("...")
        if self.chips:
            shown.insert(0, f"{counted(self.chips)} such as {self.chips[0]}")
        return ", ".join(shown) or "nothing"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise RasterFileError(
            f"{entry.path} cannot be followed: {error.strerror}. Remove the link, or let it lead "
            "to a file or folder."
        ) from error


def _lies_beside(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    return suffix in BESIDE_SUFFIXES or (suffix.endswith("w") and suffix != ".raw")


def not_read(files: Sequence[str], place: str = "") -> str:
    """Return how many files are not read as chips, and why, as sentences say it."""
    kinds = ", ".join(sorted(suffix[1:] for suffix in CHIP_SUFFIXES))
    return (
        f"{counted(files, 'file')} such as {place}{files[0]}: no chip by its ending (chips end in "
        f"{kinds})"
    )


def counted(things: Sequence[object], noun: str = "chip") -> str:
    """Return the number of things as sentences say it."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
