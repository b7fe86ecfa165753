"""Sections of options: the arguments of the public functions that commands call."""

from __future__ import annotations

import click

from geotranslate.cli.options import Section

TRANSLATORS = {
    "Pix2Pix": "geotranslate.translators.pix2pix:Pix2Pix",
    "CycleGAN": "geotranslate.translators.cyclegan:CycleGAN",
    "Pix2PixHD": "geotranslate.translators.pix2pixhd:Pix2PixHD",
    "SuperResolution": "geotranslate.translators.superresolution:SuperResolution",
}
PREPARE = (("prepare_data", "geotranslate.data.preparation:prepare_data"),)

DATA = Section("data", "Data (prepare_data)", PREPARE, without=("path", "target"))
MODEL = Section("model", "Model (its class)", tuple(TRANSLATORS.items()))
FIT = Section("fit", "Training (fit)", (("fit", "geotranslate.translators.runs.fit:fit"),))
METRICS = Section(
    "metrics",
    "Measures (compute_metrics)",
    (("compute_metrics", "geotranslate.translators.base:Translator.compute_metrics"),),
    # `direction` is an option of the data too.
    without=("direction",),
)
PREDICT = Section(
    "predict",
    "Translation (predict_raster)",
    (("predict_raster", "geotranslate.prediction.predictor:Predictor.predict_raster"),),
    without=("path", "output"),
)
LOAD = Section(
    "load",
    "Model (load_model)",
    (("load_model", "geotranslate.translators.registry:load_model"),),
    without=("path", "data"),
)
EVALUATE = Section(
    "evaluate",
    "Evaluation (evaluate_raster)",
    (("evaluate_raster", "geotranslate.evaluation.evaluate:evaluate_raster"),),
    without=("prediction", "reference"),
)
REPORT = Section(
    "report",
    "Report",
    (("report", "geotranslate.report.reporting:report"),),
    # `direction` is an option of the data too.
    without=("path", "direction"),
)
EXPORT = Section(
    "export",
    "Chips (export_chips)",
    (("export_chips", "geotranslate.chips.export.exporter:export_chips"),),
    without=("source", "target", "folder"),
)
PLUGIN = Section(
    "qgis_plugin",
    "Plugin (write_plugin)",
    (("write_plugin", "geotranslate.interop.qgis.plugin_zip:write_plugin"),),
    without=("path",),
)

SERVE = Section(
    "serve",
    "Map and translation (serve)",
    (("serve", "geotranslate.livemap.server:serve"),),
    without=("model", "scene", "truth", "ready"),
)

EXPORT_MODEL = Section(
    "export",
    "File (export)",
    (("export", "geotranslate.interop.export:export"),),
    without=("model", "path"),
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
