"""Evaluation of whole scenes: measures, zones, baselines, intervals and an error raster."""

from geotranslate.evaluation.displays import EvaluationDisplay, JointHistogram
from geotranslate.evaluation.evaluate import evaluate_raster
from geotranslate.evaluation.evaluation import Evaluation

__all__ = ["Evaluation", "EvaluationDisplay", "JointHistogram", "evaluate_raster"]
