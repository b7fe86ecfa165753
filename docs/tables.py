"""Renew the tables of the pages "Coming from ...": python docs/tables.py."""

from __future__ import annotations

import sys
from pathlib import Path

# The tables of this checkout, also where another one is installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

from geotranslate.migration.pages import (
    arcgis_tables,
    reference_tables,
    with_tables,
)

PAGES = {
    "from_arcgis_learn.md": arcgis_tables,
    "from_pytorch_cyclegan.md": reference_tables,
}


def main() -> None:
    """Write the tables into the pages."""
    for name, tables in PAGES.items():
        page = Path(__file__).with_name(name)
        page.write_text(with_tables(page.read_text("utf-8"), tables()), encoding="utf-8")


if __name__ == "__main__":
    main()
