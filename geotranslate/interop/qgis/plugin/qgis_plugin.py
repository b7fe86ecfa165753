"""The plugin as QGIS and qgis_process load it."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsApplication

from .provider import Provider


class GeotranslatePlugin:
    """Adds the provider to Processing.

    Args:
        iface: The window of QGIS; None in qgis_process.
    """

    def __init__(self, iface: Any) -> None:
        self.iface = iface
        self.provider: Provider | None = None

    def initProcessing(self) -> None:
        """Add the provider."""
        self.provider = Provider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:
        """Add the provider to a QGIS with a window."""
        self.initProcessing()

    def unload(self) -> None:
        """Remove the provider."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
