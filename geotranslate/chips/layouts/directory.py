"""Files of a chip folder, and its `map.txt`, which lists pairs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO

from geotranslate.errors import InvalidInputError, RasterFileError, said
from geotranslate.raster.opening import refuse_special, special_kind

CHIP_SUFFIXES = {
    *(".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".img", ".mrf", ".vrt"),
    *(".bmp", ".gif", ".webp"),
}
BESIDE_SUFFIXES = {
    *("", ".aux", ".cpg", ".csv", ".db", ".dbf", ".emd", ".gpkg", ".hdr", ".html", ".ini", ".json"),
    *(".log", ".md", ".msk", ".ovr", ".pdf", ".prj", ".rrd", ".txt", ".wld", ".xml", ".yaml"),
    # Index, pixels and cache of an MRF.
    *(".idx", ".lrc", ".mrfcache", ".pjg", ".pjp", ".ppg", ".pq3", ".ptf", ".pzp", ".pzs", ".til"),
}
"""Endings of sidecar files of chips, besides world files (.tfw, .pgw)."""
MOST_FOLDERS = 10_000
"""Largest number of sub-folders that are searched for chips."""

MAP_FILE = "map.txt"
LONGEST_LINE = 2**14
"""Largest number of characters of a line of `map.txt`: paths are at most half as long."""
_ENDINGS = "|".join(suffix[1:] for suffix in CHIP_SUFFIXES)
_PAIR = re.compile(rf"(.+?\.(?:{_ENDINGS}))\s+(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Folder:
    """The sorted names of files and folders directly in a folder, without hidden ones."""

    path: Path
    chips: tuple[str, ...]
    folders: tuple[str, ...]
    others: tuple[str, ...]
    """Files other than chips: metadata, world files, overviews."""
    special: tuple[str, ...] = ()
    """Named pipes, sockets and devices, which are neither file nor folder."""
    _inner: dict[Path, Folder] = field(default_factory=dict, compare=False, repr=False)
    """Sub-folders that have been listed, as listing a hundred thousand files takes long."""

    @classmethod
    def of(cls, path: Path) -> Folder:
        """List a folder.

        Raises:
            RasterFileError: It cannot be listed, or a link in it leads to itself; the message names
                it.
        """
        found: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
        chips, folders, others, special = found
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if _is_folder(entry):
                        folders.append(entry.name)
                    elif not entry.is_file() and special_kind(entry.path):
                        special.append(entry.name)
                    # `splitext` takes several times as long.
                    elif entry.name[entry.name.rfind(".") :].lower() in CHIP_SUFFIXES:
                        chips.append(entry.name)
                    else:
                        others.append(entry.name)
        except (OSError, ValueError) as error:
            if isinstance(error, RasterFileError):
                raise
            why = error.strerror if isinstance(error, OSError) else said(error)
            raise RasterFileError(
                f"The folder {path} cannot be listed: {why}. Check that it is there and that you "
                "may read it."
            ) from error
        first, second, third, fourth = (tuple(sorted(names)) for names in found)
        return cls(path, first, second, third, fourth)

    def find(self, name: str) -> Path | None:
        """Return the sub-folder with a name like `Images/train_a`, ignoring case.

        Raises:
            InvalidInputError: Two folders differ only in case.
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
        path = self.path / found[0]
        return self._listed(path).find(rest) if rest else path

    def inner(self, name: str) -> Folder:
        """Return a sub-folder that `find` finds.

        Raises:
            RasterFileError: There is none, or it cannot be listed.
            InvalidInputError: Two folders differ only in case.
        """
        return self._listed(self.find(name) or self.path / name)

    def _listed(self, path: Path) -> Folder:
        found = self._inner.get(path)
        if found is None:
            found = self._inner[path] = Folder.of(path)
        return found

    def paths(self, names: Iterable[str]) -> list[str]:
        """Return the paths of files, whose names may have sub-folders, like `sub/1.tif`."""
        # Joining each by `pathlib` takes ten times as long.
        start = f"{self.path}{os.sep}"
        if os.sep == "/":
            return [start + name for name in names]
        return [start + name.replace("/", os.sep) for name in names]

    def named_chips(self, *, deep: bool = False) -> dict[str, str]:
        """Return the chips by their names without suffix.

        Args:
            deep: Whether to include sub-folders, with names like `sub/1`.

        Raises:
            InvalidInputError: A name occurs with two suffixes.
        """
        named: dict[str, str] = {}
        for chip in sorted(self._in_any("chips")) if deep else self.chips:
            name = chip[: chip.rindex(".")]
            if name in named:
                raise InvalidInputError(
                    f"{self.path} has several chips named {name} with different endings, so "
                    "which is meant is ambiguous; keep one of them."
                )
            named[name] = chip
        return named

    def named_paths(self) -> dict[str, str]:
        """Return the paths of the chips by their names without suffix.

        Raises:
            InvalidInputError: A name occurs with two suffixes.
        """
        named = self.named_chips()
        return dict(zip(named, self.paths(named.values()), strict=True))

    def _in_any(self, kind: Literal["chips", "others", "special"]) -> Iterator[str]:
        """Yield the names of one kind in this folder and, as `sub/1.tif`, in its sub-folders.

        Raises:
            InvalidInputError: There are too many folders.
        """
        waiting: list[tuple[str, Folder, frozenset[tuple[int, int]]]] = [("", self, frozenset())]
        for _ in range(MOST_FOLDERS):
            if not waiting:
                return
            prefix, folder, above = waiting.pop()
            state = os.stat(folder.path)
            here = (state.st_dev, state.st_ino)
            # A link may lead to a parent folder, in which everything would be found again.
            if here in above:
                continue
            yield from (prefix + name for name in getattr(folder, kind))
            waiting += [
                (f"{prefix}{name}/", folder._listed(folder.path / name), above | {here})
                for name in folder.folders
            ]
        raise InvalidInputError(
            f"{self.path} has more than {MOST_FOLDERS} sub-folders; put its chips into fewer."
        )

    def unread(self, *, deep: bool = False) -> list[str]:
        """Return files that look like chips but have another suffix.

        Args:
            deep: Whether to include sub-folders, with names like `sub/1.npy`.
        """
        names = sorted(self._in_any("others")) if deep else self.others
        return [name for name in names if not _lies_beside(name)]

    def no_files(self, *, deep: bool = False) -> list[str]:
        """Return named pipes, sockets and devices with the suffix of a chip.

        Args:
            deep: Whether to include sub-folders, with names like `sub/1.tif`.
        """
        names = sorted(self._in_any("special")) if deep else self.special
        return [name for name in names if os.path.splitext(name)[1].lower() in CHIP_SUFFIXES]

    @property
    def content(self) -> str:
        """Content of the folder, in words for messages."""
        files = (*self.others, *self.special)
        shown = [*self.folders[:6], *files[:4]]
        if len(self.folders + files) > len(shown):
            shown.append("...")
        if self.chips:
            shown.insert(0, f"{counted(self.chips)} such as {self.chips[0]}")
        return ", ".join(shown) or "nothing"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one.

    Raises:
        RasterFileError: It is a link that leads to itself or to a place that may not be read.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        raise RasterFileError(
            f"{entry.path} is a link that cannot be followed: {error.strerror}. Remove it, or let "
            "it lead to a file or folder."
        ) from error


def _lies_beside(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    return suffix in BESIDE_SUFFIXES or (suffix.endswith("w") and suffix != ".raw")


def not_read(files: Sequence[str], place: str = "") -> str:
    """Return the number of files that are not read as chips with the reason, in words."""
    kinds = ", ".join(sorted(suffix[1:] for suffix in CHIP_SUFFIXES))
    return (
        f"{counted(files, 'file')} such as {place}{files[0]}: no chip by its ending (chips end in "
        f"{kinds})"
    )


def counted(things: Sequence[object], noun: str = "chip") -> str:
    """Return a number of things in words."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def read_map(path: Path) -> list[tuple[str, str]]:
    """Return the (source, target) paths of a `map.txt`, with forward slashes, each pair once.

    Real files have backslashes, CRLF, trailing blanks, several blanks between the columns, and
    repeated pairs after an appended export.

    Raises:
        RasterFileError: It is not a text file; the message names it.
    """
    refuse_special(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            columns = [_columns(line.strip().replace("\\", "/")) for line in _lines(file)]
    except (OSError, ValueError) as error:
        raise RasterFileError(
            f"{path} cannot be read: {said(error)}. Write it as UTF-8 text, or delete it: then "
            "chips of equal names are pairs."
        ) from error
    return list(dict.fromkeys((row[0], row[1]) for row in columns if len(row) >= 2))


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE or "\0" in line:
            raise ValueError("a line has more characters than two paths, or null characters")
        yield line


def _columns(line: str) -> Sequence[str]:
    # Names may contain blanks: both end with the suffix of a chip.
    is_pair = os.path.splitext(line)[1].lower() in CHIP_SUFFIXES
    found = _PAIR.fullmatch(line) if is_pair else None
    return found.groups() if found else line.split()


def map_rows(folder: Folder) -> list[tuple[str, str]]:
    """Return the pairs of a folder's `map.txt`; none without such a file.

    Raises:
        RasterFileError: It is not text.
        InvalidInputError: It names a chip outside the folder.
    """
    if MAP_FILE not in (*folder.others, *folder.special):
        return []
    rows = read_map(folder.path / MAP_FILE)
    # Exports that were moved may list paths of the machine that wrote them: only names count.
    places = {os.path.dirname(name): name for row in rows for name in row}
    for place, name in places.items():
        if _leads_out(place, folder.path):
            raise InvalidInputError(
                f"{MAP_FILE} in {folder.path} names {name}, which lies outside the folder; name "
                f"chips in it, or delete {MAP_FILE}: then chips of equal names are pairs."
            )
    return rows


def _leads_out(place: str, folder: Path) -> bool:
    """Tell whether a folder named in `map.txt` lies outside the chip folder."""
    if not os.path.isabs(place):
        return os.path.normpath(place).split("/")[0] == ".."
    try:
        return os.path.isdir(place) and not Path(place).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False
