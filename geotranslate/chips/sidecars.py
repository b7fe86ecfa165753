"""Sizes and modification times of chips and of the files beside them, by listing folders once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import TypeAlias

SELF_CONTAINED = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""Endings of formats whose files need no other file."""

State: TypeAlias = "tuple[int, int] | None"
"""Size in bytes and modification time in nanoseconds; None for a missing file."""


class FolderListing:
    """The files of a folder.

    Args:
        folder: The folder; one that cannot be listed counts as unknown, not as empty.
    """

    def __init__(self, folder: str) -> None:
        self._entries: dict[str, os.DirEntry[str]] = {}
        self._beside: dict[str, list[str]] = {}
        self.known = True
        try:
            with os.scandir(folder) as entries:
                self._entries = {entry.name: entry for entry in entries}
        except (OSError, ValueError):
            self.known = False
        # Hidden files are no chips, and no chip has them beside it.
        others = [
            name
            for name in self._entries
            if not name.startswith(".") and not name.lower().endswith(SELF_CONTAINED)
        ]
        for name in others:
            stem, suffix = os.path.splitext(name.lower())
            # `a.tif.aux.xml` lies beside `a.tif`, `a.tfw` and `a.aux.xml` beside any `a`.
            while suffix:
                self._beside.setdefault(stem, []).append(name)
                stem, suffix = os.path.splitext(stem)
        self.plain = self.known and not others
        """Whether no file is, or might be, a sidecar file."""

    def beside(self, name: str) -> list[str]:
        """Return the names of the files that share the name of a chip, with or without suffix."""
        if self.plain:
            return []
        lower = name.lower()
        stem = os.path.splitext(lower)[0]
        return sorted({*self._beside.get(lower, ()), *self._beside.get(stem, ())})

    def state(self, name: str) -> State:
        """Return the state of a file, which a link may lead to."""
        entry = self._entries.get(name)
        try:
            found = None if entry is None else entry.stat()
        except OSError:
            return None
        return None if found is None else (found.st_size, found.st_mtime_ns)


class Sidecars:
    """Listings of the folders that hold chips, each read once, at its first use."""

    def __init__(self) -> None:
        self._folders: dict[str, FolderListing] = {}
        self._lock = threading.Lock()

    def of(self, folder: str) -> FolderListing:
        """Return the listing of a folder."""
        found = self._folders.get(folder)
        if found is None:
            with self._lock:
                found = self._folders.setdefault(folder, FolderListing(folder))
        return found

    def open_options(self, folders: Iterable[str]) -> dict[str, str]:
        """Return GDAL's options to open the files of folders fast.

        GDAL lists the folder of every file that it opens, in search of sidecar files. In folders
        without any it need not.
        """
        plain = all(self.of(folder).plain for folder in folders)
        return {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if plain else {}
