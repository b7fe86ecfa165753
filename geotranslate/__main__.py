"""`python -m geotranslate`, the command line."""

from __future__ import annotations

from geotranslate.cli import main

if __name__ == "__main__":
    main(prog_name="geotranslate")
