"""Models in formats of other software: files for QGIS, ArcGIS Pro, ONNX Runtime and catalogs."""
