"""ONNX files for Deepness, a plugin for QGIS that runs models and keeps 8 bits of their output."""
