"""Read `map.txt`, in which ArcGIS Pro names the pairs of an export."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from geotranslate.chips.layouts.directory import CHIP_SUFFIXES, Folder
from geotranslate.errors import InvalidInputError, RasterFileError, said
from geotranslate.raster.opening import refuse_special

MAP_FILE = "map.txt"
LONGEST_LINE = 2**14
"""Characters of a line of `map.txt`: systems take no longer paths than half of it."""

_ENDINGS = "|".join(suffix[1:] for suffix in CHIP_SUFFIXES)
_PAIR = re.compile(rf"(.+?\.(?:{_ENDINGS}))\s+(.+)", re.IGNORECASE)


def read_map(path: Path) -> list[tuple[str, str]]:
    """Return the (source, target) paths of a `map.txt`, with forward slashes, each pair once.

    Real files have backslashes, CRLF, trailing blanks and several blanks between the columns, and
    name a pair twice where an export was appended to.

    Raises:
        RasterFileError: It is no file or no text; the sentence names it.
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
    # Names may hold blanks: the first one ends with the ending of a chip, and so does the line.
    is_pair = os.path.splitext(line)[1].lower() in CHIP_SUFFIXES
    found = _PAIR.fullmatch(line) if is_pair else None
    return found.groups() if found else line.split()


def map_rows(folder: Folder) -> list[tuple[str, str]]:
    """Return the pairs of a folder's `map.txt`, none where it has no such file.

    Raises:
        RasterFileError: It is no text.
        InvalidInputError: It names a chip outside the folder.
    """
    if MAP_FILE not in (*folder.others, *folder.special):
        return []
    rows = read_map(folder.path / MAP_FILE)
    # Exports that were moved may have the paths of the machine that wrote them: names count.
    places = {os.path.dirname(name): name for row in rows for name in row}
    for place, name in places.items():
        if _leads_out(place, folder.path):
            raise InvalidInputError(
                f"{MAP_FILE} in {folder.path} names {name}, which lies outside the folder; name "
                f"chips in it, or delete {MAP_FILE}: then chips of equal names are pairs."
            )
    return rows


def _leads_out(place: str, folder: Path) -> bool:
    """Tell whether a folder named in `map.txt` is another one than those in the chip folder."""
    if not os.path.isabs(place):
        return os.path.normpath(place).split("/")[0] == ".."
    try:
        return os.path.isdir(place) and not Path(place).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False
