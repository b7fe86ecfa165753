"""Common parts of the algorithms."""

from __future__ import annotations

import json
import shlex
from typing import Any

from processing.core.ProcessingConfig import ProcessingConfig
from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterDefinition,
)

from .program import ProgramCanceled, ProgramError, find_program, run

PROVIDER = "geotranslate"
PROGRAM = "GEOTRANSLATE_PROGRAM"
"""Name of the setting with the path of the program."""
VECTOR = "gpkg"
"""Format of the temporary files of layers of polygons."""


class ProgramAlgorithm(QgsProcessingAlgorithm):
    """An algorithm that is a command of the geotranslate program."""

    def createInstance(self) -> ProgramAlgorithm:
        """Return a new algorithm of this kind."""
        return type(self)()

    def icon(self) -> Any:
        """Return the icon of the provider."""
        return self.provider().icon()

    def canExecute(self) -> tuple[bool, str]:
        """Return whether the program is found, and else a sentence."""
        try:
            self._program()
        except ProgramError as error:
            return False, str(error)
        return True, ""

    def add_advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        """Add a parameter that is folded away at first."""
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
        self.addParameter(parameter)

    def run_program(self, arguments: list[str], feedback: QgsProcessingFeedback) -> Any:
        """Run a command of the program and return its results, read as JSON.

        Raises:
            QgsProcessingException: It fails or is canceled; with the command's sentence.
        """
        try:
            command = [*self._program(), *arguments, "--json"]
            feedback.pushCommandInfo(" ".join(map(shlex.quote, command)))
            return json.loads(run(command, feedback))
        except ProgramCanceled as error:
            raise QgsProcessingException(self.canceled(str(error))) from error
        except (ProgramError, ValueError) as error:
            raise QgsProcessingException(str(error)) from error

    def canceled(self, sentence: str) -> str:
        """Return the sentence after the command was canceled."""
        return sentence

    def raster(self, parameters: dict[str, Any], name: str, context: QgsProcessingContext) -> str:
        """Return the file of a raster layer, "" if none is given.

        Raises:
            QgsProcessingException: The layer is not read by GDAL.
        """
        layer = self.parameterAsRasterLayer(parameters, name, context)
        if layer is None:
            if parameters.get(name) in (None, ""):
                return ""
            raise QgsProcessingException(self.invalidRasterError(parameters, name))
        if layer.providerType() != "gdal":
            raise QgsProcessingException(
                f"{layer.name()} comes from a service ({layer.providerType()}); save it as a "
                "GeoTIFF first, by Export > Save As in the menu of the layer."
            )
        # GDAL's options of opening follow a bar.
        return str(layer.source()).split("|")[0]

    def polygons(
        self,
        parameters: dict[str, Any],
        name: str,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> str:
        """Return a file with the features of a layer, or with the chosen ones; "" for no layer."""
        if parameters.get(name) in (None, ""):
            return ""
        # No format is taken as it is: a file may have several layers, and a layer may be filtered.
        return str(
            self.parameterAsCompatibleSourceLayerPath(
                parameters, name, context, [], VECTOR, feedback
            )
        )

    def _program(self) -> list[str]:
        return find_program(str(ProcessingConfig.getSetting(PROGRAM) or ""))


def option(name: str, value: object) -> list[str]:
    """Return an option of the command line; none for no value."""
    return [] if value in (None, "", [], False) else [f"--{name}", str(value)]
