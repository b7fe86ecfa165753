"""Side-by-side pictures: the source in the left half, the target in the right one."""

from __future__ import annotations

from collections.abc import Mapping

from geotranslate.chips.labels import known_label
from geotranslate.chips.layouts.base import Layout, unread_lines
from geotranslate.chips.layouts.directory import Folder, counted
from geotranslate.chips.layouts.listing import ChipFile, ListedPair, Listing
from geotranslate.raster.reader import RasterReader

SAMPLE = 3
"""Pictures of a folder whose size is looked at."""


class SideBySidePictures(Layout):
    """Pictures of two squares, directly in a folder or in its parts train, val and test."""

    def matches(self, folder: Folder) -> bool:
        """Tell whether there are pictures, the first of which are twice as wide as high."""
        pictures = pictures_in(folder)
        return bool(pictures) and not odd_picture(pictures)

    def read(self, folder: Folder) -> Listing:
        """List the halves of the pictures as pairs.

        Raises:
            InvalidInputError: Two pictures have one name.
        """
        pictures = pictures_in(folder)
        pairs = [
            ListedPair(
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
        return Listing(folder.path, layout, pairs=tuple(pairs), left_out=tuple(left_out))


def pictures_in(folder: Folder) -> dict[str, Folder]:
    """Return the folders that may hold side-by-side pictures, by name; "" for the folder itself."""
    subsets = {n: Folder.of(folder.path / n) for n in folder.folders if known_label(n)}
    held = {name: subset for name, subset in subsets.items() if subset.chips}
    return held or ({"": folder} if folder.chips else {})


def odd_picture(pictures: Mapping[str, Folder]) -> str | None:
    """Return a sentence about the first picture that is not two squares side by side."""
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
