"""The interface of layouts, and the layouts with a folder for each side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from geotranslate.chips.layouts.directory import Folder, not_read
from geotranslate.chips.layouts.listing import Listing
from geotranslate.raster.opening import special_kind


class Layout(ABC):
    """A way to lay out chips in a folder."""

    @abstractmethod
    def matches(self, folder: Folder) -> bool:
        """Tell whether a folder has this layout."""

    @abstractmethod
    def read(self, folder: Folder) -> Listing:
        """List the chips of a folder with this layout.

        Raises:
            InvalidInputError: It holds no chips, or it is ambiguous.
        """


@dataclass(frozen=True)
class SideFolders(Layout):
    """A layout with a folder for the chips of each side.

    Args:
        source: Name of the folder of source chips, in any case.
        target: Name of the folder of target chips.
    """

    source: str
    target: str

    @property
    def name(self) -> str:
        """Its name, as a summary says it."""
        return f"{self.source} + {self.target}"

    def matches(self, folder: Folder) -> bool:
        """Tell whether both folders are there."""
        return not self.missing(folder)

    def missing(self, folder: Folder) -> list[str]:
        """Return the names of those of the two folders that are not there."""
        return [name for name in (self.source, self.target) if folder.find(name) is None]

    def present(self, folder: Folder) -> int:
        """Return how many levels of the two folders are there."""
        names = {self.source, self.target} - set(self.missing(folder))
        return sum(name.count("/") + 1 for name in names)


@dataclass(frozen=True, slots=True)
class Sides:
    """The two folders of a chip folder that hold the chips of its sides."""

    folder: Folder
    source: Folder
    target: Folder

    @classmethod
    def of(cls, folder: Folder, layout: SideFolders) -> Sides:
        """List the two folders of a layout, which are there."""
        names = (layout.source, layout.target)
        return cls(folder, *(Folder.of(folder.find(name) or folder.path / name) for name in names))

    def name(self, side: Folder) -> str:
        """Return the name of a side as sentences say it."""
        return side.path.relative_to(self.folder.path).as_posix() + "/"


def unread_lines(held: Sequence[Folder], folder: Folder, *, deep: bool = False) -> list[str]:
    """Return a line for each folder with files that may be meant as chips but are not read.

    Args:
        held: The folders.
        folder: The chip folder that they are in.
        deep: Whether their sub-folders count.
    """
    lines = []
    for each in held:
        place = f"{each.path.relative_to(folder.path).as_posix()}/"
        if files := each.unread(deep=deep):
            lines.append(not_read(files, place))
        lines += [
            f"{place}{name}: {special_kind(each.path / name)} and no file"
            for name in each.no_files(deep=deep)
        ]
    return lines
