"""Sphinx configuration."""

from __future__ import annotations

import geotranslate

project = "geotranslate"
author = "the geotranslate contributors"
version = release = geotranslate.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
html_theme = "furo"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
