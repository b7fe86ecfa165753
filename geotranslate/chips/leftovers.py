"""What a killed export left beside its folder: removed, or brought back where it is old chips."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from geotranslate.chips.placing import EXCHANGED, FORMER


def clear_leftovers(folder: Path) -> None:
    """Remove the temporary folders of exports into a folder, none of which may be alive.

    Where one died while it replaced chips, the old ones are put back first. What cannot be put
    back, as something else is there by now, is left where it is.

    Args:
        folder: The chip folder, there or not, as the exports were given it.
    """
    left = re.compile(rf"\.{re.escape(folder.name)}\.[a-z0-9_]{{8}}\.partial")
    for path in list(folder.parent.iterdir()):
        if left.fullmatch(path.name) and path.is_dir() and _holds_nothing_old(path, folder):
            shutil.rmtree(path, ignore_errors=True)


def _holds_nothing_old(temporary: Path, folder: Path) -> bool:
    """Put back what is old, and tell whether that went well."""
    old = [name for name in EXCHANGED if (temporary / f"{FORMER}{name}").exists()]
    waiting = [name for name in EXCHANGED if (temporary / name).exists()]
    if not old or not waiting:
        # Either it moved nothing aside, or all of the new is in place.
        return True
    if not folder.is_dir() or any((folder / name).exists() for name in old if name in waiting):
        return False
    arrived = [name for name in EXCHANGED if name not in waiting and (folder / name).exists()]
    try:
        for name in arrived:
            os.replace(folder / name, temporary / name)
        for name in old:
            os.replace(temporary / f"{FORMER}{name}", folder / name)
    except OSError:
        return False
    return True
