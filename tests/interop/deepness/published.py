"""Runs the published code of Deepness on a raster; a script for the Python of QGIS.

It takes a model, a raster and a file for the result, and reads the tile size, the overlap, the
pixel size and the scaling from the metadata of the model, as the dialog of the plugin does
(`deepness_dockwidget._load_default_model_parameters`). The `PYTHONPATH` has the folder `src` of the
plugin's repository, and onnxruntime and OpenCV in the versions of its `requirements.txt`.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np


def main(model_path: str, raster: str, output: str) -> None:
    """Write the result as an array `(bands, rows, cols)`."""
    from deepness.common.channels_mapping import ChannelsMapping, ImageChannelStandaloneBand
    from deepness.common.processing_overlap import ProcessingOverlap, ProcessingOverlapOptions
    from deepness.common.processing_parameters.map_processing_parameters import ProcessedAreaType
    from deepness.processing.models.model_base import ModelBase
    from qgis.core import QgsApplication, QgsRasterLayer

    application = QgsApplication([b""], False)
    application.initQgis()
    layer = QgsRasterLayer(raster, "layer")
    facts = ModelBase(model_path)
    bands = ChannelsMapping()
    bands.set_image_channels(
        [ImageChannelStandaloneBand(band, str(band)) for band in range(1, layer.bandCount() + 1)]
    )
    bands.set_number_of_model_inputs_same_as_image_channels()
    percent = facts.get_metadata_tiles_overlap()
    options: dict[str, Any] = {
        "resolution_cm_per_px": facts.get_metadata_resolution(),
        "processed_area_type": ProcessedAreaType.ENTIRE_LAYER,
        "tile_size_px": facts.get_input_size_in_pixels()[0],
        "batch_size": 2,
        "local_cache": False,
        "input_layer_id": layer.id(),
        "mask_layer_id": None,
        "processing_overlap": ProcessingOverlap(
            ProcessingOverlapOptions.OVERLAP_IN_PERCENT, percentage=percent
        ),
        "input_channels_mapping": bands,
    }
    found = run(facts, model_path, layer, options)
    np.save(output, found)


def run(facts: Any, model_path: str, layer: Any, options: dict[str, Any]) -> Any:
    """Return the result of the processor of the model's type."""
    given: dict[str, Any] = {
        "rlayer": layer,
        "vlayer_mask": None,
        "map_canvas": SimpleNamespace(),
    }
    if facts.get_metadata_model_type() == "Regressor":
        from deepness.common.processing_parameters.regression_parameters import RegressionParameters
        from deepness.processing.map_processor.map_processor_regression import (
            MapProcessorRegression,
        )
        from deepness.processing.models.regressor import Regressor

        model = Regressor(model_path)
        model.check_loaded_model_outputs()
        scaling = model.get_metadata_regression_output_scaling()
        parameters = RegressionParameters(**options, output_scaling=scaling, model=model)
        processor = MapProcessorRegression(params=parameters, **given)
        processor.run()
        return processor.get_result_img()
    from deepness.common.processing_parameters.superresolution_parameters import (
        SuperresolutionParameters,
    )
    from deepness.processing.map_processor.map_processor_superresolution import (
        MapProcessorSuperresolution,
    )
    from deepness.processing.models.superresolution import Superresolution

    enlarger = Superresolution(model_path)
    enlarger.check_loaded_model_outputs()
    factor = enlarger.get_output_shape()[-1] // enlarger.get_input_size_in_pixels()[0]
    # The defaults of the dialog.
    settings = SuperresolutionParameters(
        **options, output_scaling=255.0, scale_factor=factor, model=enlarger
    )
    processor = MapProcessorSuperresolution(params=settings, **given)
    processor.run()
    return processor.get_result_img().transpose(2, 0, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
