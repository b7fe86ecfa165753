"""Side-by-side pictures: the source in the left half, the target in the right one."""

from __future__ import annotations

from collections.abc import Mapping

from geotranslate.chips.labels import known_label
from geotranslate.chips.layouts.directory import Folder, counted
from geotranslate.chips.layouts.listing import ChipFile, Entry, Listing, unread_lines
from geotranslate.raster.reader import RasterReader

SAMPLE = 3
"""Pictures of a folder whose size is looked at."""


def pictures_in(folder: Folder) -> dict[str, Folder]:
    """Return the folders that may hold side-by-side pictures, by name; "" for the folder itself."""
    subsets = {n: Folder.of(folder.path / n) for n in folder.folders if known_label(n)}
    held = {name: subset for name, subset in subsets.items() if subset.chips}
    return held or ({"": folder} if folder.chips else {})


def odd_picture(pictures: Mapping[str, Folder]) -> str | None:
    """Return which of the first pictures is not two squares side by side, as a sentence."""
    for place, folder in pictures.items():
        for name in folder.chips[:SAMPLE]:
            with RasterReader(folder.path / name) as picture:
                width, height = picture.grid.width, picture.grid.height
            if width != 2 * height:
                return (
                    f"{f'{place}/' if place else ''}{name} is {width} x {height} px; side-by-side "
                    "pictures are twice as wide as high."
                )
    return None


def list_pictures(folder: Folder, pictures: Mapping[str, Folder]) -> Listing:
    """List the halves of side-by-side pictures, left source and right target.

    Args:
        folder: The chip folder.
        pictures: Its folders with pictures, by name; "" for itself.

    Raises:
        InvalidInputError: Two pictures have one name.
    """
    entries = [
        Entry(
            f"{place}/{name}" if place else name,
            ChipFile(held.path / picture, "left"),
            ChipFile(held.path / picture, "right"),
            known_label(place),
        )
        for place, held in pictures.items()
        for name, picture in held.named_chips().items()
    ]
    places = " and ".join(name for name in pictures if name)
    direct = () if "" in pictures else folder.chips
    left_out = [f"{counted(direct)} beside {places}: not used"] if direct else []
    if places:
        left_out += unread_lines(list(pictures.values()), folder)
    layout = f"side-by-side pictures in {places}" if places else "side-by-side pictures"
    return Listing(folder.path, layout, tuple(entries), None, tuple(left_out))
