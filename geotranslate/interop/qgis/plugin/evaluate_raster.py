"""The algorithm that compares a raster layer with a reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsFeature,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterBand,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QVariant

from .algorithm import ProgramAlgorithm, option
from .evaluation_tables import as_csv, as_html

PREDICTION, REFERENCE, SOURCE = "PREDICTION", "REFERENCE", "SOURCE"
REFERENCE_BANDS, CLASSES, ZONES = "REFERENCE_BANDS", "CLASSES", "ZONES"
ERROR_KIND, ERROR, ZONES_OUTPUT = "ERROR_KIND", "ERROR", "ZONES_OUTPUT"
HTML, CSV, JSON = "HTML", "CSV", "JSON"
KINDS = ["signed", "absolute"]
VALUES = ["found out", "classes", "quantities"]
ANSWERS = ["", "true", "false"]
"""What `--classes` is for each of `VALUES`."""


class EvaluateRaster(ProgramAlgorithm):
    """`geotranslate evaluate-raster` for two raster layers."""

    def name(self) -> str:
        """Return the last part of the algorithm's name."""
        return "evaluateraster"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return "Evaluate raster"

    def shortHelpString(self) -> str:
        """Return the help beside the parameters."""
        return (
            "Compares a raster, for example a translation, with a reference, over the pixels that "
            "are valid in both. A reference on another grid is aligned to the prediction's "
            "grid.\n\n"
            "Measures are errors, PSNR and SSIM for quantities, and accuracy, F1 and IoU for "
            "classes, each with its 95% interval.\n\n"
            "Source: the raster that the prediction was made from. The measures then have the "
            "skill over a linear map of its bands.\n\n"
            "Zones: polygons that are measured apart; the layer of zones has a column for each "
            "measure."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Add the parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer(PREDICTION, "Prediction"))
        self.addParameter(QgsProcessingParameterRasterLayer(REFERENCE, "Reference"))
        self.addParameter(
            QgsProcessingParameterFeatureSource(
                ZONES, "Zones", [QgsProcessing.TypeVectorPolygon], optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterEnum(CLASSES, "Values", options=VALUES, defaultValue=0)
        )
        self._add_advanced()
        self._add_outputs()

    def _add_advanced(self) -> None:
        self.add_advanced(
            QgsProcessingParameterRasterLayer(SOURCE, "Source of the prediction", optional=True)
        )
        self.add_advanced(
            QgsProcessingParameterBand(
                REFERENCE_BANDS, "Bands of the reference", None, REFERENCE, True, True
            )
        )
        self.add_advanced(
            QgsProcessingParameterEnum(ERROR_KIND, "Errors", options=KINDS, defaultValue=0)
        )

    def _add_outputs(self) -> None:
        self.addParameter(
            QgsProcessingParameterFileDestination(
                HTML, "Measures as a page", "HTML files (*.html)", optional=True
            )
        )
        for name, words, files in (
            (CSV, "Measures as a table", "CSV files (*.csv)"),
            (JSON, "Measures as JSON", "JSON files (*.json)"),
        ):
            self.addParameter(
                QgsProcessingParameterFileDestination(name, words, files, None, True, False)
            )
        self.addParameter(
            QgsProcessingParameterRasterDestination(ERROR, "Errors", None, True, False)
        )
        self.addParameter(
            QgsProcessingParameterFeatureSink(
                ZONES_OUTPUT,
                "Zones with measures",
                QgsProcessing.TypeVectorPolygon,
                None,
                True,
                False,
            )
        )

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Return whether the parameters fit together, and else a sentence."""
        if parameters.get(ZONES_OUTPUT) and parameters.get(ZONES) in (None, ""):
            return False, "Zones with measures need zones; give a layer of polygons."
        found: tuple[bool, str] = super().checkParameterValues(parameters, context)
        return found

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Compare the layers and write the outputs that are asked for.

        Raises:
            QgsProcessingException: The command fails or is canceled; with its sentence.
        """
        zones = self.polygons(parameters, ZONES, context, feedback)
        error = self.parameterAsOutputLayer(parameters, ERROR, context)
        answer = ANSWERS[self.parameterAsEnum(parameters, CLASSES, context)]
        arguments = [
            "evaluate-raster",
            self.raster(parameters, PREDICTION, context),
            self.raster(parameters, REFERENCE, context),
            *option("zones", zones),
            *option("classes", answer),
            *option("source", self.raster(parameters, SOURCE, context)),
        ]
        if parameters.get(REFERENCE_BANDS):
            bands = self.parameterAsFields(parameters, REFERENCE_BANDS, context)
            arguments += option("reference-bands", ",".join(bands))
        if error:
            kind = KINDS[self.parameterAsEnum(parameters, ERROR_KIND, context)]
            arguments += ["--error", error, "--error-kind", kind, "--overwrite"]
        found = self.run_program(arguments, feedback)
        results = self._write(found, parameters, context)
        if error:
            results[ERROR] = error
        if parameters.get(ZONES_OUTPUT) and "zones" in found:
            results[ZONES_OUTPUT] = self._write_zones(zones, found["zones"], parameters, context)
        return results

    def _write(
        self, found: dict[str, Any], parameters: dict[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        results = {}
        for name, text in (
            (HTML, as_html(found)),
            (CSV, as_csv(found)),
            (JSON, json.dumps(found, indent=2) + "\n"),
        ):
            file = self.parameterAsFileOutput(parameters, name, context)
            if file:
                try:
                    Path(file).write_text(text, encoding="utf-8")
                except OSError as error:
                    raise QgsProcessingException(
                        f"{file} cannot be written: {error.strerror}; give another name."
                    ) from error
                results[name] = file
        return results

    def _write_zones(
        self,
        file: str,
        rows: list[dict[str, Any]],
        parameters: dict[str, Any],
        context: QgsProcessingContext,
    ) -> str:
        """Write the zones with a column for each measure; rows are in the order of the layer."""
        layer = QgsVectorLayer(file, "zones", "ogr")
        fields = QgsFields(layer.fields())
        for name in rows[0] if rows else []:
            if fields.lookupField(name) < 0:
                fields.append(QgsField(name, QVariant.Double))
        sink, identifier = self.parameterAsSink(
            parameters, ZONES_OUTPUT, context, fields, layer.wkbType(), layer.crs()
        )
        if sink is None:
            raise QgsProcessingException(self.invalidSinkError(parameters, ZONES_OUTPUT))
        for old, row in zip(layer.getFeatures(), rows):  # noqa: B905  # not in Python 3.7
            new = QgsFeature(fields)
            new.setGeometry(old.geometry())
            for name, value in zip(layer.fields().names(), old.attributes()):  # noqa: B905
                new.setAttribute(name, value)
            for name, value in row.items():
                if isinstance(value, (int, float)) and fields.lookupField(name) >= 0:
                    new.setAttribute(name, value)
            sink.addFeature(new, QgsFeatureSink.FastInsert)
        return str(identifier)
