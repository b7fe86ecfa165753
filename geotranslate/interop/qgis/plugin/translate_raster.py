"""The algorithm that translates a raster layer with a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from .algorithm import ProgramAlgorithm, option

MODEL, INPUT, OUTPUT = "MODEL", "INPUT", "OUTPUT"
AOI, EXTENT, BANDS = "AOI", "EXTENT", "BANDS"
TILE_SIZE, OVERLAP, BLEND = "TILE_SIZE", "OVERLAP", "BLEND"
NORM_STATS, MATCH, RESOLUTION = "NORM_STATS", "MATCH", "RESOLUTION"
DIRECTION, TTA, DEVICE = "DIRECTION", "TTA", "DEVICE"
OVERWRITE, RESUME = "OVERWRITE", "RESUME"
NORMS = ["auto", "running", "tile", "scene", "smooth"]
BLENDS = ["auto", "hann", "crop"]
RESOLUTIONS = ["auto", "training", "source"]
DIRECTIONS = ["AtoB", "BtoA"]
MODEL_FILES = ("card.json", "model.safetensors")
"""Files by which the folder of a model may be chosen."""


class TranslateRaster(ProgramAlgorithm):
    """`geotranslate predict` for one raster layer."""

    def name(self) -> str:
        """Return the last part of the algorithm's name."""
        return "translateraster"

    def displayName(self) -> str:
        """Return the name in the toolbox."""
        return "Translate raster"

    def shortHelpString(self) -> str:
        """Return the help beside the parameters."""
        return (
            "Translates a raster layer with a saved model of geotranslate. The output lies on the "
            "grid of the input and has the data type, the nodata value and the band names of the "
            "model's targets.\n\n"
            "Model: the file card.json in the folder of a saved model (the folder itself can be "
            "typed), or an .onnx file that geotranslate has exported.\n\n"
            "Extent and area of interest: only this part is translated, for example what the map "
            "shows.\n\n"
            "Statistics of normalization: 'auto' chooses as predict_raster does.\n\n"
            "Canceling keeps the finished parts. To go on, run it again with the same output and "
            "parameters, and check 'Go on with a canceled run'."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Add the parameters."""
        self.addParameter(
            QgsProcessingParameterFile(
                MODEL,
                "Model (card.json of a model folder, or .onnx)",
                fileFilter="Models (card.json *.onnx);;All files (*)",
            )
        )
        self.addParameter(QgsProcessingParameterRasterLayer(INPUT, "Raster to translate"))
        self.addParameter(QgsProcessingParameterExtent(EXTENT, "Extent", optional=True))
        self.addParameter(
            QgsProcessingParameterFeatureSource(
                AOI, "Area of interest", [QgsProcessing.TypeVectorPolygon], optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterBoolean(
                MATCH, "Match the layer's histogram to the training data", False
            )
        )
        self._add_tiling()
        self._add_others()
        self.addParameter(
            QgsProcessingParameterBoolean(OVERWRITE, "Replace an existing output", True)
        )
        self.addParameter(QgsProcessingParameterBoolean(RESUME, "Go on with a canceled run", False))
        self.addParameter(QgsProcessingParameterRasterDestination(OUTPUT, "Translation"))

    def _add_tiling(self) -> None:
        for name, words in ((TILE_SIZE, "Side of the tiles, px"), (OVERLAP, "Overlap, px")):
            self.add_advanced(QgsProcessingParameterNumber(name, words, optional=True, minValue=0))
        for name, words, values in (
            (BLEND, "Overlapping pixels", BLENDS),
            (NORM_STATS, "Statistics of normalization", NORMS),
            (RESOLUTION, "Pixel size in the network", RESOLUTIONS),
            (DIRECTION, "Direction", DIRECTIONS),
        ):
            self.add_advanced(
                QgsProcessingParameterEnum(name, words, options=values, defaultValue=0)
            )

    def _add_others(self) -> None:
        self.add_advanced(
            QgsProcessingParameterBand(
                BANDS, "Bands, in the order of the training", None, INPUT, True, True
            )
        )
        self.add_advanced(
            QgsProcessingParameterBoolean(TTA, "Average eight orientations of each tile", False)
        )
        self.add_advanced(
            QgsProcessingParameterString(DEVICE, "Device, such as cpu or cuda:1", optional=True)
        )

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Translate the layer.

        Raises:
            QgsProcessingException: The command fails or is canceled; with its sentence.
        """
        output = self.parameterAsOutputLayer(parameters, OUTPUT, context)
        model = Path(self.parameterAsFile(parameters, MODEL, context))
        arguments = [
            "predict",
            str(model.parent if model.name in MODEL_FILES else model),
            self.raster(parameters, INPUT, context),
            *option("output", output),
            *self._place(parameters, context, feedback),
            *self._tiling(parameters, context),
            *self._others(parameters, context),
        ]
        for raster in self.run_program(arguments, feedback):
            if "mismatch" in raster:
                feedback.pushInfo(
                    f"{raster['tiles']} tiles; mean difference of neighboring tiles where they "
                    f"overlap: {raster['mismatch']}"
                )
        return {OUTPUT: output}

    def canceled(self, sentence: str) -> str:
        """Return the sentence after the translation was canceled."""
        return (
            "Stopped. Finished parts are kept beside the output: to go on, give the same output "
            "and parameters and check 'Go on with a canceled run'."
        )

    def _place(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> list[str]:
        found = option("aoi", self.polygons(parameters, AOI, context, feedback))
        if parameters.get(EXTENT) not in (None, ""):
            crs = self.parameterAsRasterLayer(parameters, INPUT, context).crs()
            extent = self.parameterAsExtent(parameters, EXTENT, context, crs)
            bounds = (
                extent.xMinimum(),
                extent.yMinimum(),
                extent.xMaximum(),
                extent.yMaximum(),
            )
            found += ["--bbox", *map(repr, bounds)]
        return found

    def _tiling(self, parameters: dict[str, Any], context: QgsProcessingContext) -> list[str]:
        found = []
        for name, word in ((TILE_SIZE, "tile-size"), (OVERLAP, "overlap")):
            if parameters.get(name) is not None:
                found += option(word, str(self.parameterAsInt(parameters, name, context)))
        for name, word, values in (
            (BLEND, "blend", BLENDS),
            (NORM_STATS, "norm-stats", NORMS),
            (RESOLUTION, "resolution", RESOLUTIONS),
            (DIRECTION, "direction", DIRECTIONS),
        ):
            # The first value is the default, which other kinds of models need not know.
            number = self.parameterAsEnum(parameters, name, context)
            found += option(word, values[number] if number else "")
        return found

    def _others(self, parameters: dict[str, Any], context: QgsProcessingContext) -> list[str]:
        found = []
        if parameters.get(BANDS):
            found += option("bands", ",".join(self.parameterAsFields(parameters, BANDS, context)))
        for name, words in (
            (MATCH, ["--match", "training"]),
            (TTA, ["--tta", "true"]),
            (OVERWRITE, ["--overwrite"]),
            (RESUME, ["--resume"]),
        ):
            found += words if self.parameterAsBool(parameters, name, context) else []
        return found + option("device", self.parameterAsString(parameters, DEVICE, context))
