"""The plugin for QGIS: a Processing provider whose algorithms run the geotranslate program.

QGIS runs these files with its own Python, from 3.7 on, where neither geotranslate nor torch needs
to be installed. They import only QGIS and the standard library.
"""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:
    """Return the plugin; QGIS calls this function when it loads the folder."""
    from .qgis_plugin import GeotranslatePlugin

    return GeotranslatePlugin(iface)
