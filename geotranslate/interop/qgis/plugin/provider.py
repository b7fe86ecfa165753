"""The Processing provider and its setting."""

from __future__ import annotations

from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithm import PROGRAM, PROVIDER
from .evaluate_raster import EvaluateRaster
from .translate_raster import TranslateRaster

ICON = str(Path(__file__).with_name("icon.svg"))


class Provider(QgsProcessingProvider):
    """Algorithms that run the geotranslate program."""

    def id(self) -> str:
        """Return the first part of the names of algorithms."""
        return PROVIDER

    def name(self) -> str:
        """Return the name in the toolbox."""
        return PROVIDER

    def icon(self) -> QIcon:
        """Return the icon in the toolbox."""
        return QIcon(ICON)

    def svgIconPath(self) -> str:
        """Return the file of the icon."""
        return ICON

    def load(self) -> bool:
        """Add the setting and the algorithms."""
        ProcessingConfig.settingIcons[PROVIDER] = self.icon()
        ProcessingConfig.addSetting(
            Setting(
                PROVIDER,
                PROGRAM,
                "Path of the geotranslate program",
                "",
                valuetype=Setting.FILE,
            )
        )
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        """Remove the setting."""
        ProcessingConfig.removeSetting(PROGRAM)

    def loadAlgorithms(self) -> None:
        """Add the algorithms."""
        for algorithm in (TranslateRaster, EvaluateRaster):
            self.addAlgorithm(algorithm())

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """Return the endings of rasters that geotranslate writes."""
        return ["tif"]

    def defaultRasterFileExtension(self) -> str:
        """Return the ending of temporary rasters."""
        return "tif"
